"""As whom a user may send: exactly what was granted, in whatever spelling, and nothing that looks like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import Address
from relay.policy.grants import BadPattern, Grants, parse_patterns


def may(patterns: str, address: str) -> bool:
    return Grants(parse_patterns(patterns)).allow(Address.parse(address))


@pytest.mark.parametrize(
    ("patterns", "address"),
    [
        ("ann@example.com", "ann@example.com"),
        ("ann@example.com", "ANN@Example.COM"),
        ("Ann@EXAMPLE.com", "ann@example.com"),
        ("ann@example.com", '"ann"@example.com'),
        ('"ann"@example.com', "ann@example.com"),
        ("example.com", "anybody@example.com"),
        ("EXAMPLE.com", "anybody@example.COM"),
        ("@example.com", "anybody@example.com"),
        ("*@example.com", "anybody@example.com"),
        ("example.com", '"any body"@example.com'),
        ("*.example.com", "ann@a.example.com"),
        ("*.example.com", "ann@A.B.C.Example.com"),
        ("@*.example.com", "ann@a.example.com"),
        ("*@*.example.com", "ann@a.example.com"),
        ("münchen.example", "ann@xn--mnchen-3ya.example"),
        ("xn--mnchen-3ya.example", "ann@münchen.example"),
        ("XN--MNCHEN-3YA.example", "ann@MÜNCHEN.example"),
        ("*.münchen.example", "ann@a.xn--mnchen-3ya.example"),
        ("jürgen@münchen.example", "JÜRGEN@xn--mnchen-3ya.example"),
        ("straße.example", "ann@xn--strae-oqa.example"),
        ("ann@[192.0.2.1]", "ann@[192.0.2.1]"),
        ("bob@example.net; example.com", "ann@example.com"),
        ("bob@example.net,example.com", "ann@example.com"),
        ("bob@example.net\nexample.com\n", "ann@example.com"),
        (" ; bob@example.net ,; example.com ", "ann@example.com"),
        ("example.com *.example.com", "ann@a.example.com"),
    ],
)
def test_granted(patterns: str, address: str) -> None:
    assert may(patterns, address)


@pytest.mark.parametrize(
    ("patterns", "address"),
    [
        ("", "ann@example.com"),
        ("ann@example.com", "bob@example.com"),
        ("ann@example.com", "aann@example.com"),
        ("ann@example.com", "annn@example.com"),
        ("ann@example.com", "ann+x@example.com"),
        ("ann@example.com", "a.nn@example.com"),
        ("ann@example.com", "ann@example.com.evil.example"),
        ("ann@example.com", "ann@evil-example.com"),
        ("ann@example.com", "ann@sub.example.com"),
        ("ann@example.com", "ann@com"),
        ("ann@example.com", '"ann@example.com"@evil.example'),
        ("ann@example.com", '"ann@example.com "@example.com'),
        ("example.com", "ann@sub.example.com"),
        ("example.com", "ann@evilexample.com"),
        ("example.com", "ann@evil-example.com"),
        ("example.com", "ann@example.com.evil.example"),
        ("example.com", "ann@example.co"),
        ("example.com", "ann@example.comm"),
        ("example.com", "ann@com"),
        ("example.com", "ann@example"),
        ("example.com", "example.com@evil.example"),
        ("example.com", '"x@example.com"@evil.example'),
        ("example.com", "ann@exarnple.com"),
        ("example.com", "ann@ex\u0430mple.com"),  # Cyrillic
        ("*.example.com", "ann@example.com"),
        ("*.example.com", "ann@evilexample.com"),
        ("*.example.com", "ann@a-example.com"),
        ("*.example.com", "ann@a.example.com.evil.example"),
        ("*.example.com", "ann@com"),
        ("@*.example.com", "ann@example.com"),
        ("*@example.com", "ann@a.example.com"),
        ("*.com", "ann@com"),
        ("strasse.example", "ann@straße.example"),
        ("straße.example", "ann@strasse.example"),
        ("strasse@example.com", "straße@example.com"),
        ("munchen.example", "ann@münchen.example"),
        ("1.2", "ann@[192.0.1.2]"),
        ("*.2.1", "ann@[192.0.2.1]"),
        ("[192.0.2.1]", "ann@[192.0.2.11]"),
    ],
)
def test_not_granted(patterns: str, address: str) -> None:
    assert not may(patterns, address)


def test_the_null_sender_is_granted_to_nobody() -> None:
    assert not Grants(parse_patterns("example.com *.com ann@example.com")).allow(Address.NULL)


@pytest.mark.parametrize(
    "pattern",
    ["*", "*.", "@", "*@", "@@example.com", "a@", "@a@b", "exa mple.com@", "*.*.example.com", "*example.com",
     "example.*", "-example.com", "example..com", ".example.com", "example.com.", "<ann@example.com>",
     "exa\0mple.com", "ann@exam_ple.com", "http://example.com", "x" * 64 + ".example"],
)  # fmt: skip
def test_what_is_no_pattern_is_named(pattern: str) -> None:
    with pytest.raises(BadPattern) as refusal:
        parse_patterns([pattern])
    assert pattern in str(refusal.value)


labels = st.text("ab-xn1", min_size=1, max_size=6).filter(lambda text: text.strip("-") == text)
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)
locals_ = st.text("abX.+", min_size=1, max_size=5).filter(
    lambda text: text.strip(".") == text and ".." not in text
)
spellings = st.sampled_from([str.lower, str.upper, str.title, str.swapcase])


@given(domains, domains, locals_, spellings)
def test_a_domain_grants_exactly_itself(granted: str, used: str, local: str, spelt: type[str]) -> None:
    assert may(granted, f"{local}@{spelt(used)}") == (granted == used)


@given(domains, domains, locals_, spellings)
def test_a_wildcard_grants_exactly_what_lies_below(
    granted: str, used: str, local: str, spelt: type[str]
) -> None:
    assert may(f"*.{granted}", f"{local}@{spelt(used)}") == used.endswith(f".{granted}")


@given(domains, domains, locals_, locals_, spellings)
def test_an_address_grants_exactly_itself(
    granted: str, used: str, local: str, other: str, spelt: type[str]
) -> None:
    allowed = may(f"{local}@{granted}", spelt(f"{other}@{used}"))
    assert allowed == ((local.lower(), granted) == (other.lower(), used))


@given(st.lists(st.one_of(domains, domains.map("*.{}".format), st.builds("{}@{}".format, locals_, domains))))
def test_patterns_read_again_stay_what_they_are(patterns: list[str]) -> None:
    once = parse_patterns(patterns)
    assert parse_patterns(once) == once
    assert parse_patterns("; ".join(patterns)) == once
