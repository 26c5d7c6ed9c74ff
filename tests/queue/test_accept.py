from datetime import timedelta

import pytest
from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import IntegrityError

from relay.accounts.usage import Usage, used_since
from relay.db.engine import read_with
from relay.db.tables import contents, deliveries, messages, notices, recipients, users
from relay.mail.envelope import Body
from relay.mail.priority import Priority
from relay.queue.content import read_content
from relay.queue.items import Origin
from relay.queue.states import DeliveryState, RecipientState
from tests.kit.clock import NOON
from tests.kit.makers import (
    CONTENT,
    make_acceptance,
    make_envelope,
    make_notice,
    make_session,
    new_id,
)
from tests.queue.steps import OWNER, count, keep, lease, row, state, states

ANN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


def add_ann(engine: Engine) -> None:
    with engine.begin() as tx:
        tx.execute(insert(users).values(id=ANN, name="ann", created_at=NOON))


def test_a_message_is_kept_whole(engine: Engine) -> None:
    envelope = make_envelope("ann@example.com", ["bob@example.net", "cy@example.org"], body=Body.EIGHT_BIT)
    message = make_acceptance(
        envelope=envelope,
        priority=Priority.HIGH,
        header_from="ann@example.com",
        subject="Tea",
        message_id_field="<1@example.com>",
        tag="invoices",
        session=make_session(user="ann", user_id=None, tls="TLSv1.3 TLS_AES_256_GCM_SHA384"),
    )
    assert keep(engine, message) == [message.id]
    kept = row(engine, messages)
    assert (kept.sender, kept.body, kept.smtputf8) == ("ann@example.com", "8BITMIME", False)
    assert (kept.subject, kept.tag, kept.user_name) == ("Tea", "invoices", "ann")
    assert (kept.accepted_at, kept.octets, kept.origin) == (NOON, len(CONTENT), "submission")
    assert read_with(engine, read_content, message.id) == CONTENT
    with engine.connect() as tx:
        kept_recipients = tx.execute(select(recipients).order_by(recipients.c.number)).all()
    assert [(r.number, r.part, r.address, r.state) for r in kept_recipients] == [
        (1, 1, "bob@example.net", RecipientState.OPEN),
        (2, 1, "cy@example.org", RecipientState.OPEN),
    ]
    delivery = row(engine, deliveries)
    assert (delivery.state, delivery.priority, delivery.attempts) == (DeliveryState.QUEUED, 2, 0)
    assert (delivery.due_at, delivery.expires_at) == (NOON, message.expires_at)


def test_many_messages_are_kept_at_once(engine: Engine) -> None:
    many = [make_acceptance() for _ in range(50)]
    assert keep(engine, *many) == [message.id for message in many]
    assert count(engine, deliveries) == 50


def test_content_is_kept_to_the_byte(engine: Engine) -> None:
    content = bytes(range(256)) * 40 + b"\r\n.\r\n"
    message = make_acceptance(content=content)
    keep(engine, message)
    assert read_with(engine, read_content, message.id) == content


def test_of_a_message_that_cannot_be_kept_nothing_is(engine: Engine) -> None:
    message = make_acceptance()
    keep(engine, message)
    with pytest.raises(IntegrityError):
        keep(engine, make_acceptance(), message)
    assert count(engine, messages) == count(engine, contents) == count(engine, recipients) == 1


def test_what_is_due_is_queued_and_what_is_scheduled_waits(engine: Engine) -> None:
    now, later = make_acceptance(), make_acceptance(due_at=NOON + timedelta(hours=1))
    keep(engine, now, later)
    assert [*states(engine).values()] == [DeliveryState.QUEUED, DeliveryState.WAITING]


def test_what_policy_holds_is_born_held_with_the_reason(engine: Engine) -> None:
    keep(engine, make_acceptance(hold_reason="a foreign From"))
    delivery = row(engine, deliveries)
    assert (delivery.state, delivery.reason) == (DeliveryState.HELD, "a foreign From")


def test_what_comes_the_short_way_is_born_leased_and_its_first_attempt_begun(engine: Engine) -> None:
    keep(engine, make_acceptance(lease=lease()))
    delivery = row(engine, deliveries)
    assert state(engine) is DeliveryState.LEASED
    assert (delivery.leased_by, delivery.leased_until, delivery.attempts) == (OWNER, lease().until, 1)


def test_a_message_to_many_is_cut_into_parts(engine: Engine) -> None:
    envelope = make_envelope(recipients=[f"r{n}@example.net" for n in range(5)])
    keep(engine, make_acceptance(envelope=envelope, per_part=2))
    assert [key.part for key in states(engine)] == [1, 2, 3]
    with engine.connect() as tx:
        parts = tx.execute(select(recipients.c.part).order_by(recipients.c.number)).scalars()
        assert list(parts) == [1, 1, 2, 2, 3]


def test_a_users_messages_are_charged_to_the_user(engine: Engine) -> None:
    add_ann(engine)
    session = make_session(user="ann", user_id=ANN)
    to_three = make_envelope(recipients=["a@example.net", "b@example.net", "c@example.net"])
    keep(
        engine,
        make_acceptance(session=session, content=b"x" * 100),
        make_acceptance(session=session, content=b"x" * 50, envelope=to_three),
        make_acceptance(),
    )
    assert read_with(engine, used_since, NOON) == {ANN: Usage(messages=2, recipients=4, octets=150)}


@pytest.mark.parametrize("origin", [Origin.BOUNCE, Origin.NOTICE, Origin.CONSOLE])
def test_what_the_relay_writes_itself_is_charged_to_nobody(engine: Engine, origin: Origin) -> None:
    add_ann(engine)
    keep(engine, make_acceptance(origin=origin, session=make_session(user_id=ANN)))
    assert read_with(engine, used_since, NOON) == {}


def test_a_message_of_no_session_is_kept_too(engine: Engine) -> None:
    keep(engine, make_acceptance(session=None, origin=Origin.BOUNCE, envelope=make_envelope("")))
    kept = row(engine, messages)
    assert (kept.sender, kept.user_id, kept.peer_address) == ("", None, None)


def test_notices_are_kept_with_the_message_that_caused_them(engine: Engine) -> None:
    keep(engine, make_acceptance(notices=(make_notice(sender="eve@example.org"),)))
    assert row(engine, notices).facts == '{"sender": "eve@example.org"}'


@pytest.mark.parametrize(
    "written",
    ["x" * 5000, "snow \N{SNOWMAN}" * 100, "nul \0 nul", "lone \udc80 surrogate"],
    ids=["long", "wide", "nul", "surrogate"],
)
def test_whatever_a_client_writes_can_be_kept(engine: Engine, written: str) -> None:
    message = make_acceptance(
        id=new_id(NOON),
        subject=written,
        message_id_field=written,
        header_from=written,
        tag=written,
        session=make_session(helo=written),
    )
    keep(engine, message)
    kept = row(engine, messages)
    assert kept.subject[:3] == kept.helo[:3] == written[:3]
    assert (len(kept.subject), len(kept.tag)) <= (255, 128)
