"""A profile is a pure value: folded names, and no contradictions in it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.accounts.profile import (
    BadAccount,
    Profile,
    checked,
    difference,
    fold_name,
    limits_from_text,
    limits_to_text,
    warnings,
)
from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.policy.decision import Mismatch
from relay.policy.grants import BadPattern
from relay.policy.submission import Limits


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Ann", "ann"),
        ("ANN@Example.COM", "ann@example.com"),
        ("JU\u0308RGEN", "j\u00fcrgen"),
        ("web-01", "web-01"),
    ],
)
def test_names_are_compared_without_regard_to_case_and_composition(written: str, stored: str) -> None:
    assert fold_name(written) == stored


@pytest.mark.parametrize("name", ["", "ann smith", "ann\n", "a\0b", "\u00a0", "x" * 256])
def test_a_name_that_no_client_could_send_is_refused(name: str) -> None:
    with pytest.raises(BadAccount):
        fold_name(name)


@given(st.text(min_size=1, max_size=40))
def test_folding_twice_changes_nothing(name: str) -> None:
    try:
        folded = fold_name(name)
    except BadAccount:
        return
    assert fold_name(folded) == folded
    assert fold_name(name.upper().lower()) == fold_name(fold_name(name.upper().lower()))


def test_patterns_are_folded_and_sorted() -> None:
    profile = checked(Profile(patterns=("Example.com", "*.Example.org", "Ann@Example.net")))
    assert profile.patterns == ("*.example.org", "ann@example.net", "example.com")


@pytest.mark.parametrize(
    ("profile", "because"),
    [
        (Profile(default_priority=Priority.HIGH, highest_priority=Priority.NORMAL), "above the highest"),
        (Profile(mismatch=Mismatch.REWRITE), "needs a default sender"),
        (Profile(("example.com",), default_sender=Address.parse("a@example.org")), "not among the senders"),
    ],
)
def test_a_profile_that_contradicts_itself_is_refused_with_the_reason(profile: Profile, because: str) -> None:
    with pytest.raises(BadAccount, match=because):
        checked(profile)


def test_a_pattern_that_is_none_is_named() -> None:
    with pytest.raises(BadPattern, match='"not a domain"'):
        checked(Profile(patterns=("not a domain",)))


def test_a_user_who_may_send_as_nobody_is_warned_of_unless_inactive() -> None:
    assert "send nothing" in warnings(Profile())[0]
    assert not warnings(Profile(is_active=False))
    assert not warnings(Profile(patterns=("example.com",)))


def test_the_difference_names_old_and_new() -> None:
    before = Profile(patterns=("example.com",))
    after = replace(before, notes="x", contact_address=Address.parse("ann@example.com"))
    assert difference(before, after) == {"notes": ["", "x"], "contact_address": [None, "ann@example.com"]}
    assert difference(before, before) == {}


def test_limits_survive_being_stored_and_members_of_later_versions_are_skipped() -> None:
    limits = Limits(max_message_bytes=1000)
    assert limits_from_text(limits_to_text(limits)) == limits
    assert limits_to_text(Limits()) == "{}"
    assert limits_from_text('{"max_recipients": 7, "per_fortnight": 9}') == Limits(max_recipients=7)
