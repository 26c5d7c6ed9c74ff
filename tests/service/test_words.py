import pickletools
from datetime import timedelta

from sqlalchemy import Engine

from relay.db.commit import Answer, Call
from relay.db.engine import write_with
from relay.db.language import Language
from relay.policy.limits import Limits
from relay.queue.accept import accept
from relay.queue.claim import ClaimOrder, claim_due
from relay.queue.items import Lease
from relay.queue.metered import Metered, Metering, accept_metered
from relay.queue.settle import settle
from relay.service.words import WORDS
from tests.kit.clock import NOON
from tests.kit.makers import ROUTE, make_acceptance, make_envelope, make_session, make_settlement

LANGUAGE = Language([Call, Answer, *WORDS])


def named_in(*said: Call | Answer) -> list[object]:
    """The classes and functions that a frame looks up by name."""
    found = pickletools.genops(LANGUAGE.framed(said)[8:])
    return [argument for code, argument, _ in found if code.name in {"GLOBAL", "STACK_GLOBAL", "INST"}]


def test_a_message_is_taken_and_settled_without_naming_anything(engine: Engine) -> None:
    lease = Lease("node/0", NOON + timedelta(minutes=5))
    envelope = make_envelope(recipients=["a@example.net", "b@example.net"])
    taken = make_acceptance(session=make_session(tls="TLSv1.3"), lease=lease, envelope=envelope)
    waiting = make_acceptance()
    write_with(engine, accept, waiting)
    order = ClaimOrder("node/0", NOON, timedelta(minutes=5), {ROUTE: 1})
    [claimed] = write_with(engine, claim_due, order)
    settlement = make_settlement(claimed)
    settled = write_with(engine, settle, settlement)
    assert not named_in(
        Call(accept, taken),
        Call(accept_metered, Metered(taken, "u", Limits(), "n")),
        Call(settle, settlement),
    )
    assert not named_in(Answer(taken.id), Answer(Metering(is_kept=True)), Answer(settled))
