"""Direct delivery from the queue: each domain gets its mail by itself, and none suffers for another."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from dns.rcode import Rcode
from sqlalchemy import select

from relay.db.database import Database
from relay.db.tables import deliveries
from relay.mail.priority import Priority
from relay.routing.upstreams import Upstream
from tests.delivery.makers import direct_at, upstream_at
from tests.delivery.office import Office, eventually, table_of
from tests.kit.dns import FakeDns, fake_dns
from tests.kit.upstream import DROP, Do, FakeUpstream, once_open

HOSTS = {"one.example": "127.0.0.2", "two.example": "127.0.0.3", "example.com": "127.0.0.4"}


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    """Each of HOSTS is a domain with an exchanger of its own; the sender is at the last."""
    with fake_dns() as dns:
        for domain, address in HOSTS.items():
            dns.has(domain, "MX", f"10 mx.{domain}.")
            dns.has(f"mx.{domain}", "A", address)
        yield dns


@pytest.fixture
async def servers() -> AsyncIterator[dict[str, FakeUpstream]]:
    """The exchangers, by domain; all of them listen on the same port."""
    async with AsyncExitStack() as stack:
        servers: dict[str, FakeUpstream] = {}
        port = 0
        for domain, address in HOSTS.items():
            servers[domain] = await stack.enter_async_context(FakeUpstream(host=address, port=port))
            port = servers[domain].port
        yield servers


@pytest.fixture
def one(servers: dict[str, FakeUpstream]) -> FakeUpstream:
    return servers["one.example"]


@pytest.fixture
def two(servers: dict[str, FakeUpstream]) -> FakeUpstream:
    return servers["two.example"]


@pytest.fixture
def home(servers: dict[str, FakeUpstream]) -> FakeUpstream:
    """Where reports go."""
    return servers["example.com"]


@pytest.fixture
def direct(dns: FakeDns, one: FakeUpstream) -> Upstream:
    return direct_at(one.port, dns.place, concurrency=4)


async def states(office: Office, message: str) -> list[str]:
    """The states of all deliveries of a message."""
    query = select(deliveries.c.state).where(deliveries.c.message_id == message).order_by(deliveries.c.part)
    return [str(state) for state in await office.db.read(lambda tx: list(tx.execute(query).scalars()))]


async def ended(office: Office, message: str) -> None:
    async def is_over() -> bool:
        return set(await states(office, message)) == {"done"}

    await eventually(is_over)


def rcpts(server: FakeUpstream) -> list[list[str]]:
    return [transaction.rcpts for transaction in server.taken]


@pytest.mark.parametrize("hot", [True, False], ids=["accepted here", "from the table"])
async def test_recipients_at_several_domains_have_a_delivery_each(
    db: Database, direct: Upstream, one: FakeUpstream, two: FakeUpstream, home: FakeUpstream, hot: bool
) -> None:
    async with Office(db, direct).open() as office:
        message = await office.submit(
            "a@one.example", "b@TWO.example", "c@One.example", "d@nobody.example", hot=hot
        )
        await ended(office, message)
        assert rcpts(one) == [["RCPT TO:<a@one.example>", "RCPT TO:<c@One.example>"]]
        assert rcpts(two) == [["RCPT TO:<b@TWO.example>"]]
        assert await office.ends(message) == {
            1: ("delivered", "250 2.0.0 Taken"),
            2: ("delivered", "250 2.0.0 Taken"),
            3: ("delivered", "250 2.0.0 Taken"),
            4: ("failed", "550 5.1.2 There is no domain nobody.example in DNS"),
        }
        told = {attempt.part: (attempt.number, attempt.remote) for attempt in await office.attempts(message)}
        assert told == {
            1: (1, f"mx.one.example [127.0.0.2]:{one.port}"),
            2: (1, f"mx.two.example [127.0.0.3]:{one.port}"),
            3: (1, None),
        }
        await eventually(lambda: len(home.taken) == 1)
        assert b"Final-Recipient: rfc822; d@nobody.example" in home.taken[0].content
        assert b"Remote-MTA" not in home.taken[0].content
        assert office.handover.in_hand == 0


async def test_a_refusal_is_told_with_the_host_that_spoke_it(
    db: Database, direct: Upstream, one: FakeUpstream, home: FakeUpstream
) -> None:
    one.on("RCPT", "550 5.1.1 No such user")
    async with Office(db, direct).open() as office:
        await ended(office, await office.submit("a@one.example"))
        await eventually(lambda: len(home.taken) == 1)
        assert b"Remote-MTA: dns; mx.one.example" in home.taken[0].content


async def test_what_is_wrong_with_one_domain_takes_nothing_from_the_others(
    db: Database, direct: Upstream, one: FakeUpstream, two: FakeUpstream
) -> None:
    one.on("CONNECT", "421 4.3.2 Not now")
    async with Office(db, direct).open() as office:
        unlucky = [await office.submit("a@one.example") for _ in range(3)]
        for message in unlucky:
            await office.until_state(message, "waiting")
            reply = (await office.ends(message))[1][1] or ""
            assert reply.startswith("421 4.3.2 mx.one.example: The upstream does not greet us: 421")
        assert one.connections == 1, "the second and third were told at once"
        assert [a.number for a in await office.attempts(unlucky[2])] == [1]
        await ended(office, await office.submit("b@two.example"))
        assert office.worker.accepts("R1"), "the lane is up"
        one.rules.clear()


@pytest.mark.parametrize(
    ("moment", "answer"),
    [
        ("MAIL", "530 5.7.0 Must issue a STARTTLS command first"),
        ("MAIL", "421 4.7.0 Too many messages"),
        ("RCPT", "450 4.7.1 Greylisted"),
        ("DOT", "451 4.7.1 Later"),
        ("DATA", DROP),
        ("DOT", DROP),
    ],
)
async def test_neither_does_what_it_says_of_our_mail(
    db: Database, direct: Upstream, one: FakeUpstream, two: FakeUpstream, moment: str, answer: Any
) -> None:
    one.on(moment, answer)
    async with Office(db, direct).open() as office:
        for _ in range(4):
            message = await office.submit("a@one.example")
            await office.until_state(message, "waiting")
            assert len(await office.attempts(message)) == 1
        lane = office.worker._roads.lane_for("R1")
        assert lane is not None
        assert lane.standing.is_up
        assert lane._gait.slots == 4, "and no slower"
        await ended(office, await office.submit("b@two.example"))
        one.rules.clear()


async def test_a_slow_domain_has_its_share_of_the_slots_and_no_more(
    db: Database, direct: Upstream, one: FakeUpstream, two: FakeUpstream
) -> None:
    gate = asyncio.Event()
    one.on("DOT", Do(gate=gate))
    async with Office(db, direct).open() as office:
        slow = [await office.submit("a@one.example", hot=number % 2 == 0) for number in range(30)]
        await eventually(lambda: len(one.transactions) == 1)
        for _ in range(10):
            await ended(office, await office.submit("b@two.example", hot=True))
        urgent = await office.submit("first@one.example", priority=Priority.VERY_HIGH, hot=True)
        await eventually(lambda: len(one.transactions) == 2)
        assert one.transactions[1].rcpts == ["RCPT TO:<first@one.example>"], "level 1 does not wait for them"
        gate.set()
        for message in [*slow, urgent]:
            await ended(office, message)
        assert one.most_open == 2, "a quarter of four, and the one for level 1"


async def test_without_a_name_server_mail_waits_untried(
    db: Database, direct: Upstream, dns: FakeDns, one: FakeUpstream, two: FakeUpstream
) -> None:
    for name in (".", "one.example", "two.example"):
        dns.fails(name, Rcode.SERVFAIL)
    async with Office(db, direct).open() as office:
        messages = [await office.submit("a@one.example"), await office.submit("b@two.example")]
        await eventually(lambda: not office.worker.accepts("R1"))
        for message in messages:
            await office.until_state(message, "queued")
            assert await office.attempts(message) == []
        del dns.codes["."], dns.codes["two.example"]
        await office.turn(timedelta(seconds=20))
        await office.until_state(messages[0], "waiting")  # the probe: nothing but its own domain is broken
        await office.until_state(messages[1], "done")


async def test_a_connection_is_kept_for_the_next_message_there(
    db: Database, direct: Upstream, one: FakeUpstream
) -> None:
    async with Office(db, direct).open() as office:
        for _ in range(3):
            await ended(office, await office.submit("a@one.example"))
        assert one.connections == 1
        one.on("MAIL", DROP, times=1)
        again = await office.submit("a@one.example")
        await ended(office, again)
        assert one.connections == 2
        assert [a.number for a in await office.attempts(again)] == [1], "an old connection may be closed"


async def test_mail_of_several_domains_that_comes_from_another_upstream(
    db: Database, direct: Upstream, one: FakeUpstream, two: FakeUpstream
) -> None:
    async with FakeUpstream() as closed:
        pass
    smarthost = upstream_at(closed.port, id="U0", name="smarthost")
    office = Office(db, smarthost, direct)
    office.routing.value = table_of(smarthost, direct)
    async with office.open():
        message = await office.submit("a@one.example", "b@two.example", hot=True)
        await ended(office, message)
        assert len(one.taken) == len(two.taken) == 1


async def test_mail_that_waits_goes_back_when_the_upstream_is_switched_off(
    db: Database, direct: Upstream, one: FakeUpstream
) -> None:
    gate = asyncio.Event()
    one.on("DOT", Do(gate=gate))
    async with Office(db, direct).open(grace=timedelta(seconds=0.2)) as office:
        messages = [await office.submit("a@one.example", hot=True) for _ in range(3)]
        await eventually(lambda: len(one.transactions) == 1)
    gate.set()
    assert sorted([await office.state(message) for message in messages]) == ["queued", "queued", "waiting"]


async def test_what_waits_for_an_upstream_that_becomes_direct_goes_to_its_own_domains(
    db: Database, direct: Upstream, one: FakeUpstream, two: FakeUpstream, home: FakeUpstream
) -> None:
    gate = asyncio.Event()
    home.on("DOT", once_open(gate), times=1)
    smart = upstream_at(home.port, host=home.host, id=direct.id, concurrency=1)
    async with Office(db, smart).open() as office:
        under_way = await office.submit("a@one.example", hot=True)
        await eventually(lambda: len(home.transactions) == 1)
        waiting = await office.submit("b@two.example", "c@one.example", hot=True)
        office.routing.value = table_of(direct)
        next_one = await office.submit("d@two.example", hot=True)  # with it the change is heeded
        gate.set()
        for message in (under_way, waiting, next_one):
            await ended(office, message)
        assert rcpts(home) == [["RCPT TO:<a@one.example>"]]
        assert rcpts(one) == [["RCPT TO:<c@one.example>"]]
        assert sorted(rcpts(two)) == [["RCPT TO:<b@two.example>"], ["RCPT TO:<d@two.example>"]]
