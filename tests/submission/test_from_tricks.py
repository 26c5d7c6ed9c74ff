"""From fields that some reader could show as somebody else's, through the whole door."""

from random import Random

import pytest

from relay.mail.lines import has_bare
from tests.kit.converse import Client
from tests.kit.house import House
from tests.mail.tricks import TRICKS
from tests.submission.test_messages import log_in, send

# Bare line ends are settled before anybody reads a header: below as fields
SAMPLE = Random(5322).sample([trick for trick in TRICKS if not has_bare(trick)], 40)
FIELDS = [
    b"From: ann@example.com\r\nFrom: boss@elsewhere.test\r\n",
    b"From: boss@elsewhere.test\r\nfrom : ann@example.com\r\n",
    b"From: ann@example.com\r\nFROM:boss@elsewhere.test\r\n",
    b"From\t: boss@elsewhere.test\r\n",
    b"From: ann@example.com,\r\n boss@elsewhere.test\r\n",
    b"From:\r\n boss@elsewhere.test\r\n",
    b"From: ann@example.com\rFrom: boss@elsewhere.test\r\n",
    b"From: ann@example.com\nFrom: boss@elsewhere.test\r\n",
    b"From: ann@example.com\x0bFrom: boss@elsewhere.test\r\n",
    b"From: ann@example.com\0\r\n",
    b"\0From: boss@elsewhere.test\r\nFrom: ann@example.com\r\n",
    b" From: boss@elsewhere.test\r\nFrom: ann@example.com\r\n",
    b"Subject: x\r\n",
    b"Sender: boss@elsewhere.test\r\nFrom: ann@example.com\r\n",
    b"Resent-From: boss@elsewhere.test\r\nFrom: ann@example.com\r\n",
    b"From: =?utf-8?q?boss=40elsewhere.test=3E?= <ann@example.com>, x\r\n",
    b"From: Undisclosed:;\r\n",
]


async def refused(house: House, head: bytes) -> str:
    client: Client = await log_in(house)
    answer = await send(client, head + b"Subject: s\r\n\r\nx\r\n")
    await client.close()
    return answer


@pytest.mark.parametrize("head", FIELDS, ids=repr)
async def test_no_trick_with_fields_passes(house: House, head: bytes) -> None:
    assert (await refused(house, head))[:2] == "55", head


async def test_no_trick_with_mailboxes_passes(house: House) -> None:
    house.has_user("me", "me@mine.example")
    house.set("max_errors", "1000")
    client = await log_in(house, "me")
    for value in SAMPLE:
        answer = await send(client, b"From: " + value + b"\r\n\r\nx\r\n", mail="MAIL FROM:<me@mine.example>")
        assert answer[:2] == "55", value
    await client.close()
