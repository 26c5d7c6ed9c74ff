"""What the log says of a client that did not get in: it is where an operator looks first."""

import asyncio
import json
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from io import StringIO
from typing import Any

import pytest

from tests.delivery.office import eventually
from tests.kit.converse import Client
from tests.kit.house import PASSWORD, House


def told(lines: StringIO, event: str) -> list[Mapping[str, Any]]:
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    return [each for each in events if each["event"] == event]


def distrust(port: int) -> None:
    """Begin TLS as a client that trusts only what the machine trusts."""
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="relay.test")


async def log_in_as(house: House, *words: str) -> str:
    client = await Client.connect(house.ports["clear"])
    await client.reply()
    await client.ask("EHLO laptop")
    reply = await client.ask(f"AUTH PLAIN {b64encode(chr(0).join(words).encode()).decode()}")
    await client.close()
    return reply


@pytest.mark.parametrize(
    ("password", "why"), [(PASSWORD, "to act for another user is not offered"), ("wrong", "wrong password")]
)
async def test_to_act_for_another_user_is_refused_and_the_log_names_who_tried(
    house: House, lines: StringIO, password: str, why: str
) -> None:
    assert (await log_in_as(house, "bob", "ann", password)).startswith("535 5.7.8")
    (failed,) = told(lines, "authentication_failed")
    assert (failed["user"], failed["why"]) == ("ann", why)


async def test_to_act_for_oneself_is_no_matter_of_letter_case(house: House) -> None:
    assert (await log_in_as(house, "Ann", "ann", PASSWORD)).startswith("235")


async def test_a_client_that_does_not_speak_tls_leaves_a_line(house: House, lines: StringIO) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.ports["submissions"])
    writer.write(b"EHLO laptop.example.com\r\n")
    await reader.read()
    writer.close()
    (failed,) = told(lines, "tls_failed")
    assert (failed["listener"], failed["peer"]) == ("submissions", "127.0.0.1")
    assert "wrong version number" in failed["why"]


async def test_a_client_that_does_not_trust_our_certificate_does_too(house: House, lines: StringIO) -> None:
    await asyncio.to_thread(distrust, house.ports["submissions"])
    await eventually(lambda: bool(told(lines, "tls_failed")))
    assert "unknown ca" in told(lines, "tls_failed")[0]["why"]
