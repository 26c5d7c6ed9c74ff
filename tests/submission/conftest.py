import ssl
from collections.abc import AsyncIterator

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from relay.clock import SystemClock
from relay.db.database import Database
from relay.mail.priority import Priority
from relay.sealing import Sealer
from tests.kit.house import House, make_tls_context


@pytest.fixture(scope="session")
def tls_context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    return make_tls_context(tmp_path_factory.mktemp("tls"), SystemClock())


@pytest.fixture
async def house(engine: Engine, db: Database, tls_context: ssl.SSLContext) -> AsyncIterator[House]:
    """A door with users: ann, bob, carl, who is not active, and emil, who is never urgent."""
    built = await House.build(engine, db, SystemClock(), Sealer([Fernet.generate_key()]), tls_context)
    built.has_user("ann", "ann@example.com; *.shop.example")
    built.has_user("bob", "example.org")
    built.has_user("carl", "example.net", is_active=False)
    built.has_user("emil", "emil@example.info", highest_priority=Priority.NORMAL)
    yield built
    await built.close()
