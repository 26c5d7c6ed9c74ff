"""What DSN's parameters may say: the grammar of RFC 3461 and RFC 6533, to the letter."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.dsn import ascii_orcpt, asks_for, is_envid, is_notify, is_orcpt, is_ret, is_silent
from relay.notify.xtext import utf8_decoded


@pytest.mark.parametrize("value", ["FULL", "HDRS", "full", "Hdrs"])
def test_ret(value: str) -> None:
    assert is_ret(value)


@pytest.mark.parametrize("value", ["", "BODY", "FULL,HDRS", " FULL"])
def test_not_ret(value: str) -> None:
    assert not is_ret(value)


@pytest.mark.parametrize("value", ["NEVER", "never", "SUCCESS", "success,Failure,DELAY", "DELAY,FAILURE"])
def test_notify(value: str) -> None:
    assert is_notify(value)


@pytest.mark.parametrize(
    "value",
    ["", "NEVER,FAILURE", "FAILURE,NEVER", "SUCCESS,", ",", "SUCCESS,SUCCESS", "ALWAYS", "SUCCESS DELAY"],
)
def test_not_notify(value: str) -> None:
    assert not is_notify(value)


@pytest.mark.parametrize("value", ["QQ314159", "a+2Bb", "+20", "x" * 100, "a;b<c>"])
def test_envid(value: str) -> None:
    assert is_envid(value)


@pytest.mark.parametrize(
    "value", ["", "x" * 101, "a=b", "a+", "a+2b", "+0A", "+7F", "+80", "a b", "ü", "a\x7f"]
)
def test_not_envid(value: str) -> None:
    assert not is_envid(value)


@pytest.mark.parametrize(
    "value", ["rfc822;bob@example.net", "rfc822;b+2Bx@example.net", "x400;/a/b", "utf-8;j\\x{FC}rgen@example"]
)
def test_orcpt(value: str) -> None:
    assert is_orcpt(value, smtputf8=False)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bob@example.net",
        ";bob",
        "rfc822;",
        "rfc 822;bob",
        "rfc822;a=b",
        "rfc822;" + "x" * 494,
        "rfc822;jürgen",
        "utf-8;j\\x{fc}rgen",
        "utf-8;j\\x{110000}",
        "utf-8;j\\x{0}",
        "utf-8;a+2Bb",
        "utf-8;a\\b",
    ],
)
@pytest.mark.parametrize("smtputf8", [True, False])
def test_not_orcpt(value: str, smtputf8: bool) -> None:
    assert not is_orcpt(value, smtputf8=smtputf8)


def test_orcpt_in_utf8_needs_smtputf8_and_its_own_type() -> None:
    assert is_orcpt("utf-8;jürgen@exämple.net", smtputf8=True)
    assert not is_orcpt("utf-8;jürgen@exämple.net", smtputf8=False)


@given(st.text(st.characters(min_codepoint=0x80, exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_utf8_becomes_ascii_that_is_still_an_orcpt_and_means_the_same(text: str) -> None:
    written = ascii_orcpt(f"utf-8;{text}@example")
    assert written.isascii()
    assert is_orcpt(written, smtputf8=False)
    printable = "".join(c for c in text if c.isprintable())
    assert re.sub(r"\\x\{[0-9A-F]+\}", "", utf8_decoded(written)) == f"utf-8;{printable}@example"


@given(st.text(max_size=120))
def test_whatever_is_taken_is_ascii_without_spaces(value: str) -> None:
    if is_envid(value) or is_orcpt(value, smtputf8=False) or is_notify(value):
        assert value.isascii()
        assert value.isprintable()
        assert " " not in value


def test_what_was_asked_for() -> None:
    assert asks_for("success,Delay", "DELAY")
    assert not asks_for(None, "FAILURE")
    assert is_silent("never")
    assert not is_silent(None)
