r"""The differential rule: what policy saw is what the upstream receives, octet for octet, and nothing else.

A whole road stands open: a client's socket, the door, the queue, the worker, and an upstream that remembers
every octet.  Whatever mixture of CR, LF, dots and NUL a client sends, cut into packets wherever it likes,
each message that was taken arrives as one message; and what goes out could not be taken for two by the laxest
reader, because it has no bare CR or LF at all.
"""

import asyncio
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from relay.clock import SystemClock
from relay.db import tables
from relay.db.database import Database
from relay.db.engine import open_engine
from relay.delivery.worker import Worker
from relay.mail.lines import dot_unstuffed, has_bare, normalised
from relay.sealing import Sealer
from tests.delivery.makers import upstream_at
from tests.delivery.office import eventually, table_of
from tests.kit.converse import Client
from tests.kit.house import PASSWORD, House, make_tls_context
from tests.kit.upstream import FakeUpstream, Transaction

HEAD = b"From: ann@example.com\r\nDate: d\r\nMessage-ID: <m>\r\n\r\n"
BEGIN = b"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
SMUGGLED = (
    b"MAIL FROM:<ann@example.com>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\nFrom: ann@example.com\r\n\r\nX"
)
END = b"\r\n.\r\n"
# Every way to write the end of data that some server took for one, and those that only nearly are
ENDS = [
    before + dots + after
    for before in (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\0\n", b"\0\r\n", b"\r\n\0")
    for dots in (b".", b"..", b"\0.", b".\0")
    for after in (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\0\n", b"\0\r\n")
]
PIECES = st.lists(
    st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\0", b"a", b"\r\n.", b"\n.\n", b"\r.\r", b"\xff", b" "]),
    max_size=12,
).map(b"".join)


class Road:
    """All of it, in a loop of its own that lives as long as the tests of this file."""

    def __init__(self, folder: Path, migrated: Path) -> None:
        self.folder = folder
        shutil.copy(migrated, folder / "relay.db")
        self.runner = asyncio.Runner()

    async def open(self) -> None:
        engine = open_engine(f"sqlite:///{self.folder / 'relay.db'}")
        clock = SystemClock()
        self.db = Database(engine)
        context = make_tls_context(self.folder, clock)
        self.house = await House.build(engine, self.db, clock, Sealer([Fernet.generate_key()]), context)
        self.house.has_user("ann", "ann@example.com")
        self.house.set("max_errors", "1000")
        self.upstream = await FakeUpstream().__aenter__()
        office = self.house.office
        office.routing.value = table_of(upstream_at(self.upstream.port))
        self.worker = Worker(
            db=self.db,
            clock=clock,
            routing=office.routing,
            settings=office.settings,
            handover=office.handover,
            owner=office.owner,
            new_id=office.new_id,
            rng=Random(1),
            hostname="relay.test",
        )
        self.working = asyncio.ensure_future(self.worker.run())
        await eventually(lambda: office.handover.taker is not None)

    async def close(self) -> None:
        await self.house.close()
        self.working.cancel()
        await asyncio.gather(self.working, return_exceptions=True)
        await self.upstream.stop()
        await self.db.close()
        self.house.engine.dispose()

    async def send(self, said: bytes, cuts: list[int]) -> list[str]:
        """Say *said* after a login, cut there, and QUIT; return the ids of what was taken."""
        client = await Client.connect(self.house.ports["clear"])
        proof = b64encode(f"\0ann\0{PASSWORD}".encode()).decode()
        for line in ("EHLO laptop", f"AUTH PLAIN {proof}"):
            await client.ask(line)
        places = [0, *sorted(cut % (len(said) + 1) for cut in cuts), len(said)]
        for start, end in pairwise(places):
            await client.send(said[start:end])
            await asyncio.sleep(0)
        # However the octets were understood, this ends what is open and then the session
        await client.send(b"\r\n.\r\nQUIT\r\n")
        answers = []
        while answer := await client.reply():
            answers.append(answer)
        await client.close()
        return [answer.split()[-1] for answer in answers if answer.startswith("250 2.0.0 Queued as ")]

    async def arrived(self, ids: list[str]) -> list[Transaction]:
        """Return what the upstream got of these messages, once it has all; others may still be under way."""

        def found() -> list[Transaction]:
            return [each for each in self.upstream.taken if any(name.encode() in each.wire for name in ids)]

        await eventually(lambda: len(found()) == len(ids))
        return found()

    async def check(self, body: bytes, cuts: list[int]) -> None:
        """Whatever is taken of HEAD and *body* arrives as it was seen."""
        content = HEAD + body + END
        first = content[: content.index(END) + 2]
        rest = content[content.index(END) + len(END) :]
        ids = await self.send(BEGIN + content, cuts)
        assert ids, "the first message of it is in order"
        if not rest:
            assert len(ids) == 1
        arrived = await self.arrived(ids)
        seen = {}
        with self.house.engine.connect() as tx:
            for row in tx.execute(select(tables.contents).where(tables.contents.c.message_id.in_(ids))):
                seen[row.message_id] = row.content
        for transaction in arrived:
            assert not has_bare(transaction.wire)
            assert END not in b"\r\n" + transaction.wire
        # The fake upstream undoes the dots by its own rule, line by line
        texts = [t.content for t in arrived]
        assert all(content in texts for content in seen.values())
        expected = normalised(dot_unstuffed(first))
        assert any(text.endswith(expected) for text in texts)
        received = re.compile(rb"Received: .*?\r\n(?![ \t])", re.DOTALL)
        assert any(received.sub(b"", text, count=1) == expected for text in texts)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Iterator[Road]:
    road = Road(tmp_path_factory.mktemp("road"), migrated_file)
    with road.runner:
        road.runner.run(road.open())
        yield road
        road.runner.run(road.close())


FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(PIECES, st.lists(st.integers(0, 400), max_size=5))
def test_whatever_is_sent_what_policy_saw_is_what_the_upstream_receives(
    road: Road, body: bytes, cuts: list[int]
) -> None:
    road.runner.run(road.check(body, cuts))


async def attempt(road: Road, end: bytes, cut: int) -> int:
    """Send a message with another one hidden behind *end*; return how many were taken."""
    hidden = HEAD + b"text" + end + SMUGGLED
    return len(await road.send(BEGIN + hidden, [len(BEGIN + HEAD) + 4 + cut]))


def test_no_end_but_the_one_lets_a_second_message_in(road: Road) -> None:
    async def all_of_them() -> dict[bytes, int]:
        return {end: await attempt(road, end, 0) for end in ENDS}

    taken = road.runner.run(all_of_them())
    # Only the end itself, and the one before which a CR stands that belongs to the text
    real = {end for end in ENDS if END in end}
    assert {end for end, count in taken.items() if count == 2} == real
    assert all(count == 1 for end, count in taken.items() if end not in real)


def test_it_makes_no_difference_where_the_packets_end(road: Road) -> None:
    suspects = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\r\n.\r\r\n", END]

    async def every_cut(end: bytes) -> set[int]:
        return {await attempt(road, end, cut) for cut in range(len(end) + 2)}

    for end in suspects:
        assert road.runner.run(every_cut(end)) == {1 + (END in end)}, end


def test_a_chunk_may_hold_anything_and_still_is_one_message(road: Road) -> None:
    async def in_a_chunk(end: bytes) -> None:
        letter = HEAD + b"text" + end + b"more\r\n" + SMUGGLED + b"\r\n"
        said = BEGIN[: BEGIN.index(b"DATA")] + b"BDAT %d LAST\r\n" % len(letter) + letter
        ids = await road.send(said + b"RSET\r\n", [5])
        (arrived,) = await road.arrived(ids)
        assert arrived.content.endswith(normalised(letter))
        assert not has_bare(arrived.wire)
        assert END not in b"\r\n" + arrived.wire

    for end in (END, b"\n.\n", b"\r.\r", b"\r\n..\r\n", b"\n..\r\n", b"\r\n.\r\n.\r\n"):
        road.runner.run(in_a_chunk(end))
