"""Of whom a token speaks: of nobody, unless all of it is in order."""

import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.accounts.tokens import BadKeys, BadToken, Terms, key_id, read_keys, user_named_in
from tests.kit.tokens import TERMS, b64url, claims, document, jwks, number, rsa_key, token

NOW = datetime.now(UTC)


def judged(text: str, *, keys: bytes | None = None, terms: Terms = TERMS, now: datetime = NOW) -> str:
    return user_named_in(text, read_keys(keys or document()), terms, now)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_of_the_issuer_names_its_user(algorithm: str) -> None:
    assert judged(token(algorithm=algorithm)) == "ann"
    assert judged(token(algorithm=algorithm, header={"kid": None, "typ": "at+JWT"})) == "ann"
    assert key_id(token(algorithm=algorithm)) == algorithm


def test_the_configured_claim_names_the_user() -> None:
    by_name = Terms(TERMS.issuer, TERMS.audience, "preferred_username")
    assert judged(token(claims(preferred_username="bob")), terms=by_name) == "bob"
    assert judged(token(claims(aud=["mail", "relay"]))) == "ann"


@pytest.mark.parametrize(
    "says",
    [
        {"iss": "https://login.example.org"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": {"relay": 1}},
        {"exp": None},
        {"exp": NOW.timestamp() - 61},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"nbf": NOW.timestamp() + 120},
        {"nbf": "now"},
        {"nbf": float("nan")},
        {"email": None},
        {"email": ""},
        {"email": ["ann"]},
        {"email_verified": False},
    ],
)
def test_claims_that_are_not_in_order_are_refused(says: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        judged(token(claims(**says)))


def test_clocks_may_differ_by_a_minute() -> None:
    written = token(claims(exp=NOW.timestamp(), nbf=NOW.timestamp()))
    assert judged(written, now=NOW + timedelta(seconds=59)) == "ann"
    assert judged(written, now=NOW - timedelta(seconds=59)) == "ann"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256"},  # with the kid of the RSA key
        {"alg": "RS512"},
        {"alg": None},
        {"alg": ["RS256"]},
        {"kid": "another"},
        {"crit": ["exp"]},
        {"typ": "dpop+jwt"},
        {"typ": "logout+jwt"},
        {"typ": 1},
    ],
)
def test_a_header_that_is_not_in_order_is_refused(header: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        judged(token(header=header))


def test_a_public_key_is_no_shared_secret() -> None:
    secret = json.dumps(jwks()[0]).encode()
    said = ".".join(
        b64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "RS256"}, claims())
    )
    forged = f"{said}.{b64url(hmac.digest(secret, said.encode(), 'sha256'))}"
    with pytest.raises(BadToken):
        judged(forged)
    with pytest.raises(BadToken):
        judged(said + ".")


def test_which_key_is_never_guessed() -> None:
    first, *_ = jwks()
    two = document([{**first, "kid": "a"}, {**first, "kid": "b"}])
    with pytest.raises(BadToken, match="which key"):
        judged(token(header={"kid": None}), keys=two)
    assert judged(token(header={"kid": "b"}), keys=two) == "ann"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_token_that_was_changed_is_refused(position: int) -> None:
    parts, others = token().split("."), token(claims(email="bob"), header={"typ": "JWT"}).split(".")
    parts[position] = others[position]
    with pytest.raises(BadToken, match="signature"):
        judged(".".join(parts))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "!.!.!",
        token() + "=",
        token() + "\n",
        "[" * 9000,
        token() + "A" * 9000,
    ]
    + [
        ".".join([b64url(deep), b64url(deep), "AA"]) for deep in (b"[" * 3000, b'"x"', b"{", b'{"alg":1e999}')
    ],
)
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        judged(text)


# --- the keys --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda key: {**key, "use": "enc"},
        lambda key: {**key, "key_ops": ["encrypt"]},
        lambda key: {**key, "alg": "RS512"},
        lambda key: {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        lambda key: {"kty": "EC", "crv": "P-521"},
        lambda key: {**key, "n": number(rsa_key(1024).public_key().public_numbers().n)},
    ],
)
def test_keys_for_something_else_are_passed_over(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    changed = change(jwks()[0])
    with pytest.raises(BadKeys):
        read_keys(document([changed]))
    assert len(read_keys(document([changed, *jwks()[1:]]))) == 2


@given(
    st.one_of(
        st.binary(max_size=80),
        st.sampled_from([b"[]", b"{}", b'{"keys":{}}', b'{"keys":[1]}', b'{"keys":[{"kty":"RSA"}]}']),
    )
)
def test_what_is_no_set_of_keys_is_refused(said: bytes) -> None:
    with pytest.raises(BadKeys):
        read_keys(said)


_TOKEN = token()  # one, for the next second's is another
_PART = st.one_of(st.binary(max_size=60).map(b64url), st.sampled_from(_TOKEN.split(".")), st.text(max_size=8))
_KEYS = read_keys(document())


@given(st.lists(_PART, min_size=1, max_size=4).map(".".join).filter(lambda text: text != _TOKEN))
def test_nobody_is_named_by_anything_else(text: str) -> None:
    try:
        assert user_named_in(text, _KEYS, TERMS, NOW) == "ann"
    except BadToken:
        return
    assert text.split(".")[:2] == _TOKEN.split(".")[:2]
