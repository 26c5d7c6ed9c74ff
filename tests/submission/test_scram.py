"""SCRAM-SHA-256: the client never says its password, and both sides prove that they know it."""

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import certificates
from relay.accounts.proofs import Candidate, Proofs
from relay.accounts.scram import keys_of
from relay.policy.grants import Grants
from relay.policy.submission import User
from relay.submission.conversation import BadResponse, Circumstances, Inquiry, Proof
from relay.submission.scram import _scram
from tests.kit.converse import Client
from tests.kit.house import PASSWORD, House
from tests.kit.scram import Login, b64, challenge_of, log_in

ANN = User("1", "user", Grants(()), credential_id="2")


async def at_the_door(house: House, listener: str = "submissions") -> Client:
    client = await Client.connect(house.ports[listener], tls=listener == "submissions")
    await client.reply()
    await client.ask("EHLO laptop.example.com")
    return client


async def tried(house: House, login: Login, mechanism: str = "SCRAM-SHA-256") -> str:
    client = await at_the_door(house)
    try:
        return await log_in(client, login, mechanism)
    finally:
        await client.close()


# --- the RFC's own words ---------------------------------------------------------------------


def test_the_example_of_rfc_7677() -> None:
    keys = keys_of("pencil", b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    talk = _scram(Circumstances(), is_bound=False, server_nonce="%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
    assert next(talk) == b""
    assert talk.send(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == Inquiry("user")
    assert talk.send(Proofs((Candidate(keys, ANN),), 0)) == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    assert (
        talk.send(
            b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        )
        == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )
    with pytest.raises(StopIteration) as end:
        talk.send(b"")
    assert isinstance(end.value.value, Proof)
    assert end.value.value.given.user == ANN


@pytest.mark.parametrize(
    "first",
    [
        "",
        "n",
        "n,,",
        "n,,n=user",
        "n,,r=nonce",
        "n,,m=x,n=user,r=nonce",  # an extension that must be understood
        "x,,n=user,r=nonce",
        "n,user,n=user,r=nonce",
        "n,,n=,r=nonce",
        "n,,n=user,r=",
        "n,,n=us=er,r=nonce",
        "n,,n=us=2cer,r=nonce",
        "n,,n=user,r=non,ce",
        "n,,n=user,r=n\u00f6nce",
        "n,,n=us\0er,r=nonce",
        "p=tls-server-end-point,,n=user,r=nonce",
        "n,,n=user,r=" + "n" * 513,
    ],
)
def test_a_first_message_that_is_not_wholly_understood_is_refused(first: str) -> None:
    talk = _scram(Circumstances(), is_bound=False)
    next(talk)
    with pytest.raises(BadResponse):
        talk.send(first.encode())


# --- at the door -----------------------------------------------------------------------------


async def test_the_right_password_is_let_in(house: House) -> None:
    client = await at_the_door(house)
    assert "SCRAM-SHA-256" in (await client.ask("EHLO laptop.example.com"))
    assert "SCRAM-SHA-256-PLUS" not in "\n".join(client.lines)
    assert (await log_in(client, Login("ann", PASSWORD))).startswith("235 2.7.0")
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("250")
    await client.close()


async def test_without_an_initial_response_the_client_is_asked_for_it(house: House) -> None:
    client, login = await at_the_door(house), Login("ann", PASSWORD)
    assert await client.ask("AUTH SCRAM-SHA-256") == "334 "
    challenge = challenge_of(await client.ask(b64(login.first.encode())))
    assert (await client.ask(b64(login.final(challenge).encode()))).startswith("334 ")
    assert (await client.ask("")).startswith("235")
    await client.close()


@pytest.mark.parametrize(
    "login",
    [
        Login("ann", "wrong password"),
        Login("nobody", PASSWORD),
        Login("carl", PASSWORD),  # not active
        Login("ann", PASSWORD, header="n,a=bob,"),  # acting for somebody else
        Login("ann", PASSWORD, binding=b"x"),
    ],
)
async def test_everybody_else_is_refused_alike(house: House, login: Login) -> None:
    assert await tried(house, login) == "535 5.7.8 Authentication credentials invalid"


async def test_a_name_is_found_in_any_letter_case_and_may_act_as_itself(house: House) -> None:
    assert (await tried(house, Login("Ann", PASSWORD, header="n,a=Ann,"))).startswith("235")


async def test_an_unknown_name_has_a_salt_that_stays(house: House) -> None:
    seen = set()
    for _ in range(3):
        client = await at_the_door(house)
        reply = await client.ask(f"AUTH SCRAM-SHA-256 {b64(Login('nobody', PASSWORD).first.encode())}")
        seen.add(challenge_of(reply).partition(",")[2])
        await client.close()
    assert len(seen) == 1
    assert seen.pop().endswith(",i=4096")


async def test_the_nonce_must_be_ours(house: House) -> None:
    client, login = await at_the_door(house), Login("ann", PASSWORD)
    challenge = challenge_of(await client.ask(f"AUTH SCRAM-SHA-256 {b64(login.first.encode())}"))
    final = login.final(challenge, nonce=login.nonce + "of-another-day")
    assert (await client.ask(b64(final.encode()))).startswith("535")
    await client.close()


async def test_a_signature_is_answered_with_an_empty_line(house: House) -> None:
    client, login = await at_the_door(house), Login("ann", PASSWORD)
    challenge = challenge_of(await client.ask(f"AUTH SCRAM-SHA-256 {b64(login.first.encode())}"))
    await client.ask(b64(login.final(challenge).encode()))
    assert (await client.ask(b64(b"more"))).startswith("501")
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("530")
    await client.close()


async def test_a_login_during_which_the_accounts_changed_is_tried_again(house: House) -> None:
    client, login = await at_the_door(house), Login("ann", PASSWORD)
    challenge = challenge_of(await client.ask(f"AUTH SCRAM-SHA-256 {b64(login.first.encode())}"))
    house.verifier.forget()
    await client.ask(b64(login.final(challenge).encode()))
    assert (await client.ask("")).startswith("454 4.7.0")
    await client.close()


# --- channel binding -------------------------------------------------------------------------


def end_point(house: House) -> bytes:
    binding = certificates.end_point_of(house.door.tls_context)
    assert binding is not None
    return binding


async def test_a_login_can_be_bound_to_the_certificate(house: House) -> None:
    house.set("offer_channel_binding", "yes")
    client = await at_the_door(house)
    assert "SCRAM-SHA-256-PLUS" in (await client.ask("EHLO laptop.example.com"))
    login = Login("ann", PASSWORD, "p=tls-server-end-point,,", end_point(house))
    assert (await log_in(client, login, "SCRAM-SHA-256-PLUS")).startswith("235")
    await client.close()


async def test_a_login_bound_to_another_certificate_is_refused(house: House) -> None:
    house.set("offer_channel_binding", "yes")
    login = Login("ann", PASSWORD, "p=tls-server-end-point,,", b"\0" * 32)
    assert (await tried(house, login, "SCRAM-SHA-256-PLUS")).startswith("535")


async def test_a_client_that_was_kept_from_binding_is_refused(house: House) -> None:
    could = Login("ann", PASSWORD, header="y,,")
    assert (await tried(house, could)).startswith("235")  # we did not offer it, so nobody hid it
    house.set("offer_channel_binding", "yes")
    assert (await tried(house, could)).startswith("535")
    assert (await tried(house, Login("ann", PASSWORD))).startswith("235")


@pytest.mark.parametrize("header", ["n,,", "y,,", "p=tls-unique,,", "p=tls-exporter,,"])
async def test_the_bound_mechanism_takes_only_the_binding_that_there_is(house: House, header: str) -> None:
    house.set("offer_channel_binding", "yes")
    login = Login("ann", PASSWORD, header, end_point(house))
    assert (await tried(house, login, "SCRAM-SHA-256-PLUS")).startswith("501")


async def test_without_tls_there_is_nothing_to_bind_to(house: House) -> None:
    house.set("offer_channel_binding", "yes")
    client = await at_the_door(house, "clear")
    assert "PLUS" not in (await client.ask("EHLO laptop.example.com"))
    assert (await client.ask("AUTH SCRAM-SHA-256-PLUS")).startswith("504")
    await client.close()


# --- whatever a client says ------------------------------------------------------------------

_KEYS = keys_of("pencil", b"salt" * 4)
_PART = st.one_of(
    st.sampled_from(["n,,", "y,,", "n=user", "r=abc", "c=biws", "p=AAAA", ",", "=", "m=x", "a=user", "v=x"]),
    st.text(max_size=8),
)
_SAID = st.one_of(st.binary(max_size=60), st.lists(_PART, max_size=8).map(lambda p: ",".join(p).encode()))


@given(first=st.one_of(st.just(b"n,,n=user,r=abc"), _SAID), final=_SAID, is_bound=st.booleans())
def test_nobody_gets_in_by_saying_anything_else(first: bytes, final: bytes, is_bound: bool) -> None:
    talk = _scram(Circumstances(b"end point", offers_binding=True), is_bound=is_bound)
    next(talk)
    let_in: object = "our signature was said to a stranger"
    try:
        talk.send(first)
        talk.send(Proofs((Candidate(_KEYS, ANN),), 0))
        talk.send(final)
    except BadResponse:
        let_in = None
    except StopIteration as end:
        let_in = end.value.given.user
    assert let_in is None
