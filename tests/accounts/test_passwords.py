"""Passwords: what is made, what is kept of them, and what is never kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.accounts import passwords


def test_a_generated_password_is_long_and_cannot_be_misread() -> None:
    made = {passwords.generate_password() for _ in range(200)}
    assert len(made) == 200
    assert all(len(password) >= 24 for password in made)
    assert not set("".join(made)) & set("l1IO0o")


def test_what_is_stored_is_argon2id_with_the_parameters_of_the_house() -> None:
    hashed = passwords.hash_password("correct horse battery")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "correct" not in hashed
    assert passwords.verify_password("correct horse battery", hashed)
    assert not passwords.verify_password("Correct horse battery", hashed)
    assert not passwords.is_outdated(hashed)


def test_the_same_sign_typed_on_two_systems_is_the_same_password() -> None:
    assert passwords.verify_password("gru\u0308n wie Gras", passwords.hash_password("gr\u00fcn wie Gras"))


def test_a_hash_made_with_weaker_parameters_is_outdated() -> None:
    assert passwords.is_outdated("$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b5dWQ")


@pytest.mark.parametrize("wrong", ["", "a\0b", "x" * 5000])
def test_what_could_never_be_a_password_is_simply_wrong(wrong: str) -> None:
    assert not passwords.verify_password(wrong, passwords.hash_password("correct horse battery"))


@pytest.mark.parametrize("weak", ["short", "x" * 1025, "with\nnewline", "with\0nul here"])
def test_what_an_operator_may_not_set_is_refused_without_repeating_it(weak: str) -> None:
    with pytest.raises(passwords.BadPassword) as refusal:
        passwords.check_password(weak)
    assert weak not in str(refusal.value)


@given(st.text(min_size=8, max_size=100).filter(str.isprintable))
def test_anything_printable_of_some_length_may_be_set(password: str) -> None:
    assert passwords.check_password(password) == password
