"""Letters on their way out: changed for user and upstream, signed, and all else left as it was."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, insert, select

from relay import log
from relay.db.audit import Author
from relay.db.database import Database
from relay.db.tables import recipients, users
from relay.delivery.outgoing import Outgoing
from relay.delivery.stationery import PLAIN, Stationery, load_stationery
from relay.delivery.transports.parameters import Offers
from relay.mail.address import Address
from relay.mail.dkim import Algorithm, Signer
from relay.mail.envelope import Envelope
from relay.mail.letterhead import Texts
from relay.mail.rewriting import Rewrite, to_text
from relay.mail.session import Session
from relay.queue.accept import accept
from relay.queue.content import read_content
from relay.queue.items import Lease, Origin
from relay.routing.dkim_keys import NewKeys, make_keys
from relay.routing.options import Options
from relay.routing.upstreams import Kind
from relay.sealing import Sealer
from tests.delivery.makers import LETTER, envelope_to, upstream_at
from tests.delivery.office import Office, eventually
from tests.kit.clock import NOON
from tests.kit.dkim import verdicts
from tests.kit.makers import new_id
from tests.kit.upstream import ALL, FakeUpstream
from tests.kit.web import FakeWeb

ANN = "0" * 25 + "A"
ACCOUNT = Address.parse("account@provider.example")
SEALER = Sealer([Fernet.generate_key()])


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream() as upstream:
        yield upstream


async def of_user(office: Office, rewrite: Rewrite) -> None:
    """Ann's mail is changed so."""

    def write(tx: Connection, items: Any) -> list[None]:
        tx.execute(insert(users).values(id=ANN, name="ann", created_at=NOON, rewrite=to_text(rewrite)))
        return [None]

    await office.db.write(write, None)
    office.stationery.value = await office.db.read(load_stationery, SEALER)


async def with_keys(office: Office, *algorithms: Algorithm, domain: str = "example.com") -> dict[str, str]:
    """The domain has keys that sign; returns their records."""
    order = NewKeys(Author("test", NOON, new_id), SEALER, domain, algorithms, is_active=True)
    made = await office.db.write(make_keys, order)
    office.stationery.value = await office.db.read(load_stationery, SEALER)
    return {key.record_name: key.record_text for key in made}


async def submit(office: Office, content: bytes = LETTER, **more: Any) -> str:
    """A letter of Ann's."""
    made = office.acceptance(envelope_to("bob"), content, **more)
    session = Session(id="S", listener="plain", peer_address="192.0.2.1", user="ann", user_id=ANN)
    await office.db.write(accept, made._replace(session=session))
    office.worker.wake()
    return made.id


async def sent(office: Office, upstream: FakeUpstream, count: int = 1) -> list[bytes]:
    """What the upstream took, once it took so much."""
    async with office.open():
        await eventually(lambda: len(upstream.taken) >= count)
    return [transaction.content.removesuffix(b"\r\n") + b"\r\n" for transaction in upstream.taken]


async def test_where_nobody_asks_for_anything_a_letter_goes_as_it_is(
    db: Database, upstream: FakeUpstream
) -> None:
    office = Office(db, upstream_at(upstream.port))
    await of_user(office, Rewrite())
    assert office.stationery.value == PLAIN
    await submit(office)
    assert await sent(office, upstream) == [LETTER]


async def test_an_address_beyond_ascii_that_is_put_in_goes_only_where_that_is_known(
    db: Database, upstream: FakeUpstream
) -> None:
    rule = Rewrite(from_address=Address.parse("zoë@example.com"), is_forced=True)
    async with FakeUpstream(["8BITMIME"]) as old:
        first = upstream_at(old.port, rewrite=rule)
        office = Office(db, first, upstream_at(upstream.port, id="U2", name="second", rewrite=rule))
        await of_user(office, Rewrite())
        await submit(office)
        (content,) = await sent(office, upstream)
        assert old.transactions == []
    assert "From: zoë@example.com\r\n".encode() in content
    assert upstream.taken[0].mail.endswith(" SMTPUTF8")


async def test_the_users_rule_comes_first_then_the_upstreams(db: Database, upstream: FakeUpstream) -> None:
    rule = Rewrite(from_address=ACCOUNT, is_forced=True, texts=Texts(footer="By provider"))
    office = Office(db, upstream_at(upstream.port, rewrite=rule))
    await of_user(office, Rewrite(from_name="Ann", is_forced=True, texts=Texts(footer="Ann, Example Ltd")))
    message = await submit(office)
    (content,) = await sent(office, upstream)
    assert content == (
        b"Reply-To: ann@example.com\r\nFrom: Ann\r\n <account@provider.example>\r\nSubject: Tea\r\n\r\n"
        b"At five?\r\n\r\nAnn, Example Ltd\r\n\r\nBy provider\r\n"
    )
    assert await office.db.read(read_content, message) in {LETTER, None}, (
        "the queue keeps what was sent to us"
    )


async def test_a_letter_is_signed_with_every_key_of_its_domain_after_it_was_changed(
    db: Database, upstream: FakeUpstream
) -> None:
    office = Office(db, upstream_at(upstream.port, rewrite=Rewrite(texts=Texts(footer="Grüße"))))
    records = await with_keys(office, Algorithm.RSA, Algorithm.ED25519)
    await of_user(office, Rewrite())
    await submit(office)
    await submit(office, LETTER.replace(b"example.com", b"elsewhere.example"))
    ours, theirs = sorted(await sent(office, upstream, 2))
    assert verdicts(ours, records) == ["pass", "pass"]
    assert b"=C3=BC" in ours
    assert b"DKIM-Signature" not in theirs


async def test_several_authors_are_signed_for_if_they_are_of_one_domain(
    db: Database, upstream: FakeUpstream
) -> None:
    office = Office(db, upstream_at(upstream.port))
    records = await with_keys(office, Algorithm.RSA)
    await of_user(office, Rewrite())
    for other in (b"bob@example.com", b"bob@elsewhere.example"):
        await submit(office, LETTER.replace(b"From: ", b"From: " + other + b", "))
    of_one, of_two = sorted(await sent(office, upstream, 2))
    assert verdicts(of_one, records) == ["pass"]
    assert b"DKIM-Signature" not in of_two


async def test_nothing_is_signed_for_a_service_that_makes_a_message_of_its_own(db: Database) -> None:
    async with FakeWeb() as web:
        web.on("POST", 200)
        office = Office(db, upstream_at(0, host="", kind=Kind.POSTMARK, options=Options(url=web.url)))
        await with_keys(office, Algorithm.ED25519)
        await of_user(office, Rewrite(texts=Texts(footer="Example Ltd")))
        await submit(office, LETTER.replace(b"Subject:", b"To: bob@example.net\r\nSubject:"))
        async with office.open():
            await eventually(lambda: len(web.asked) == 1)
    assert "Example Ltd" in web.asked[0].json["TextBody"]
    assert "Headers" not in web.asked[0].json


async def test_a_forced_sender_is_signed_for_its_own_domain(db: Database, upstream: FakeUpstream) -> None:
    rule = Rewrite(from_address=ACCOUNT, is_forced=True)
    office = Office(db, upstream_at(upstream.port, rewrite=rule))
    records = await with_keys(office, Algorithm.ED25519, domain="provider.example")
    await of_user(office, Rewrite())
    await submit(office)
    assert [verdicts(each, records) for each in await sent(office, upstream)] == [["pass"]]


async def test_what_is_signed_is_what_is_sent_also_where_only_seven_bits_are_taken(db: Database) -> None:
    async with FakeUpstream(tuple(offer for offer in ALL if offer != "8BITMIME")) as upstream:
        office = Office(db, upstream_at(upstream.port))
        records = await with_keys(office, Algorithm.ED25519)
        await of_user(office, Rewrite())
        await submit(office, LETTER.replace(b"five", "fünf".encode()))
        (content,) = await sent(office, upstream)
    assert content.isascii()
    assert verdicts(content, records) == ["pass"]


async def test_what_would_break_is_left_alone_and_the_log_says_so(
    db: Database, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(log, "left_alone", lambda **facts: told.append(facts["reason"]))
    office = Office(db, upstream_at(upstream.port, rewrite=Rewrite(texts=Texts(footer="x"))))
    await of_user(office, Rewrite())
    signed = LETTER.replace(b"At five?", b"-----BEGIN PGP SIGNED MESSAGE-----")
    message = await submit(office, signed)
    assert await sent(office, upstream) == [signed]
    assert told == ["header and footer: it holds PGP armour"]
    (attempt,) = await office.attempts(message)
    assert attempt.left_alone == told[0]


async def test_a_key_that_cannot_be_opened_stops_no_mail(
    db: Database, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(log, "left_alone", lambda **facts: told.append(facts["reason"]))
    office = Office(db, upstream_at(upstream.port))
    await with_keys(office, Algorithm.ED25519)
    other = Sealer([Fernet.generate_key()])
    office.stationery.value = await office.db.read(load_stationery, other)
    await of_user_as_is(office)
    await submit(office)
    assert await sent(office, upstream) == [LETTER]
    assert told
    assert told[0].startswith("signature: a stored secret cannot be opened")


async def of_user_as_is(office: Office) -> None:
    def write(tx: Connection, items: Any) -> list[None]:
        tx.execute(insert(users).values(id=ANN, name="ann", created_at=NOON))
        return [None]

    await office.db.write(write, None)


async def test_an_archive_gets_what_the_upstream_got(db: Database, upstream: FakeUpstream) -> None:
    archive = Address.parse("archive@example.org")
    rule = Rewrite(texts=Texts(footer="Example Ltd"))
    office = Office(db, upstream_at(upstream.port, archive_address=archive, rewrite=rule))
    await of_user(office, Rewrite(texts=Texts(header="Hello")))
    await submit(office)
    first, copy = await sent(office, upstream, 2)
    assert first == copy
    assert first.count(b"Example Ltd") == 1
    assert upstream.taken[1].rcpts != upstream.taken[0].rcpts


async def test_our_own_reports_get_no_texts_but_the_upstreams_sender(
    db: Database, upstream: FakeUpstream
) -> None:
    rule = Rewrite(from_address=ACCOUNT, is_forced=True, texts=Texts(footer="Buy tea"))
    office = Office(db, upstream_at(upstream.port, rewrite=rule))
    await of_user(office, Rewrite())
    await submit(office, origin=Origin.NOTICE)
    (content,) = await sent(office, upstream)
    assert b"account@provider.example" in content
    assert b"Buy tea" not in content


async def test_a_bounce_goes_to_the_original_sender_whatever_the_upstream_is_told(
    db: Database, upstream: FakeUpstream
) -> None:
    upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
    office = Office(db, upstream_at(upstream.port, sender_address=ACCOUNT))
    await of_user(office, Rewrite())
    await submit(office)
    async with office.open():
        await eventually(lambda: bool(upstream.taken))
    assert f"MAIL FROM:<{ACCOUNT}>" in " ".join(upstream.commands)
    (bounce,) = await office.messages(Origin.BOUNCE)
    query = select(recipients.c.address).where(recipients.c.message_id == bounce.id)
    assert await office.db.read(lambda tx: tx.execute(query).scalars().all()) == ["ann@example.com"]
    assert upstream.taken[0].mail.startswith("MAIL FROM:<>")


# --- what it costs -------------------------------------------------------------------------------


def counting(calls: list[bytes]) -> Callable[[], Signer]:
    def sign(data: bytes) -> bytes:
        calls.append(data)
        return b"signature"

    signer = Signer("example.com", "c", Algorithm.ED25519, sign)
    return lambda: signer


async def test_a_message_of_many_parts_and_tries_is_signed_once(db: Database) -> None:
    office = Office(db, upstream := upstream_at(25))
    calls: list[bytes] = []
    rules = office.worker._clerk.rules()
    rules = replace(rules, stationery=Stationery(signers={"example.com": (counting(calls),)}))
    outgoing, envelope = Outgoing(), envelope_to("bob")
    claimed = claimed_of(office, envelope)
    letters = [
        await outgoing.letter(
            claimed, LETTER, upstream, Offers(eight_bit=True), rules, NOON + timedelta(hours=n)
        )
        for n in range(3)
    ]
    assert len(calls) == 1
    assert len({letter.content for letter in letters}) == 1
    changed = replace(upstream, rewrite=Rewrite(texts=Texts(footer="x")))
    await outgoing.letter(claimed, LETTER, changed, Offers(eight_bit=True), rules, NOON)
    assert len(calls) == 2, "another body, another signature"


def claimed_of(office: Office, envelope: Envelope) -> Any:
    made = office.acceptance(envelope)
    lease = Lease("node/0", NOON + timedelta(minutes=5))
    return office.claimed(made._replace(parts=(made.parts[0]._replace(lease=lease),)))


async def test_large_letters_are_worked_on_beside_the_loop(db: Database) -> None:
    office = Office(db, upstream := upstream_at(25))
    rules = office.worker._clerk.rules()
    large = LETTER + b"x" * 70 + b"\r\n" + b"tea \r\n" * 50_000
    changed = replace(upstream, rewrite=Rewrite(texts=Texts(footer="y")))
    letter = await Outgoing().letter(
        claimed_of(office, envelope_to("bob")), large, changed, Offers(), rules, NOON
    )
    assert letter.content == large + b"\r\ny\r\n"
