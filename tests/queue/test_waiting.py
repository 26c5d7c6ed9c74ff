"""Why a delivery waits: one reason, one sentence, for each of them."""

from dataclasses import replace
from datetime import timedelta

from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert

from relay.db.audit import Author
from relay.db.engine import read_with
from relay.db.tables import nodes, route_upstreams, routes, upstreams
from relay.ids import id_source
from relay.mail.priority import Priority
from relay.queue.control import Hold, hold
from relay.queue.items import DeliveryKey
from relay.queue.selection import Selection
from relay.queue.states import DeliveryState
from relay.queue.stops import EVERYTHING, Reach, Stop, StopMail, Stops, stop_mail
from relay.queue.waiting import Standing, Surroundings, Waiting, Why, explain, look_around, why_waiting
from relay.routing.limits import Limits
from relay.routing.routes import Leg, Route, RoutingTable
from relay.routing.standing import Stand, State, record_stands
from relay.routing.upstreams import Kind, Upstream
from relay.sealing import Sealer
from tests.kit.clock import NOON
from tests.kit.makers import DEFERRED, make_acceptance, make_settlement
from tests.queue.steps import claim, finish, keep, lease, run

MINUTE = timedelta(minutes=1)
EAST = Upstream("U1", "east", Kind.SMTP, host="east.example.net", port=25)
WEST = Upstream("U2", "west", Kind.SMTP, host="west.example.net", port=25)
ROUTE = Route("R1", "default", None, (Leg("U1", 1), Leg("U2", 2)))
ROUTING = RoutingTable({"U1": EAST, "U2": WEST}, (ROUTE,), ROUTE)
AROUND = Surroundings(NOON, routing=ROUTING, durations={"east": timedelta(seconds=1)})
DUE = Standing(DeliveryState.QUEUED, "R1", NOON, 0, user_id="bob")


def stands(state: State, *upstream_ids: str, until: timedelta = MINUTE, reason: str = "busy") -> Surroundings:
    told = {u: [Stand(u, "node/1", state, NOON, NOON + until, reason)] for u in upstream_ids}
    return replace(AROUND, stands=told)


def stopped(**reach: str) -> Stop:
    return Stop(Reach(**reach), "it", "", "cli:ann", NOON)


def why(one: Standing, around: Surroundings = AROUND) -> tuple[Why, str]:
    told = explain(one, around)
    return told.why, told.sentence


def test_what_is_done_or_in_somebodys_hands_says_so() -> None:
    assert explain(replace(DUE, state=DeliveryState.DONE), AROUND).why is Why.DONE
    in_hand = explain(replace(DUE, state=DeliveryState.LEASED, leased_by="node/1"), AROUND)
    assert in_hand.why is Why.SENDING
    assert in_hand.sentence == "The process node/1 has it: it is being sent, or is among the next there"
    assert in_hand.estimated_at == NOON


def test_what_is_held_says_why_and_nobody_knows_until_when() -> None:
    held = explain(replace(DUE, state=DeliveryState.HELD, reason="sender not granted"), AROUND)
    assert held == Waiting(Why.HELD, "Held: sender not granted")


def test_what_is_due_later_is_scheduled_or_tried_again() -> None:
    later = replace(DUE, state=DeliveryState.WAITING, due_at=NOON + MINUTE)
    scheduled = explain(later, AROUND)
    assert (scheduled.why, scheduled.until) == (Why.SCHEDULED, NOON + MINUTE)
    again = explain(replace(later, attempts=1, reason="451 4.3.0 Not now"), AROUND)
    assert again.why is Why.RETRY
    assert again.sentence == "Tried again at 2026-03-02 12:01:00 UTC: 451 4.3.0 Not now"
    assert again.estimated_at == NOON + MINUTE
    released = explain(replace(later, attempts=1), AROUND)
    assert released == replace(again, sentence="Tried again at 2026-03-02 12:01:00 UTC")


def test_a_stop_is_told_by_how_far_it_goes() -> None:
    waiting = replace(DUE, state=DeliveryState.WAITING, due_at=NOON + MINUTE)
    for stops, reason in (
        (Stops(everything=stopped()), Why.STOPPED),
        (Stops(upstreams={"U1": stopped(upstream_id="U1")}), Why.STOPPED_UPSTREAM),
        (Stops(users={"bob": stopped(user_id="bob")}), Why.STOPPED_USER),
    ):
        around = replace(AROUND, stops=stops)
        assert explain(DUE, around).why is explain(waiting, around).why is reason
        assert explain(DUE, around).estimated_at is None
    elsewhere = Stops(upstreams={"U2": stopped(upstream_id="U2")}, users={"eve": stopped(user_id="eve")})
    assert explain(DUE, replace(AROUND, stops=elsewhere)).why is Why.NEXT


def test_a_route_that_leads_nowhere_is_named() -> None:
    assert why(DUE, Surroundings(NOON)) == (Why.NO_UPSTREAM, "No upstream was added yet")
    others = Surroundings(NOON, routing=RoutingTable({"U1": EAST}))
    assert why(DUE, others) == (Why.NO_UPSTREAM, "The default route leads to no upstream")
    off = {"U1": replace(EAST, is_enabled=False), "U2": replace(WEST, is_enabled=False)}
    around = replace(AROUND, routing=RoutingTable(off, (ROUTE,), ROUTE))
    assert why(DUE, around) == (
        Why.NO_UPSTREAM,
        "Route default leads to no upstream that is switched on",
    )


def test_upstreams_that_are_all_shut_are_told_with_the_one_that_opens_first() -> None:
    assert explain(DUE, stands(State.DOWN, "U1")).why is Why.NEXT  # the other one steps in
    down = explain(DUE, stands(State.DOWN, "U1", "U2", reason="421 4.3.2 Closing"))
    assert (down.why, down.until) == (Why.UPSTREAM_DOWN, NOON + MINUTE)
    assert down.sentence == (
        "Upstream east is down: 421 4.3.2 Closing; it goes on at 2026-03-02 12:01:00 UTC"
    )
    both = stands(State.DOWN, "U1", until=5 * MINUTE).stands, stands(State.SPENT, "U2").stands
    spent = explain(DUE, replace(AROUND, stands=both[0] | both[1]))  # type: ignore[operator]
    assert (spent.why, spent.until, spent.estimated_at) == (Why.UPSTREAM_LIMIT, NOON + MINUTE, NOON + MINUTE)


def test_mail_waits_for_an_upstream_at_its_limit_unless_that_overflows() -> None:
    spent = stands(State.SPENT, "U1", reason="100 messages an hour")
    assert why(DUE, spent) == (
        Why.UPSTREAM_LIMIT,
        "Upstream east has had its 100 messages an hour; it goes on at 2026-03-02 12:01:00 UTC",
    )
    overflowing = replace(EAST, limits=Limits(per_hour=100, overflows=True))
    routing = RoutingTable({"U1": overflowing, "U2": WEST}, (ROUTE,), ROUTE)
    assert explain(DUE, replace(spent, routing=routing)).why is Why.NEXT


def test_of_upstreams_that_share_the_work_all_must_be_stopped_but_no_other_steps_in() -> None:
    both = Route("R1", "default", None, (Leg("U1", 1), Leg("U2", 1)))
    stops = Stops(upstreams={"U1": stopped(upstream_id="U1")})
    shared = replace(AROUND, stops=stops, routing=RoutingTable({"U1": EAST, "U2": WEST}, (both,), both))
    assert explain(DUE, shared).why is Why.NEXT
    assert explain(DUE, replace(AROUND, stops=stops)).why is Why.STOPPED_UPSTREAM


def test_what_is_due_is_behind_so_many_others_or_next() -> None:
    assert explain(DUE, AROUND).why is Why.NEXT
    assert why(replace(DUE, ahead=1)) == (Why.BEHIND, "1 delivery goes before it")
    far = explain(replace(DUE, ahead=1200), AROUND)
    assert (far.sentence, far.ahead) == ("1200 deliveries go before it", 1200)
    assert far.estimated_at == NOON + timedelta(minutes=2)  # ten connections, a second each
    more = explain(replace(DUE, ahead=1000, is_more=True), AROUND)
    assert (more.sentence, more.estimated_at) == ("1000 or more deliveries go before it", None)


@given(
    state=st.sampled_from(DeliveryState),
    attempts=st.integers(0, 3),
    reason=st.none() | st.just("451 4.3.0 Not now"),
    ahead=st.integers(0, 5),
    stops=st.sampled_from(
        [Stops(), Stops(everything=stopped()), Stops(users={"bob": stopped(user_id="bob")})]
    ),
    shut=st.sampled_from([(), ("U1",), ("U1", "U2")]),
    how=st.sampled_from([State.WORKS, State.DOWN, State.PROBING, State.SPENT, State.PAUSING]),
    is_routed=st.booleans(),
)
def test_every_delivery_has_one_reason_and_one_sentence(
    state: DeliveryState,
    attempts: int,
    reason: str | None,
    ahead: int,
    stops: Stops,
    shut: tuple[str, ...],
    how: State,
    is_routed: bool,
) -> None:
    around = replace(stands(how, *shut), stops=stops, routing=ROUTING if is_routed else RoutingTable())
    one = Standing(state, "R1", NOON, attempts, reason, "node/1", "bob", ahead)
    told = explain(one, around)
    assert told.sentence
    assert not told.sentence.endswith(".")
    is_decided = told.why in {Why.HELD, Why.STOPPED, Why.STOPPED_USER, Why.DONE, Why.NO_UPSTREAM}
    assert not (is_decided and told.estimated_at)


def test_the_database_is_asked_for_all_of_it(engine: Engine) -> None:
    with engine.begin() as tx:
        tx.execute(
            insert(upstreams).values(id="U1", name="east", kind="smtp", host="h", port=25, created_at=NOON)
        )
        tx.execute(insert(routes), [
            {"id": "R1", "name": "default", "position": 9}, {"id": "R2", "name": "also", "position": 1},
        ])  # fmt: skip
        tx.execute(insert(route_upstreams), [
            {"route_id": "R1", "upstream_id": "U1", "position": 1},
            {"route_id": "R2", "upstream_id": "U1", "position": 1},
        ])  # fmt: skip
    low = make_acceptance(route_id="R1", priority=Priority.LOW)
    urgent = [make_acceptance(route_id=route, priority=Priority.HIGH) for route in ("R1", "R2", "R2")]
    in_hand = make_acceptance(route_id="R1", priority=Priority.VERY_HIGH, lease=lease())
    keep(engine, low, *urgent, in_hand)

    def told(message_id: str, at_most: int = 100) -> Waiting:
        around = read_with(engine, look_around, Sealer([Fernet.generate_key()]), NOON)
        key = DeliveryKey(message_id, 1)
        return read_with(engine, why_waiting, [key], around, at_most=at_most)[key]

    assert (told(low.id).why, told(low.id).ahead) == (Why.BEHIND, 4)
    assert told(low.id, at_most=2).sentence == "2 or more deliveries go before it"
    assert told(in_hand.id).sentence.startswith("The process node/1 has it")
    run(engine, hold, Hold(Selection(message_ids=(urgent[0].id,)), "look at it"))
    assert told(urgent[0].id).sentence == "Held: look at it"
    assert told(low.id).ahead == 3
    (first, *_) = claim(engine, route_id="R2", limit=1)
    finish(engine, make_settlement(first, DEFERRED, retry_at=NOON + MINUTE))
    assert told(first.key.message_id).sentence == "Tried again at 2026-03-02 12:01:00 UTC: 451 4.3.0 Not now"
    with engine.begin() as tx:
        tx.execute(insert(nodes).values(owner="node/1", started_at=NOON, seen_at=NOON))
        record_stands(tx, [Stand("U1", "node/1", State.DOWN, NOON, NOON + MINUTE, "421 4.3.2 Closing")])
    assert told(low.id).why is Why.UPSTREAM_DOWN
    run(engine, stop_mail, StopMail(Author("cli:ann", NOON, id_source()), EVERYTHING, "", ""))
    assert told(low.id).why is Why.STOPPED
