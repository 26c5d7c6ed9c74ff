"""From where and to whom a user may send."""

import pytest

from relay.mail.address import Address
from relay.mail.envelope import Recipient
from relay.policy import Stage, decide, explain
from relay.policy.decision import ACCEPT, Mismatch, Reject
from relay.policy.grants import Grants
from relay.policy.limits import Limits, from_members, to_members
from relay.policy.networks import BadNetwork, Networks, parse_networks
from relay.policy.quotas import Beyond, Quota, Unit, Window
from tests.policy.makers import SESSION, submission


@pytest.mark.parametrize(
    ("address", "is_inside"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("192.0.3.7", False),
        ("2001:db8::1", True),
        ("fe80::1%eth0", True),
        ("", False),
        ("a name", False),
    ],
)
def test_an_address_is_inside_or_not(address: str, is_inside: bool) -> None:
    assert parse_networks("192.0.2.0/24, 2001:db8::/32; fe80::/10").hold(address) is is_inside


def test_a_network_of_mapped_addresses_is_one_of_ipv4() -> None:
    networks = parse_networks("::ffff:192.0.2.0/120 ::ffff:198.51.100.7 ::fffe:0:0/95")
    assert networks.prefixes == ("192.0.2.0/24", "198.51.100.7/32", "::fffe:0:0/95")
    assert networks.hold("192.0.2.7")


@pytest.mark.parametrize("text", ["192.0.2.1/24", "here", "300.0.0.0/8", "192.0.2.0/33"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(BadNetwork, match=text):
        parse_networks(f"10.0.0.0/8 {text}")


@pytest.mark.parametrize(("network", "passes"), [("192.0.2.0/24", True), ("198.51.100.0/24", False)])
def test_who_comes_from_elsewhere_is_refused_at_mail(network: str, passes: bool) -> None:
    asked = submission(user={"limits": Limits(networks=Networks((network,)))})
    decision = decide(Stage.MAIL, asked._replace(session=SESSION))
    assert decision == ACCEPT if passes else isinstance(decision, Reject)
    if isinstance(decision, Reject):
        assert (decision.rule, decision.reply.code, decision.reply.status) == (
            "origin_is_allowed",
            550,
            "5.7.1",
        )


@pytest.mark.parametrize(
    ("recipient", "passes"), [("r@example.net", True), ("r@sub.example.net", False), ("r@evil.test", False)]
)
def test_only_the_last_recipient_is_asked_about(recipient: str, passes: bool) -> None:
    asked = submission(user={"limits": Limits(recipients=Grants(("example.net",)))})
    envelope = asked.envelope._replace(recipients=(Recipient(1, Address.parse(recipient)),))
    decision = decide(Stage.RCPT, asked._replace(envelope=envelope))
    assert decision == ACCEPT if passes else isinstance(decision, Reject)


def test_the_null_sender_needs_a_granted_from_even_where_all_is_allowed() -> None:
    foreign = b"From: boss@elsewhere.test\r\n\r\n"
    asked = submission(sender="", header=foreign, user={"mismatch": Mismatch.ALLOW})
    assert isinstance(decide(Stage.DATA, asked), Reject)
    named = submission(header=foreign, user={"mismatch": Mismatch.ALLOW})
    assert not isinstance(decide(Stage.DATA, named), Reject)


def test_every_check_can_be_asked_by_itself() -> None:
    asked = submission(sender="boss@elsewhere.test", size_declared=20, limits=Limits(max_message_bytes=10))
    said = {name: isinstance(decision, Reject) for name, decision in explain(Stage.MAIL, asked)}
    assert said == {
        "origin_is_allowed": False,
        "sender_is_granted": True,
        "fits_size": True,
        "within_whole_quotas": False,
    }


def test_limits_are_read_as_they_were_written() -> None:
    limits = Limits(
        max_message_bytes=1,
        recipients=Grants(("example.net",)),
        networks=Networks(("10.0.0.0/8",)),
        quotas=(Quota(Unit.MESSAGES, Window.HOUR, 10), Quota(Unit.OCTETS, Window.DAY, 1000)),
        beyond=Beyond.HOLD,
    )
    assert from_members(to_members(limits)) == limits
    assert to_members(Limits()) == {}
    assert from_members({"of_a_newer_version": 1}) == Limits()
