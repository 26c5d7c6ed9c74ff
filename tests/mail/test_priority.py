"""Priority: every way to name it has one meaning, and nobody raises a message beyond what he may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.priority import FIELDS, Priority, combine, from_field, from_mt_priority

VERY_HIGH, HIGH, NORMAL, LOW, VERY_LOW = Priority


@pytest.mark.parametrize(
    ("value", "priority"),
    [(9, VERY_HIGH), (4, VERY_HIGH), (3, HIGH), (1, HIGH), (0, NORMAL), (-1, LOW), (-3, LOW), (-4, VERY_LOW),
     (-9, VERY_LOW)],
)  # fmt: skip
def test_mt_priority_covers_all_five(value: int, priority: Priority) -> None:
    assert from_mt_priority(value) is priority


@pytest.mark.parametrize(
    ("name", "value", "priority"),
    [
        ("x-priority", "1", VERY_HIGH),
        ("x-priority", " 1 (Highest)", VERY_HIGH),
        ("x-priority", "2 (High)", HIGH),
        ("x-priority", "3", NORMAL),
        ("x-priority", "5(Lowest)", VERY_LOW),
        ("x-priority", "10", None),
        ("x-priority", "0", None),
        ("x-priority", "6", None),
        ("x-priority", "-1", None),
        ("x-priority", "high", None),
        ("x-priority", "", None),
        ("x-priority", "\u0661", None),
        ("importance", "High", HIGH),
        ("importance", " low ", LOW),
        ("importance", "normal", NORMAL),
        ("importance", "1", None),
        ("priority", "urgent", HIGH),
        ("priority", "Non-Urgent", LOW),
        ("priority", "normal", NORMAL),
        ("priority", "high", None),
        ("x-msmail-priority", "High", HIGH),
        ("x-msmail-priority", "Low", LOW),
        ("mt-priority", "9", VERY_HIGH),
        ("mt-priority", "-9 (x)", VERY_LOW),
        ("mt-priority", "+3", HIGH),
        ("mt-priority", "2(x)", HIGH),
        ("mt-priority", "0_4", None),
        ("mt-priority", "\u0664", None),
        ("mt-priority", "10", None),
        ("mt-priority", "", None),
        ("mt-priority", "high", None),
        ("x-smtpapi", '{"priority": 1}', VERY_HIGH),
        ("x-smtpapi", '{"Priority": "2", "CampaignName": "x"}', HIGH),
        ("x-smtpapi", '{"priority": 6}', None),
        ("x-smtpapi", '{"priority": true}', None),
        ("x-smtpapi", '{"priority": [1]}', None),
        ("x-smtpapi", '{"category": "x"}', None),
        ("x-smtpapi", "[1]", None),
        ("x-smtpapi", "not JSON", None),
        ("x-smtpapi", '{"priority": ' + "9" * 10_000 + "}", None),
        ("x-smtpapi", "[" * 100_000, None),
        ("subject", "urgent", None),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_what_a_field_names(name: str, value: str, priority: Priority | None) -> None:
    assert from_field(name, value) is priority


@given(st.sampled_from(sorted(FIELDS)), st.text(max_size=40))
def test_a_senseless_hint_names_nothing_and_harms_nothing(name: str, value: str) -> None:
    assert from_field(name, value) in {None, *Priority}


priorities = st.sampled_from(Priority)


@given(priorities, st.lists(st.none() | priorities, max_size=5), st.none() | priorities)
def test_the_higher_wins_and_the_cap_holds(
    default: Priority, named: list[Priority | None], highest: Priority | None
) -> None:
    combined = combine(default, named, highest)
    strongest = min([default, *filter(None, named)])
    assert combined == (strongest if highest is None else max(strongest, highest))
    assert highest is None or combined >= highest
