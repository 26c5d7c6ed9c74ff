"""In no configuration does a stranger get mail through: neither to others' domains nor to ours."""

import socket
from itertools import product
from random import Random

import pytest
from sqlalchemy import func, select

from relay.config import Listener, TlsMode, Trusted
from relay.db import tables
from relay.policy.decision import Mismatch
from tests.kit.converse import Client
from tests.kit.house import House

WALKS, STEPS = 4, 14
NULL_LOGIN, WRONG, INACTIVE = "AAA=", "AGFubgB3cm9uZw==", "AGNhcmwAY29ycmVjdC1ob3JzZQ=="
PROXY_HEADERS = (
    b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 587\r\n",
    b"PROXY TCP4 198.51.100.7 127.0.0.1 40000 587\r\n",
    b"PROXY TCP6 2001:db8::1 ::1 40000 587\r\n",
    b"PROXY UNKNOWN\r\n",
)
COMMANDS = (
    "EHLO laptop.example.com",
    "HELO laptop",
    "MAIL FROM:<ann@example.com>",
    "MAIL FROM:<>",
    "MAIL FROM:<ann@example.com> AUTH=<>",
    "MAIL FROM:<any@where.test> AUTH=ann@example.com",
    "RCPT TO:<bob@example.org>",
    "RCPT TO:<ann@example.com>",
    "RCPT TO:<postmaster>",
    "RCPT TO:<@relay.test:bob@example.org>",
    "RCPT TO:<bob%example.org@relay.test>",
    "RCPT TO:<postmaster@relay.test>",
    "DATA",
    "BDAT 0 LAST",
    "RSET",
    "*",
    "=",
    f"AUTH PLAIN {NULL_LOGIN}",
    f"AUTH PLAIN {WRONG}",
    f"AUTH PLAIN {INACTIVE}",
    "AUTH PLAIN =",
    "AUTH LOGIN",
    "AUTH ANONYMOUS dGVzdA==",
    "AUTH EXTERNAL =",
    "STARTTLS",
)


@pytest.mark.parametrize(
    ("tls", "without_tls", "mismatch", "is_proxied"),
    list(product(TlsMode, (False, True), (Mismatch.REJECT, Mismatch.ALLOW), (False, True))),
)
async def test_a_stranger_never_gets_a_recipient_accepted(
    house: House, tls: TlsMode, without_tls: bool, mismatch: Mismatch, is_proxied: bool
) -> None:
    house.has_user("eve", "example.net", mismatch=mismatch, is_active=not is_proxied)
    bound = socket.create_server(("127.0.0.1", 0))
    listener = Listener(
        name="any",
        ports=("0",),
        tls=tls,
        auth_without_tls=without_tls,
        trusted=(
            Trusted(network="198.51.100.0/24", user="eve" if is_proxied else "ann"),  # eve is not active
            Trusted(network="2001:db8::/32", user="nobody"),
        ),
        **({"proxy_from": ("127.0.0.0/8",)} if is_proxied else {}),
    )
    await house.door.listen(listener, [bound])
    house.set("login_failure_delay", "0s")  # a guesser is slowed down and barred; here he has all the time
    for barrier in ("connection", "address", "network", "user"):
        house.set(f"login_failures_per_{barrier}", "10000")
    chance = Random(f"{tls}{without_tls}{mismatch}{is_proxied}")
    for _ in range(WALKS):
        await walk(bound.getsockname()[1], chance, is_implicit=tls is TlsMode.IMPLICIT, is_proxied=is_proxied)
    with house.engine.connect() as tx:
        assert tx.execute(select(func.count()).select_from(tables.messages)).scalar_one() == 0


async def test_a_login_is_over_when_tls_begins(house: House) -> None:
    client = await Client.connect(house.ports["clear"])
    await client.reply()
    await client.ask("EHLO laptop")
    assert (await client.ask("AUTH PLAIN AGFubgBjb3JyZWN0LWhvcnNl")).startswith("235")
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("250")
    assert (await client.ask("STARTTLS")).startswith("220")
    await client.start_tls()
    assert (await client.ask("RCPT TO:<bob@example.org>")).startswith("503")
    await client.ask("EHLO laptop")
    assert (await client.ask("RCPT TO:<bob@example.org>")).startswith("530")
    assert (await client.ask("MAIL FROM:<ann@example.com>")).startswith("530")
    await client.close()


async def walk(port: int, chance: Random, *, is_implicit: bool, is_proxied: bool) -> None:
    """Say whatever comes to mind, in whatever order; in the end try the straight way."""
    client = await Client.connect(port)
    try:
        if is_proxied:
            await client.send(chance.choice(PROXY_HEADERS))
        if is_implicit:
            await client.start_tls()
        if (await client.reply())[:3] != "220":
            return
        said = ["EHLO laptop", *chance.choices(COMMANDS, k=STEPS), "*", "RSET"]
        for command in [*said, "MAIL FROM:<ann@example.com>", "RCPT TO:<bob@example.org>", "DATA"]:
            answer = await client.ask(command)
            if not answer:
                return
            verb = command[:4]
            assert not (verb in {"RCPT", "MAIL", "BDAT"} and answer[0] == "2"), f"{command}: {answer}"
            assert not (verb == "DATA" and answer[0] == "3"), f"{command}: {answer}"
            assert not (verb == "AUTH" and answer.startswith("235")), f"{command}: {answer}"
            if command == "STARTTLS" and answer.startswith("220"):
                await client.start_tls()
    finally:
        await client.close()
