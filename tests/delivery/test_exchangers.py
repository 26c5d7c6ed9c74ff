"""Who takes a domain's mail, and in which order."""

from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from dns.rcode import Rcode
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.classify import Scope, Trouble
from relay.delivery.resolver import Exchanger, Resolver
from relay.delivery.transports.exchangers import exchangers_of, in_order
from relay.routing.name_server import NameServer
from tests.kit.dns import FakeDns, fake_dns

OURS = "relay.example"


@pytest.fixture
def dns() -> Iterator[FakeDns]:
    with fake_dns() as dns:
        yield dns


async def found(dns: FakeDns, domain: str) -> list[str]:
    resolver = Resolver(NameServer("127.0.0.1", dns.port), seconds=2)
    return list(await exchangers_of(domain, resolver, own_name=OURS, rng=Random(1)))


async def test_by_preference_whatever_order_dns_has_them_in(dns: FakeDns) -> None:
    dns.has("example.net", "MX", "30 c.example.net.", "10 a.example.net.", "20 b.example.net.")
    assert await found(dns, "example.net") == ["a.example.net", "b.example.net", "c.example.net"]


async def test_a_domain_without_mx_takes_its_mail_itself(dns: FakeDns) -> None:
    dns.has("example.net", "A", "127.0.0.2")
    dns.has("six.example", "AAAA", "::1")
    assert await found(dns, "example.net") == ["example.net"]
    assert await found(dns, "six.example") == ["six.example"]


async def test_an_alias_has_the_exchangers_of_its_target(dns: FakeDns) -> None:
    dns.aliases["alias.example"] = "example.net"
    dns.has("example.net", "MX", "10 mx.example.net.")
    assert await found(dns, "alias.example") == ["mx.example.net"]


@pytest.mark.parametrize(
    ("literal", "host"),
    [("[127.0.0.2]", "127.0.0.2"), ("[ipv6:::1]", "::1")],
)
async def test_an_address_literal_is_asked_nobody_about(dns: FakeDns, literal: str, host: str) -> None:
    assert await found(dns, literal) == [host]
    assert dns.asked == []


@pytest.mark.parametrize(
    ("domain", "told"),
    [
        ("nobody.example", "550 5.1.2 There is no domain nobody.example in DNS"),
        ("web.example", "550 5.1.2 The domain web.example has neither a mail exchanger nor an address"),
        ("null.example", "556 5.1.10 The domain null.example takes no mail, as it says in DNS (null MX)"),
        ("ours.example", "554 5.4.6 Mail for ours.example would come back to this relay, which DNS names"),
        ("backup.example", "554 5.4.6 Mail for backup.example would come back"),
        ("broken.example", "451 4.4.3 DNS could not be asked for broken.example: the name servers cannot"),
        ("odd.example", "451 4.4.4 None of the mail exchangers that odd.example names has an address"),
    ],
)
async def test_nobody_takes_it(dns: FakeDns, domain: str, told: str) -> None:
    dns.has("web.example", "TXT", '"v=spf1 -all"')
    dns.has("null.example", "MX", "0 .")
    dns.has("ours.example", "MX", f"10 {OURS.upper()}.")
    dns.has("backup.example", "MX", f"10 {OURS}.", "20 mx.example.net.")
    dns.has("odd.example", "MX", "10 192.0.2.1.", r"20 a\032b.example.")
    dns.fails("broken.example", Rcode.SERVFAIL)
    with pytest.raises(Trouble) as trouble:
        await found(dns, domain)
    assert str(trouble.value.reply).startswith(told)
    assert trouble.value.scope is Scope.MESSAGE


async def test_a_name_server_that_is_silent(dns: FakeDns) -> None:
    dns.fails("example.net", None)
    with pytest.raises(Trouble, match=r"451 4\.4\.3 .*no name server answered in time"):
        await exchangers_of(
            "example.net",
            Resolver(NameServer("127.0.0.1", dns.port), seconds=0.1),
            own_name=OURS,
            rng=Random(1),
        )


# The order ------------------------------------------------------------------------------------------

hosts = st.sampled_from(["a.example", "b.example", "c.example", "d.example", "e.example", "f.example", OURS])
records = st.lists(st.builds(Exchanger, st.integers(0, 5), hosts), max_size=12)


@given(records, st.integers())
def test_whoever_is_preferred_goes_first_and_nobody_at_or_behind_ourselves(
    found: list[Exchanger], seed: int
) -> None:
    order = in_order(found, own_name=OURS, rng=Random(seed))
    best = {host: min(each.preference for each in found if each.host == host) for host in order}
    assert [best[host] for host in order] == sorted(best.values())
    limit = min((each.preference for each in found if each.host == OURS), default=99)
    wanted = {each.host for each in found if each.preference < limit}
    assert sorted(order) == sorted(wanted)


def test_equals_share_the_mail() -> None:
    found = [Exchanger(10, host) for host in ("a.example", "b.example", "c.example")]
    firsts = Counter(in_order(found, own_name=OURS, rng=Random(seed))[0] for seed in range(300))
    assert all(60 < firsts[each.host] < 140 for each in found)
