from collections.abc import AsyncIterator
from io import StringIO

import pytest

from relay import log
from tests.kit.web import FakeWeb


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    """A service over HTTP, to be told its answers."""
    async with FakeWeb() as web:
        yield web


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What is logged, one event in JSON a line."""
    stream = StringIO()
    monkeypatch.setattr(log._writer, "stream", stream)
    monkeypatch.setattr(log._writer, "as_json", True)
    return stream
