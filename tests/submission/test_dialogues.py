"""Every file of tests/dialogues is a conversation that the door must have word for word."""

import re
from pathlib import Path

import pytest

from tests.kit.converse import converse
from tests.kit.house import House

FOLDER = Path(__file__).parent.parent / "dialogues"
DIALOGUES = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.smtp"))}


@pytest.mark.parametrize("name", DIALOGUES)
async def test_dialogue(house: House, name: str) -> None:
    script = DIALOGUES[name]
    named = re.search(r"^# PORT (\w+)", script, re.MULTILINE)
    port = named[1] if named else "plain"
    await converse(house.ports[port], script, tls=port == "submissions")
