"""What becomes of a message between the socket and the queue."""

import asyncio
import gc
import weakref
from base64 import b64encode
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, select

from relay.db import tables
from relay.mail.priority import Priority
from relay.policy.decision import Mismatch
from relay.queue.items import Claimed
from relay.queue.states import DeliveryState
from relay.submission.server import Server
from tests.delivery.office import eventually
from tests.kit.converse import Client
from tests.kit.house import PASSWORD, House

LETTER = b"From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: hello\r\n\r\nHello Bob\r\n"


async def log_in(house: House, name: str = "ann") -> Client:
    client = await Client.connect(house.ports["clear"])
    await client.reply()
    await client.ask("EHLO laptop.example.com")
    assert (await client.ask("AUTH LOGIN")).startswith("334")
    for word in (name, PASSWORD):
        answer = await client.ask(b64encode(word.encode()).decode())
    assert answer.startswith("235")
    return client


async def send(
    client: Client,
    letter: bytes = LETTER,
    *,
    mail: str = "MAIL FROM:<ann@example.com>",
    to: str = "bob@example.org",
) -> str:
    """Send one message and return the last reply."""
    for line in (mail, *(f"RCPT TO:<{address}>" for address in to.split()), "DATA"):
        answer = await client.ask(line)
        if answer[0] not in "23":
            return answer
    await client.send(letter.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    return await client.reply()


def row(house: House, table: object = tables.messages) -> object:
    with house.engine.connect() as tx:
        return tx.execute(select(table)).one()  # type: ignore[call-overload]


def stored(house: House) -> bytes:
    content: bytes = row(house, tables.contents).content  # type: ignore[attr-defined]
    return content


async def test_a_message_is_kept_byte_for_byte_below_our_trace(house: House) -> None:
    header = b"From: ann@example.com\r\nX-Odd:   kept  \r\n\tfolded\r\nDate: d\r\nMessage-ID: <m>\r\n"
    letter = header + b"\r\n.dots\r\n..\r\n\r\n"
    client = await log_in(house)
    assert (await send(client, letter)).startswith("250 2.0.0 Queued as ")
    content = stored(house)
    assert content.startswith(b"Received: from ")
    assert content.endswith(letter)
    trace = content.removesuffix(letter)
    assert b"with ESMTPA id " in trace
    assert b"ann" not in trace, "the user's name is nobody's business"
    assert b"127.0.0.1" not in trace
    await client.close()


async def test_the_client_is_told_the_id_under_which_the_message_is_found(house: House) -> None:
    client = await log_in(house)
    said = await send(client)
    message = row(house)
    assert said == f"250 2.0.0 Queued as {message.id}"  # type: ignore[attr-defined]
    assert (message.user_name, message.subject, message.listener) == ("ann", "hello", "clear")  # type: ignore[attr-defined]
    await client.close()


async def test_what_a_header_lacks_is_added_and_what_must_not_leave_is_removed(house: House) -> None:
    bcc = b"Bcc: secret@example.org\r\n more@example.org\r\n"
    letter = b"From: ann@example.com\r\n" + bcc + b"X-Relay-Tag: t\r\n\r\nx\r\n"
    client = await log_in(house)
    await send(client, letter)
    content = stored(house)
    assert b"\r\nDate: " in content
    assert b"\r\nMessage-ID: <" in content
    assert b"secret@" not in content
    assert b"more@" not in content
    assert b"X-Relay" not in content
    assert row(house).tag == "t"  # type: ignore[attr-defined]
    await client.close()


async def test_the_higher_of_the_users_and_the_messages_priority_wins_up_to_the_cap(house: House) -> None:
    house.has_user("dora", "d@example.net", default_priority=Priority.LOW, highest_priority=Priority.HIGH)
    client = await log_in(house, "dora")
    wanted = []
    for lines in (b"", b"X-Priority: 5\r\n", b"Importance: high\r\n", b"X-Priority: 1 (Highest)\r\n"):
        letter = b"From: d@example.net\r\n" + lines + b"\r\nx\r\n"
        wanted.append(await send(client, letter, mail="MAIL FROM:<d@example.net>"))
    wanted.append(
        await send(
            client, b"From: d@example.net\r\n\r\nx\r\n", mail="MAIL FROM:<d@example.net> MT-PRIORITY=1"
        )
    )
    with house.engine.connect() as tx:
        found = {r.id: (r.priority, r.priority_asked) for r in tx.execute(select(tables.messages))}
    kept = [found[said.split()[-1]] for said in wanted]
    assert kept == [(4, None), (4, 5), (2, None), (2, 1), (2, None)], "and what was asked for in vain"
    await client.close()


async def test_bare_line_ends_become_crlf_or_are_refused(house: House) -> None:
    client = await log_in(house)
    letter = b"From: ann@example.com\nTo: x@y\r\n\r\nline\nline\rline\r\n"
    assert (await send(client, letter)).startswith("250")
    assert stored(house).endswith(b"\r\n\r\nline\r\nline\r\nline\r\n")
    house.set("refuse_bare_newlines", "yes")
    assert (await send(client, letter)).startswith("554 5.6.0")
    await client.close()


async def test_too_large_a_message_is_refused_when_declared_and_when_sent(house: House) -> None:
    house.set("max_message_bytes", "64K")
    client = await log_in(house)
    assert "SIZE 65536" in await client.ask("EHLO laptop")
    assert (await client.ask("MAIL FROM:<ann@example.com> SIZE=65537")).startswith("552 5.3.4")
    assert (await send(client, LETTER + b"x" * 70_000 + b"\r\n")).startswith("552 5.3.4")
    assert (await send(client)).startswith("250"), "and the session goes on"
    await client.close()


async def test_dots_that_were_added_do_not_make_a_message_too_large(house: House) -> None:
    house.set("max_message_bytes", "64K")
    client = await log_in(house)
    dots = b".\r\n" * ((64 * 1024 - len(LETTER)) // 3)
    assert (await send(client, LETTER + dots)).startswith("250")
    assert (await send(client, LETTER + dots + b"xxx\r\n")).startswith("552 5.3.4")
    await client.close()


async def test_when_memory_is_short_a_message_waits_before_its_data(house: House) -> None:
    client = await log_in(house)
    budget = house.door.budget
    assert budget.take(budget.limit - 1000)
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>"):
        await client.ask(line)
    await client.send(b"DATA\r\n")
    (server,) = house.door.sessions
    while not server.is_busy:  # noqa: ASYNC110  it has no event to tell us
        await asyncio.sleep(0)
    budget.give_back(budget.limit - 1000)
    assert (await client.reply()).startswith("354")
    await client.send(LETTER + b".\r\n")
    assert (await client.reply()).startswith("250")
    await client.close()
    assert budget.used == 0


async def test_a_message_that_waited_in_vain_is_told_to_come_back(house: House) -> None:
    house.set("room_timeout", "0s")
    client = await log_in(house)
    budget = house.door.budget
    assert budget.take(budget.limit - 1000)
    assert (await send(client)).startswith("452 4.3.1")
    await client.ask("RSET")
    budget.give_back(budget.limit - 1000)
    assert (await send(client)).startswith("250")
    await client.close()
    assert budget.used == 0


async def begin_large(house: House, client: Client, others: int) -> Server:
    """Send of a large message what there is memory for, and a little more; *others* hold the rest."""
    budget = house.door.budget
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>", "DATA"):
        await client.ask(line)
    assert budget.take(others)
    budget.limit = budget.used + 100_000
    (server,) = house.door.sessions
    await client.send(LETTER)
    for _ in range(200):
        await client.send(b"x" * 998 + b"\r\n")
    return server


async def test_memory_that_is_short_during_data_is_waited_for(house: House) -> None:
    client = await log_in(house)
    server = await begin_large(house, client, 50_000)
    while not server.room.is_waiting:  # noqa: ASYNC110  it has no event to tell us
        await asyncio.sleep(0.01)
    house.door.budget.give_back(50_000)  # what others held: now nothing stands in its way
    await client.send(b".\r\n")
    assert (await client.reply()).startswith("250")
    await client.close()
    assert house.door.budget.used == 0


async def test_memory_that_runs_out_during_data_is_452_and_nothing_is_kept(house: House) -> None:
    house.set("room_timeout", "0s")
    client = await log_in(house)
    server = await begin_large(house, client, 50_000)
    while not server.room.has_run_out:  # noqa: ASYNC110  it has no event to tell us
        await asyncio.sleep(0.01)
    await client.send(b".\r\n")
    assert (await client.reply()).startswith("452 4.3.1")
    await client.close()
    house.door.budget.give_back(50_000)
    assert house.door.budget.used == 0


async def test_a_connection_cut_in_the_middle_of_data_leaves_nothing(house: House) -> None:
    client = await log_in(house)
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>", "DATA"):
        await client.ask(line)
    await client.send(LETTER)
    await client.close()
    await house.door.close(grace=2)
    with house.engine.connect() as tx:
        assert tx.execute(select(tables.messages)).all() == []
    assert house.door.budget.used == 0


async def test_one_octet_at_a_time_says_the_same(house: House) -> None:
    client = await log_in(house)
    dialogue = (
        b"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n" + LETTER + b".\r\nQUIT\r\n"
    )
    for octet in dialogue:
        await client.send(bytes([octet]))
        await asyncio.sleep(0)
    answers = [(await client.reply())[:9] for _ in range(5)]
    assert answers == ["250 2.1.0", "250 2.1.5", "354 End d", "250 2.0.0", "221 2.0.0"]
    await client.close()


async def test_a_database_that_fails_is_our_fault_and_never_a_5xx(house: House) -> None:
    client = await log_in(house)

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    event.listen(house.engine, "before_cursor_execute", fail)
    assert (await send(client)).startswith("451 4.3.0")
    event.remove(house.engine, "before_cursor_execute", fail)
    assert (await send(client)).startswith("250"), "it recovers by itself"
    await client.close()


async def test_a_message_with_many_recipients_is_cut_into_parts(house: House) -> None:
    house.set("recipients_per_delivery", "2")
    client = await log_in(house)
    await send(client, to=" ".join(f"r{n}@example.org" for n in range(5)))
    with house.engine.connect() as tx:
        found = tx.execute(select(tables.deliveries.c.part, tables.deliveries.c.state)).all()
        parts = tx.execute(select(tables.recipients.c.part).order_by(tables.recipients.c.number)).scalars()
        assert found == [(n, DeliveryState.QUEUED) for n in (1, 2, 3)]
        assert list(parts) == [1, 1, 2, 2, 3]
    await client.close()


async def test_too_many_recipients_are_refused_one_by_one(house: House) -> None:
    house.set("max_recipients", "100")
    client = await log_in(house)
    await client.ask("MAIL FROM:<ann@example.com>")
    answers = [await client.ask(f"RCPT TO:<r{n}@example.org>") for n in range(102)]
    assert {answer[:9] for answer in answers[:100]} == {"250 2.1.5"}
    assert {answer[:9] for answer in answers[100:]} == {"452 4.5.3"}
    await client.close()


# --- a sender that is not the user's ---------------------------------------------------------


def notices(engine: Engine) -> list[str]:
    with engine.connect() as tx:
        return list(tx.execute(select(tables.notices.c.facts)).scalars())


FOREIGN = b"From: The Boss <boss@elsewhere.test>\r\n\r\nx\r\n"


async def test_a_foreign_sender_raises_one_notice_an_hour(house: House) -> None:
    client = await log_in(house)
    for _ in range(3):
        assert (await client.ask("MAIL FROM:<boss@elsewhere.test>")).startswith("550 5.7.1")
        assert (await send(client, FOREIGN)).startswith("550 5.7.1")
    assert (await client.ask("MAIL FROM:<other@elsewhere.test>")).startswith("550 5.7.1")
    await house.db.write(lambda _tx, items: items, None)  # the notices were written before this
    assert len(notices(house.engine)) == 2
    await client.close()


@pytest.mark.parametrize("mismatch", [Mismatch.ALLOW, Mismatch.HOLD, Mismatch.REWRITE])
async def test_what_becomes_of_foreign_senders_is_the_users_setting(house: House, mismatch: Mismatch) -> None:
    from relay.mail.address import Address

    house.has_user(
        "eve", "eve@example.net", mismatch=mismatch, default_sender=Address.parse("eve@example.net")
    )
    client = await log_in(house, "eve")
    assert (await send(client, FOREIGN, mail="MAIL FROM:<boss@elsewhere.test>")).startswith("250")
    content, delivery, message = stored(house), row(house, tables.deliveries), row(house)
    assert delivery.state == (DeliveryState.HELD if mismatch is Mismatch.HOLD else DeliveryState.QUEUED)  # type: ignore[attr-defined]
    if mismatch is Mismatch.REWRITE:
        assert b"From: eve@example.net\r\nReply-To: The Boss <boss@elsewhere.test>\r\n" in content
        assert message.sender == "eve@example.net"  # type: ignore[attr-defined]
    else:
        assert content.endswith(FOREIGN)
        assert message.sender == "boss@elsewhere.test"  # type: ignore[attr-defined]
    assert len(notices(house.engine)) == 1
    await client.close()


# --- the end -----------------------------------------------------------------------------------


async def test_closing_sends_the_idle_away_and_lets_a_message_end(house: House) -> None:
    idle, busy = await log_in(house), await log_in(house)
    for line in ("MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>", "DATA"):
        await busy.ask(line)
    closing = asyncio.create_task(house.door.close(grace=5))
    assert (await idle.reply()).startswith("421 4.3.2")
    await busy.send(LETTER + b".\r\n")
    assert (await busy.reply()).startswith("250 2.0.0")
    assert (await busy.reply()).startswith("421 4.3.2")
    await closing
    with pytest.raises(OSError):
        await Client.connect(house.ports["clear"])
    await idle.close()
    await busy.close()


async def test_who_says_nothing_is_sent_away(house: House) -> None:
    client = await Client.connect(house.ports["plain"])
    await client.reply()
    sweeping = asyncio.create_task(house.door.sweep())
    for server in house.door.sessions:
        server.deadline = 0
    assert (await client.reply()).startswith("421 4.4.2")
    sweeping.cancel()
    await client.close()


async def test_more_connections_than_allowed_are_told_so(house: House) -> None:
    house.set("max_connections_per_address", "1")
    first, second = await Client.connect(house.ports["plain"]), await Client.connect(house.ports["plain"])
    assert (await first.reply()).startswith("220")
    assert (await second.reply()).startswith("421 4.7.0")
    assert await second.reply() == ""
    await first.close()
    await second.close()


async def test_room_in_hand_lets_a_message_go_the_short_way(house: House) -> None:
    taken: list[Claimed] = []
    house.office.handover.taker = taken.append
    client = await log_in(house)
    said = await send(client, to="bob@example.org eve@example.org")
    (claimed,) = taken
    assert str(claimed.key) == f"{said.split()[-1]}-1"
    assert [str(r.address) for r in claimed.envelope.recipients] == ["bob@example.org", "eve@example.org"]
    assert claimed.content == stored(house)
    assert claimed.expires_at - claimed.accepted_at == timedelta(days=4)
    assert row(house, tables.deliveries).state == DeliveryState.LEASED  # type: ignore[attr-defined]
    await client.close()


async def test_a_message_for_later_waits_until_then(house: House) -> None:
    client = await log_in(house)
    assert (await send(client, mail="MAIL FROM:<ann@example.com> HOLDFOR=3600")).startswith("250")
    delivery = row(house, tables.deliveries)
    message = row(house)
    assert delivery.state == DeliveryState.WAITING  # type: ignore[attr-defined]
    assert timedelta(minutes=59) < delivery.due_at - message.accepted_at <= timedelta(hours=1)  # type: ignore[attr-defined]
    await client.close()


async def test_nothing_of_a_session_that_ended_has_to_be_searched_for(house: House) -> None:
    """Its memory is free at once: a search for circles would hold up everybody else."""
    client = await log_in(house)
    assert (await send(client)).startswith("250")
    server = weakref.ref(house.door.sessions[0])
    gc.disable()
    try:
        await client.ask("QUIT")
        await client.close()
        await eventually(lambda: server() is None)
    finally:
        gc.enable()
