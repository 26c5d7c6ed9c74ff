"""MTA-STS: the record that says there is a policy, the policy, and whom it names."""

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.mta_sts import LONGEST_AGE, BadPolicy, Mode, Policy, parse_policy, policy_id

GOOD = b"version: STSv1\r\nmode: enforce\r\nmx: mx1.example.net\r\nmx: *.Example.org\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    ("texts", "identity"),
    [
        ([b"v=STSv1; id=20260101T000000;"], "20260101T000000"),
        ([b"v=STSv1;id=1"], "1"),
        ([b"v=spf1 -all", b"v=STSv1; id=a; later=b"], "a"),
        ([], None),
        ([b"v=spf1 -all"], None),
        ([b"v=STSv1; id=1;", b"v=STSv1; id=2;"], None),
        ([b"v=STSv1;"], None),
        ([b"v=STSv1; id=with-dash"], None),
        ([b"v=STSv1; id=" + b"x" * 33], None),
        ([b"v=STSv10; id=1"], None),
        ([b" v=STSv1; id=1"], None),
        ([b"\xff\xfe"], None),
    ],
)
def test_the_id_of_the_policy_in_force(texts: list[bytes], identity: str | None) -> None:
    assert policy_id(texts) == identity


def test_a_policy() -> None:
    assert parse_policy(GOOD) == Policy(Mode.ENFORCE, timedelta(days=7), ("mx1.example.net", "*.example.org"))
    assert parse_policy(GOOD.replace(b"\r\n", b"\n")) == parse_policy(GOOD)
    assert parse_policy(GOOD + b"mode: none\r\nsomething_new: x\r\n\r\n") == parse_policy(GOOD)
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 99999999999999"[:-4]).max_age == LONGEST_AGE


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (b"", "version"),
        (b"<!DOCTYPE html>\n<html></html>", "no field"),
        (GOOD.replace(b"STSv1", b"STSv2"), "version"),
        (GOOD.replace(b"enforce", b"maybe"), "mode"),
        (GOOD.replace(b"604800", b"a week"), "max_age"),
        (GOOD.replace(b"604800", b"-1"), "max_age"),
        (GOOD.replace(b"604800", b"9" * 400), "max_age"),
        (b"version: STSv1\nmode: testing\nmax_age: 1\n", "no exchanger"),
    ],
)
def test_what_is_no_policy(policy: bytes, why: str) -> None:
    with pytest.raises(BadPolicy, match=why):
        parse_policy(policy)


@pytest.mark.parametrize(
    ("host", "is_named"),
    [
        ("mx1.example.net", True),
        ("MX1.example.net.", True),
        ("mx2.example.net", False),
        ("example.net", False),
        ("a.example.org", True),
        ("a.b.example.org", False),
        ("example.org", False),
        ("org", False),
        ("", False),
    ],
)
def test_whom_it_names(host: str, is_named: bool) -> None:
    assert parse_policy(GOOD).names(host) == is_named


@given(st.binary(max_size=200))
def test_whatever_is_published_is_a_policy_or_a_bad_one(octets: bytes) -> None:
    policy_id([octets])
    with suppress(BadPolicy):
        parse_policy(octets)


labels = st.text("abcdefgh", min_size=1, max_size=5)


@given(st.lists(labels, min_size=2, max_size=5))
def test_a_star_stands_for_exactly_one_label(name: list[str]) -> None:
    policy = Policy(Mode.ENFORCE, timedelta(1), ("*." + ".".join(name),))
    assert policy.names(".".join(["mx", *name]))
    assert not policy.names(".".join(name))
    assert not policy.names(".".join(["mx", "mx", *name]))
