"""A sender that was refused is asked for, decided on, and held mail flows in its old place."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from relay.db import tables
from relay.queue.states import DeliveryState
from tests.cli.conftest import Run, Take
from tests.kit.makers import make_envelope, make_session

BOSS = b"From: The Boss <boss@elsewhere.test>\r\n\r\nx\r\n"
WHY = "ann may not send as boss@elsewhere.test"


@pytest.fixture
def ann(run: Run) -> str:
    added = run("user", "add", "ann", "--sender", "example.com", "--mismatch", "hold", "--json")
    user_id: str = added.document["id"]
    return user_id


def held(take: Take, user_id: str, content: bytes = BOSS, **changed: object) -> str:
    known = {
        "session": make_session(user="ann", user_id=user_id),
        "envelope": make_envelope("boss@elsewhere.test"),
        "hold_reason": WHY,
        "content": content,
    }
    return take(**{**known, **changed})


def delivery(engine: Engine, message_id: str) -> tuple[str, datetime]:
    found = tables.deliveries
    with engine.connect() as tx:
        row = tx.execute(select(found).where(found.c.message_id == message_id)).one()
    return row.state, row.rank_at


def token_in(engine: Engine) -> str:
    with engine.connect() as tx:
        (content,) = tx.execute(
            select(tables.contents.c.content).join(tables.messages).where(tables.messages.c.sender == "")
        ).scalars()
    found = re.search(rb"\r\n    (\S+)\r\n", content)
    assert found is not None
    return found[1].decode()


def test_approval_grants_and_lets_flow_what_was_held_for_it(
    run: Run, take: Take, engine: Engine, ann: str
) -> None:
    early = datetime.now(UTC) - timedelta(hours=5)
    mail = held(take, ann, at=early, lifetime=timedelta(days=4))
    _, place = delivery(engine, mail)
    others = [
        held(take, ann, b"From: boss@elsewhere.test\r\nSender: eve@evil.test\r\n\r\nx\r\n"),
        held(take, ann, hold_reason="held by the operator"),
        held(take, ann, hold_reason="beyond the quota of 1 message a day"),
    ]
    made = run("sender", "request", "--user", "ann", "Boss@Elsewhere.test", "--no-letter", "--json").document
    assert run("sender", "approve", made["id"], "--json").document["released"] == 1
    assert delivery(engine, mail) == (DeliveryState.QUEUED, place)
    assert {delivery(engine, other)[0] for other in others} == {DeliveryState.HELD}
    assert "boss@elsewhere.test" in run("user", "show", "ann").out
    assert run("sender", "approve", made["id"]).code == 1, "once is enough"


def test_no_report_on_held_mail_goes_to_a_sender_that_is_not_its_users(
    run: Run, take: Take, ann: str
) -> None:
    held(take, ann)
    held(take, ann, envelope=make_envelope("ann@example.com"))  # only the header says that it is the boss's
    answer = run("queue", "fail", "--state", "held", "--yes", "--json")
    assert answer.document == {"deliveries": 2, "reports": 1}


@pytest.mark.parametrize("pattern", ["boss@sub.elsewhere.test", "sub.elsewhere.test", "*.elsewhere.test"])
def test_what_is_granted_in_any_way_need_not_be_asked_for(run: Run, ann: str, pattern: str) -> None:
    run("user", "edit", "ann", "--add-sender", pattern)
    asked = run("sender", "request", "--user", "ann", "boss@sub.elsewhere.test", "--no-letter")
    assert (asked.code, "may send as boss@sub.elsewhere.test already" in asked.err) == (65, True)


def test_what_is_declined_stays_held(run: Run, take: Take, engine: Engine, ann: str) -> None:
    mail = held(take, ann)
    made = run("sender", "request", "--user", "ann", "boss@elsewhere.test", "--no-letter", "--json").document
    assert run("sender", "decline", made["id"]).code == 0
    assert delivery(engine, mail)[0] == DeliveryState.HELD
    assert [each["state"] for each in run("sender", "list", "--json").document] == ["declined"]
    assert run("sender", "list", "--state", "open", "--json").document == []


def test_the_address_may_agree_by_the_code_that_only_it_was_mailed(
    run: Run, take: Take, engine: Engine, ann: str
) -> None:
    held(take, ann)
    asked = run("sender", "request", "--user", "ann", "boss@elsewhere.test")
    token = token_in(engine)
    assert token not in asked.out
    with engine.connect() as tx:
        assert token not in str(tx.execute(select(tables.sender_requests)).one())
    assert run("sender", "confirm", token + "x").code == 1
    assert run("sender", "confirm", token, "--json").document["released"] == 1
    assert run("sender", "confirm", token).code == 1, "a code is good once"


def test_nobody_is_asked_again_and_again(run: Run, take: Take, ann: str) -> None:
    take()
    assert run("sender", "request", "--user", "ann", "boss@elsewhere.test").code == 0
    again = run("sender", "request", "--user", "ann", "boss@elsewhere.test")
    assert (again.code, "within the last day" in again.err) == (65, True)
    for n in range(9):
        assert run("sender", "request", "--user", "ann", f"b{n}@elsewhere.test", "--no-letter").code == 0
    assert "open requests" in run("sender", "request", "--user", "ann", "b10@elsewhere.test").err


@pytest.mark.parametrize("address", ["ann@example.com", "no address"])
def test_what_makes_no_sense_is_not_asked_for(run: Run, ann: str, address: str) -> None:
    assert run("sender", "request", "--user", "ann", address, "--no-letter").code != 0
