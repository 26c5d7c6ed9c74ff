"""OAUTHBEARER and XOAUTH2: an access token logs in whom it speaks for, and nobody else."""

import asyncio
import json
import shutil
import smtplib
from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.accounts import users
from relay.accounts.attempts import list_attempts
from relay.accounts.issuer import Issuer
from relay.accounts.users import Edit
from relay.db.audit import Author
from relay.db.engine import read_with, write_with
from relay.submission.bearer import read_oauthbearer, read_xoauth2, text_of_pairs
from relay.submission.conversation import BadResponse, Token
from relay.submission.recheck import recheck
from tests.kit.converse import Client
from tests.kit.house import PASSWORD, House
from tests.kit.tokens import TERMS, claims, document, token


@pytest.fixture
def house(house: House) -> House:
    house.door.issuer = Issuer(TERMS, document)
    house.set("login_failure_delay", "0s")
    return house


async def at_the_door(house: House) -> Client:
    client = await Client.connect(house.ports["clear"])
    await client.reply()
    await client.ask("EHLO laptop.example.com")
    return client


def oauthbearer(text: str, name: str = "") -> str:
    who = f"a={name}" if name else ""
    return f"n,{who},\1host=relay.test\1port=587\1auth=Bearer {text}\1\1"


def xoauth2(text: str, name: str = "ann") -> str:
    return f"user={name}\1auth=Bearer {text}\1\1"


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


async def auth(client: Client, said: str) -> str:
    """Log in; what is not let in is told why, and then refused."""
    mechanism = "XOAUTH2" if said.startswith("user=") else "OAUTHBEARER"
    answer = await client.ask(f"AUTH {mechanism} {b64(said)}")
    if answer.startswith("334"):
        answer = await client.ask(b64("\1") if mechanism == "OAUTHBEARER" else "")
    return answer


async def tried(house: House, said: str) -> str:
    client = await at_the_door(house)
    try:
        return await auth(client, said)
    finally:
        await client.close()


# --- what is let in --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        oauthbearer(token()),
        oauthbearer(token(), "ann"),
        oauthbearer(token(algorithm="ES256"), "Ann"),
        f"y,,\1auth=bearer  {token(algorithm='EdDSA')}\1\1",
        xoauth2(token()),
        xoauth2(token(), "ANN"),
    ],
)
async def test_a_good_token_is_let_in(house: House, said: str) -> None:
    client = await at_the_door(house)
    assert (await auth(client, said)).startswith("235 2.7.0")
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("250")
    assert (await client.ask("RCPT TO:<bob@example.org>")).startswith("250")
    await client.ask("DATA")
    assert (await client.ask("From: ann@example.com\r\n\r\nx\r\n.")).startswith("250")
    await client.close()


async def test_they_are_offered_where_passwords_are_and_an_issuer_is_configured(house: House) -> None:
    client = await at_the_door(house)
    assert any(line.endswith(" OAUTHBEARER XOAUTH2") for line in client.lines)
    house.door.issuer = None
    assert "OAUTH" not in await client.ask("EHLO laptop.example.com")
    for mechanism in ("OAUTHBEARER", "XOAUTH2"):
        assert (await client.ask(f"AUTH {mechanism}")).startswith("504")
    await client.close()
    plain = await Client.connect(house.ports["plain"])
    await plain.reply()
    house.door.issuer = Issuer(TERMS, document)
    assert "OAUTH" not in await plain.ask("EHLO laptop.example.com")
    assert (await plain.ask(f"AUTH XOAUTH2 {b64(xoauth2(token()))}")).startswith("538")
    await plain.close()


# --- what is not -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        oauthbearer(token(claims(exp=1))),
        oauthbearer(token(claims(aud="another"))),
        oauthbearer(token(claims(email="nobody"))),
        oauthbearer(token(claims(email="carl"))),  # not active
        oauthbearer(token(), "bob"),
        oauthbearer("bm8.bm8.bm8"),
        "n,,\1auth=\1\1",
        xoauth2(token(), "bob"),
        xoauth2(token(claims(email="bob"))),
        xoauth2("bm8"),
    ],
)
async def test_whoever_is_not_let_in_is_told_so_in_json_and_then_refused(house: House, said: str) -> None:
    client = await at_the_door(house)
    mechanism, answer = ("XOAUTH2", "") if said.startswith("user=") else ("OAUTHBEARER", b64("\1"))
    await client.send(f"AUTH {mechanism} {b64(said)}\r\n".encode())
    challenge = json.loads(b64decode((await client.reply()).removeprefix("334 ")))
    assert challenge["status"] == ("401" if mechanism == "XOAUTH2" else "invalid_token")
    assert await client.ask(answer) == "535 5.7.8 Authentication credentials invalid"
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("530")
    await client.close()


async def test_failures_count_also_for_who_does_not_wait_to_hear_of_them(house: House) -> None:
    house.set("login_failures_per_user", "3")
    for _ in range(3):
        client = await at_the_door(house)
        assert (await client.ask(f"AUTH XOAUTH2 {b64(xoauth2('bm8'))}")).startswith("334")
        await client.close()
    assert (await tried(house, xoauth2(token()))).startswith("454 4.7.0")
    assert (await tried(house, oauthbearer(token()))).startswith("454 4.7.0")


async def test_tokens_that_name_nobody_bar_an_address_and_no_name(house: House) -> None:
    house.set("login_failures_per_user", "3")
    for _ in range(4):
        assert (await tried(house, oauthbearer("bm8"))).startswith("535")
    assert (await tried(house, oauthbearer(token()))).startswith("235")
    house.set("login_failures_per_address", "3")
    assert (await tried(house, oauthbearer(token(claims(email="emil"))))).startswith("421 4.7.0")


async def test_a_session_ends_after_five_bad_tokens(house: House) -> None:
    client = await at_the_door(house)
    for _ in range(4):
        assert (await auth(client, oauthbearer("bm8"))).startswith("535")
    await client.ask(f"AUTH OAUTHBEARER {b64(oauthbearer('bm8'))}")
    assert (await client.ask("*")).startswith("501")
    assert (await auth(client, oauthbearer("bm8"))).startswith("535")
    assert (await client.reply()).startswith("421 4.7.0")
    await client.close()


async def test_attempts_are_counted_under_names_that_there_are(house: House) -> None:
    await tried(house, xoauth2(token()))
    await tried(house, xoauth2("bm8"))
    await tried(house, xoauth2("bm8", "made-up"))
    house.door.logbook.write()
    await asyncio.gather(*house.door.handler._aside)
    found = read_with(house.engine, list_attempts, since=datetime.now(UTC), user=None, result=None, limit=9)
    assert {(each.user_name, each.mechanism, each.result) for each in found} == {
        ("ann", "XOAUTH2", "success"),
        ("ann", "XOAUTH2", "failure"),
        ("", "XOAUTH2", "failure"),
    }


async def test_without_the_issuers_keys_a_client_is_to_try_later(house: House) -> None:
    def read() -> bytes:
        raise OSError("no route to host")

    house.door.issuer = Issuer(TERMS, read)
    assert (await tried(house, oauthbearer(token()))).startswith("454 4.7.0")


async def test_a_disabled_user_is_sent_away_and_any_other_stays(house: House) -> None:
    ann, bob = await at_the_door(house), await at_the_door(house)
    assert (await auth(ann, oauthbearer(token()))).startswith("235")
    assert (await auth(bob, oauthbearer(token(claims(email="bob"))))).startswith("235")
    author = Author("test", datetime.now(UTC), house.office.new_id)
    off = Edit(author, "ann", lambda profile: replace(profile, is_active=False))
    write_with(house.engine, users.edit, off)
    house.verifier.forget()
    await recheck(house.door)
    assert (await ann.reply()).startswith("421 4.7.0")
    assert (await bob.ask("NOOP")).startswith("250")
    assert (await tried(house, oauthbearer(token()))).startswith("535")
    for client in (ann, bob):
        await client.close()


# --- the words -------------------------------------------------------------------------------


def test_the_example_of_rfc_7628() -> None:
    # §4.1, with the token of RFC 6750
    said = (
        "n,a=user@example.com,\1host=server.example.com\1port=143\1"
        "auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\1\1"
    )
    text = text_of_pairs(said.encode())
    assert read_oauthbearer(text) == Token("user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")


def test_a_name_may_have_a_comma() -> None:
    assert read_oauthbearer("n,a=a=2Cb=3D,\1auth=").name == "a,b="


@pytest.mark.parametrize(
    "said",
    [
        "",
        "\1",
        "\1\1",
        "n,,\1\1",
        "n,,\1auth=Bearer a\1",
        "n,,\1auth=Bearer\1\1",
        "n,,\1auth=Basic YQ==\1\1",
        "n,,\1auth=Bearer a b\1\1",
        "n,,\1auth=Bearer a\1auth=Bearer b\1\1",
        "n,,\1host=relay.test\1\1",
        "n,,\1=x\1auth=Bearer a\1\1",
        "n,a=,\1auth=Bearer a\1\1",
        "n,a=x=y,\1auth=Bearer a\1\1",
        "p=tls-unique,,\1auth=Bearer a\1\1",
        "n,,\0\1auth=Bearer a\1\1",
        "user=ann\1auth=Bearer a\1\1",
    ],
)
async def test_what_is_not_wholly_understood_is_no_response(house: House, said: str) -> None:
    client = await at_the_door(house)
    assert (await client.ask(f"AUTH OAUTHBEARER {b64(said) or '='}")).startswith("501 5.5.2")
    await client.close()


@given(
    st.lists(
        st.one_of(
            st.text(max_size=9), st.sampled_from(["\1", "n,,", "user=", "auth=Bearer a", "a", "=", ","])
        ),
        max_size=9,
    ).map("".join)
)
def test_whatever_a_client_says_a_token_is_printable_and_a_name_is_its_own(said: str) -> None:
    for read in (read_oauthbearer, read_xoauth2):
        try:
            found = read(text_of_pairs(said.encode()))
        except BadResponse:
            continue
        assert found.text.isascii()
        assert "\1" not in found.name
        assert found.text in said


# --- real clients ----------------------------------------------------------------------------


async def test_smtplib_sends_by_xoauth2(house: House) -> None:
    def send() -> object:
        with smtplib.SMTP("127.0.0.1", house.ports["clear"], local_hostname="laptop", timeout=10) as client:
            client.ehlo()
            client.auth("XOAUTH2", lambda challenge=None: xoauth2(token()) if challenge is None else "")
            return client.sendmail("ann@example.com", ["bob@example.org"], "From: ann@example.com\r\n\r\nx")

    assert await asyncio.to_thread(send) == {}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
@pytest.mark.parametrize("is_good", [True, False])
async def test_curl_sends_by_both(house: House, mechanism: str, *, is_good: bool) -> None:
    shown = token() if is_good else token(claims(exp=1))
    words = ["--silent", "--insecure", "--ssl-reqd", "--user", "ann", "--oauth2-bearer", shown]
    words += ["--login-options", f"AUTH={mechanism}", "--upload-file", "-"]
    words += ["--mail-from", "ann@example.com", "--mail-rcpt", "bob@example.org"]
    curl = await asyncio.create_subprocess_exec(
        "curl",
        *words,
        f"smtp://127.0.0.1:{house.ports['submission']}/laptop",
        stdin=asyncio.subprocess.PIPE,
    )
    await curl.communicate(b"From: ann@example.com\r\n\r\nx\r\n")
    assert (curl.returncode == 0) is is_good


async def test_passwords_go_on_being_good(house: House) -> None:
    client = await at_the_door(house)
    assert (await client.ask(f"AUTH PLAIN {b64(f'{chr(0)}ann{chr(0)}{PASSWORD}')}")).startswith("235")
    await client.close()
