"""What is refused is remembered, and never more of it than there is room for."""

from datetime import timedelta

from relay.db.database import Database
from relay.db.engine import read_with
from relay.mail.reply import Reply
from relay.mail.session import Session
from relay.queue.events import Event, Search, find_events
from relay.submission.refusals import MESSAGE, Refusals
from tests.kit.clock import HandClock
from tests.kit.converse import Client
from tests.kit.house import House
from tests.kit.makers import new_id
from tests.submission.test_messages import log_in, send

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


async def test_a_session_that_is_turned_away_is_remembered_too(house: House) -> None:
    house.set("max_connections_per_address", "1")
    first, second = await Client.connect(house.ports["plain"]), await Client.connect(house.ports["plain"])
    assert (await first.reply()).startswith("220")
    assert (await second.reply()).startswith("421")
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
