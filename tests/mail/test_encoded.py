"""Encoded words, read as mail programs read them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.encoded import (
    BadCharset,
    BadEncodedWord,
    decoded,
    encoded_words,
    exactly_decoded,
    readable,
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("plain", "plain"),
        ("=?", "=?"),
        ("a =?utf-8?q?b?= c", "a b c"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a_b?=", "a b"),
        ("=?utf-8?b?w7w?=", "ü"),
        ("=?utf-8?q?=FF?=", "\ufffd"),
        ("=?no-such?q?=FC?=", "ü"),
        ("=?rot13?q?abc?=", "abc"),  # a codec of Python's, not a charset
        ("=?unicode_escape?q?=5Cx40?=", "\\x40"),
        ("=?punycode?q?mnchen-3ya?=", "mnchen-3ya"),
    ],
)
def test_read(text: str, plain: str) -> None:
    assert decoded(text) == plain


@pytest.mark.parametrize("text", ["=?utf-8?q?a", "=?utf-8?x?a?=", "=?utf-8?b?A?=", "=?utf-8?b?\u00e4?="])
def test_what_only_begins_like_one_is_refused(text: str) -> None:
    with pytest.raises(BadEncodedWord):
        decoded(text)


pieces = st.sampled_from(["=?", "?=", "utf-8", "?q?", "?b?", "=4", "0", "_", " ", "ü", "A", "?"])


@given(st.lists(pieces, max_size=15).map("".join))
def test_anything_else_is_read_somehow_or_refused(text: str) -> None:
    assert readable(text).isprintable()
    with contextlib.suppress(BadEncodedWord):
        assert isinstance(decoded(text), str)


@pytest.mark.parametrize("text", ["=?utf-8?q?=FF?=", "=?no-such?q?a?=", "=?rot13?q?a?=", "=?punycode?q?a?="])
def test_who_must_not_guess_is_told_of_a_charset_that_is_not_that(text: str) -> None:
    with pytest.raises(BadCharset):
        exactly_decoded(text)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_is_written_in_encoded_words_is_read_from_them(text: str) -> None:
    words = encoded_words(text)
    assert max(map(len, words)) <= 75
    assert exactly_decoded(" ".join(words)) == text
