"""A client that closes its direction has said all; what it said is still answered to the end."""

from base64 import b64encode

import pytest
from sqlalchemy import func, select

from relay.db import tables
from tests.kit.converse import Client
from tests.kit.house import PASSWORD, House

LOGIN = b"AUTH PLAIN " + b64encode(f"\0ann\0{PASSWORD}".encode()) + b"\r\n"
MESSAGE = (
    b"MAIL FROM:<ann@example.com>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n"
    b"From: ann@example.com\r\n\r\nHello\r\n.\r\n"
)


def kept(house: House) -> int:
    with house.engine.connect() as tx:
        return tx.execute(select(func.count()).select_from(tables.messages)).scalar_one()


async def all_said(house: House, octets: bytes) -> list[str]:
    """The codes of all replies to *octets*, behind which the client says no more."""
    client = await Client.connect(house.ports["clear"])
    await client.send(octets)
    client.writer.write_eof()
    codes = []
    while reply := await client.reply():
        codes.append(reply[:3])
    await client.close()
    return codes


async def test_every_message_of_a_burst_is_taken_and_every_command_answered(house: House) -> None:
    said = await all_said(house, b"EHLO laptop\r\n" + LOGIN + MESSAGE + MESSAGE + b"NOOP\r\nQUIT\r\n")
    message = ["250", "250", "354", "250"]
    assert said == ["220", "250", "235", *message, *message, "250", "221"]
    assert kept(house) == 2


@pytest.mark.parametrize("cut", [b"\r\n.\r\n", b".\r\n", b"\n"])
async def test_a_message_without_its_end_is_not_taken(house: House, cut: bytes) -> None:
    said = await all_said(house, b"EHLO laptop\r\n" + LOGIN + MESSAGE + MESSAGE.removesuffix(cut))
    assert said == ["220", "250", "235", "250", "250", "354", "250", "250", "250", "354"]
    assert kept(house) == 1
