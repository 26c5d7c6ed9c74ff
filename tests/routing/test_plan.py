"""The plan of a message against the rule as it is told: for each recipient the first route that is for it."""

from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.mail.priority import Priority
from relay.policy.grants import Grants
from relay.routing.conditions import Conditions, from_members, to_members
from relay.routing.routes import Leg, Route, RoutingTable, plan

USERS = st.sampled_from(["ann", "bob", "cid"])
ADDRESSES = st.sampled_from(["a@one.example", "b@one.example", "a@sub.one.example", "a@two.example"])
PATTERNS = st.sampled_from(["a@one.example", "one.example", "*.one.example", "two.example"])
TAGS = st.sampled_from(["news", "order"])
SIZES = st.integers(0, 4)

some_patterns = st.none() | st.lists(PATTERNS, min_size=1, max_size=2).map(lambda p: Grants(tuple(sorted(p))))
conditions = st.builds(
    Conditions,
    users=st.frozensets(USERS, max_size=2),
    senders=some_patterns,
    recipients=some_patterns,
    tags=st.frozensets(TAGS, max_size=1),
    priorities=st.frozensets(st.sampled_from(Priority), max_size=2),
    least=st.none() | SIZES,
    most=st.none() | SIZES,
)
rules = st.lists(st.tuples(conditions, st.none() | USERS), max_size=6)
envelopes = st.builds(
    lambda sender, to: Envelope(
        Address.parse(sender), tuple(Recipient(n, Address.parse(text)) for n, text in enumerate(to, 1))
    ),
    ADDRESSES,
    st.lists(ADDRESSES, min_size=1, max_size=5),
)
DEFAULT = Route("default", "default", None, (Leg("U"),))


@given(rules, envelopes, st.none() | USERS, st.none() | TAGS, st.sampled_from(Priority), SIZES)
def test_every_recipient_goes_by_the_first_route_that_is_for_it(
    asked: list[tuple[Conditions, str | None]],
    envelope: Envelope,
    user: str | None,
    tag: str | None,
    priority: Priority,
    octets: int,
) -> None:
    routes = [
        Route(f"R{n}", f"r{n}", owner, (Leg("U"),), Conditions() if owner else so)
        for n, (so, owner) in enumerate(asked)
    ]
    table = RoutingTable({}, (*routes, DEFAULT), DEFAULT)
    planned = plan(table, envelope, user, tag=tag, priority=priority, octets=octets)
    numbers = sorted(number for numbers in planned.values() for number in numbers)
    assert numbers == [recipient.number for recipient in envelope.recipients]
    for recipient in envelope.recipients:
        (went,) = [route_id for route_id, numbers in planned.items() if recipient.number in numbers]
        first = next(
            (route for route in routes if _is_for(route, envelope, recipient, user, tag, priority, octets)),
            DEFAULT,
        )
        assert went == first.id


def _is_for(
    route: Route,
    envelope: Envelope,
    recipient: Recipient,
    user: str | None,
    tag: str | None,
    priority: Priority,
    octets: int,
) -> bool:
    so = route.conditions
    return all(
        (
            route.user_id in {None, user},
            not so.users or user in so.users,
            so.senders is None or so.senders.allow(envelope.sender),
            so.recipients is None or so.recipients.allow(recipient.address),
            not so.tags or tag in so.tags,
            not so.priorities or priority in so.priorities,
            so.least is None or octets >= so.least,
            so.most is None or octets <= so.most,
        )
    )


@given(conditions)
def test_conditions_are_kept_as_they_were_asked(asked: Conditions) -> None:
    assert from_members(to_members(asked)) == asked


def test_mail_without_a_sender_is_from_nobody() -> None:
    asked = Conditions(senders=Grants(("one.example",)))
    assert not asked.fit(Address.NULL, tag=None, priority=Priority.NORMAL, octets=1)
