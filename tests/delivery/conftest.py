from collections.abc import AsyncIterator

import pytest

from tests.kit.web import FakeWeb


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    """A service over HTTP, to be told its answers."""
    async with FakeWeb() as web:
        yield web
