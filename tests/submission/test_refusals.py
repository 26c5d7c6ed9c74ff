"""What is refused is remembered, and never more of it than there is room for."""

import asyncio
from datetime import timedelta
from io import StringIO

from relay.db.database import Database
from relay.db.engine import read_with
from relay.mail.reply import Reply
from relay.mail.session import Session
from relay.queue.events import Event, Search, find_events
from relay.routing.routes import RoutingTable
from relay.submission.refusals import MESSAGE, SESSION, Refusals
from tests.delivery.office import eventually
from tests.kit.clock import HandClock
from tests.kit.converse import Client
from tests.kit.house import House
from tests.kit.makers import new_id
from tests.submission.test_messages import LETTER, log_in, send

NO = Reply(550, "7.1", "No")


def found(db: Database, **named: object) -> list[Event]:
    return read_with(db.engine, find_events, Search(**{"limit": 10_000, **named}))  # type: ignore[arg-type]


def session(peer: str = "192.0.2.1", user: str | None = None) -> Session:
    return Session("s1", "submission", peer, helo="laptop", user=user)


async def test_a_refused_message_can_be_found_by_all_that_is_known_of_it(house: House) -> None:
    client = await log_in(house)
    said = await send(client, mail="MAIL FROM:<boss@elsewhere.test>")
    await client.close()
    await house.door.handler.refusals.flush()
    (event,) = found(house.db, user="ann")
    assert (event.rule, event.peer_address, event.reply) == ("sender_is_granted", "127.0.0.1", said)
    assert event.facts["sender"] == "boss@elsewhere.test"
    assert event.facts["helo"] == "laptop.example.com"
    assert found(house.db, rule="sender", peer="127.", since=event.at) == [event]
    assert found(house.db, user="bob") == found(house.db, since=event.at + timedelta(seconds=1)) == []


async def test_what_grows_too_large_is_remembered_as_what_says_so_beforehand(
    house: House, lines: StringIO
) -> None:
    house.set("max_message_bytes", "64K")
    client = await log_in(house)
    said = [
        await client.ask("MAIL FROM:<ann@example.com> SIZE=70000"),
        await send(client, LETTER + b"x" * 70_000 + b"\r\n"),
    ]
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>"):
        await client.ask(line)
    await client.send(b"BDAT 70000 LAST\r\n" + b"x" * 70_000)
    said.append(await client.reply())
    assert said == ["552 5.3.4 The message is larger than 65536 octets, the most that is taken here"] * 3
    await client.close()
    await house.door.handler.refusals.flush()
    (event,) = found(house.db, user="ann")
    assert (event.rule, event.reply) == ("fits_size", said[0])
    assert lines.getvalue().count('"rule": "fits_size"') == len(said)


async def test_without_any_upstream_mail_is_refused_for_now(house: House) -> None:
    house.office.routing.value = RoutingTable()
    client = await log_in(house)
    said = await send(client)
    await client.close()
    await house.door.handler.refusals.flush()
    (event,) = found(house.db, user="ann")
    assert (event.rule, event.reply) == ("route", said)
    assert said.startswith("451 4.3.5")


async def test_a_session_that_is_turned_away_is_remembered_too(house: House) -> None:
    house.set("max_connections_per_address", "1")
    first, second = await Client.connect(house.ports["plain"]), await Client.connect(house.ports["plain"])
    assert (await first.reply()).startswith("220")
    assert (await second.reply()).startswith("421")
    await second.close()
    await house.door.handler.refusals.flush()
    assert [(event.kind, event.rule) for event in found(house.db)] == [("session", "connections")]
    await first.close()


async def test_where_tls_begins_with_the_first_byte_nobody_is_turned_away_in_the_clear(house: House) -> None:
    house.set("max_connections_per_address", "1")
    first = await Client.connect(house.ports["submissions"], tls=True)
    assert (await first.reply()).startswith("220")
    second = await Client.connect(house.ports["submissions"])
    assert await second.reader.read() == b""
    await second.close()
    await house.door.handler.refusals.flush()
    assert [(event.kind, event.rule) for event in found(house.db)] == [("session", "connections")]
    await first.close()


async def test_the_same_again_is_counted_and_told_when_its_minute_is_over(
    db: Database, clock: HandClock
) -> None:
    refusals = Refusals(db, clock, new_id)
    for _ in range(1000):
        refusals.note(session(), kind=MESSAGE, rule="r", reply=NO)
    await refusals.flush()
    assert [event.facts["times"] for event in found(db)] == [1]
    clock.turn(timedelta(minutes=1))
    refusals.note(session(), kind=MESSAGE, rule="r", reply=NO)
    await refusals.flush()
    assert sorted(int(event.facts["times"]) for event in found(db)) == [1, 1, 999]


async def test_one_source_that_varies_its_words_is_bounded(db: Database, clock: HandClock) -> None:
    refusals = Refusals(db, clock, new_id)
    for n in range(5000):
        refusals.note(session(user="eve"), kind=MESSAGE, rule="r", reply=NO.saying(f"Not as {n}"))
    refusals.note(session("192.0.2.2"), kind=MESSAGE, rule="r", reply=NO)
    await refusals.flush()
    assert len(found(db, user="eve")) == 11
    assert len(found(db, peer="192.0.2.2")) == 1


async def test_many_sources_are_bounded_too(db: Database, clock: HandClock) -> None:
    refusals = Refusals(db, clock, new_id)
    for n in range(5000):
        refusals.note(session(f"2001:db8::{n:x}"), kind=MESSAGE, rule="r", reply=NO)
    clock.turn(timedelta(minutes=1))
    refusals.note(session(), kind=MESSAGE, rule="r", reply=NO)
    await refusals.flush()
    events = found(db)
    assert len(events) <= 203
    assert sum(int(event.facts["times"]) for event in events) == 5001


async def test_sessions_that_end_leave_room_for_messages(db: Database, clock: HandClock) -> None:
    refusals = Refusals(db, clock, new_id)
    for n in range(5000):
        refusals.note(session(f"2001:db8::{n:x}"), kind=SESSION, rule="errors", reply=NO)
    refusals.note(session(user="ann"), kind=MESSAGE, rule="r", reply=NO)
    await refusals.flush()
    assert len(found(db)) <= 53
    assert len(found(db, user="ann")) == 1


# --- sessions that we end --------------------------------------------------------------------


async def ends(house: House) -> list[tuple[str, str | None, str]]:
    await house.door.handler.refusals.flush()
    return [
        (event.rule, event.user_name, event.reply[:9]) for event in found(house.db) if event.kind == SESSION
    ]


async def test_who_errs_or_says_too_much_is_remembered(house: House) -> None:
    house.set("max_errors", "3")
    for _ in range(5):
        client = await Client.connect(house.ports["plain"])
        await client.reply()
        for _ in range(3):
            assert (await client.ask("HELO")).startswith("501")
        assert (await client.reply()).startswith("421")
        await client.close()
    house.set("max_messages_per_session", "1")
    client = await log_in(house)
    await send(client)
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("421")
    await client.close()
    browser = await Client.connect(house.ports["plain"])
    await browser.reply()
    assert (await browser.ask("GET / HTTP/1.1")).startswith("421")
    await browser.close()
    assert sorted(await ends(house), key=str) == [
        ("errors", None, "421 4.7.0"),
        ("messages", "ann", "421 4.7.0"),
        ("not_mail", None, "421 4.7.0"),
    ]


async def test_whose_time_is_up_is_remembered_unless_he_logged_in_and_rested(house: House) -> None:
    ann, stranger = await log_in(house), await Client.connect(house.ports["plain"])
    silent = (await asyncio.open_connection("127.0.0.1", house.ports["submissions"]))[1]  # no handshake
    await stranger.reply()
    await eventually(lambda: len(house.door.sessions) == 3)
    for server in house.door.sessions:
        server.time_is_up()
    assert (await ann.reply()).startswith("421")
    assert (await stranger.reply()).startswith("421")
    assert await ends(house) == [("time", None, "421 4.4.2")]
    for writer in (ann.writer, stranger.writer, silent):
        writer.close()
        await writer.wait_closed()


async def test_who_says_goodbye_or_is_sent_on_at_a_stop_is_no_event(house: House) -> None:
    leaving, staying = await Client.connect(house.ports["plain"]), await Client.connect(house.ports["plain"])
    await leaving.reply()
    await staying.reply()
    assert (await leaving.ask("QUIT")).startswith("221")
    await leaving.close()
    await house.door.close(grace=1)
    assert (await staying.reply()).startswith("421")
    await staying.close()
    assert await ends(house) == []
