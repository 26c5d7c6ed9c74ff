"""The page of extensions names what is announced, no more and no less."""

import re
from pathlib import Path

from relay.submission.extensions import EXTENSIONS
from tests.kit.converse import Client
from tests.kit.house import House

PAGE = Path(__file__).resolve().parents[2] / "docs/extensions.md"


async def test_the_page_names_every_extension(house: House) -> None:
    table = PAGE.read_text("utf-8").split("\n## ")[0]
    named = set(re.findall(r"^\| ([A-Z0-9-]+) \| \d", table, re.MULTILINE))
    client = await Client.connect(house.ports["plain"])
    await client.reply()
    announced = keywords(await client.ask("EHLO laptop"))
    await client.ask("STARTTLS")
    await client.start_tls()
    announced |= keywords(await client.ask("EHLO laptop"))
    await client.close()
    assert named == announced
    assert len(named) == len(EXTENSIONS)


def keywords(answer: str) -> set[str]:
    return {line[4:].split()[0] for line in answer.splitlines()[1:]}
