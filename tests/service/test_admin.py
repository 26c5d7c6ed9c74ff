"""The windows for machines: health for anybody, metrics for some, and the same headers on every answer."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Connection, text

from relay.admin.app import build
from relay.admin.house import Condition, House
from relay.config import AdminSection, Config
from relay.db.database import Database
from relay.db.engine import open_engine, write_with
from relay.db.storage import Storage

CONFIG = Config(admin=AdminSection(metrics_for=(ip_network("127.0.0.0/8"), ip_network("2001:db8::/32"))))


async def ask(house: House, path: str, *, peer: str = "127.0.0.1") -> httpx2.Response:
    transport = httpx2.ASGITransport(app=build(house), client=(peer, 40000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://relay.test") as client:
        return await client.get(path)


@pytest.fixture
def house(db: Database) -> House:
    """A house whose relay process is up."""
    return House(CONFIG, db, Condition(is_mail_up=True))


async def test_who_is_alive_says_so(house: House) -> None:
    assert (await ask(house, "/livez")).text == "ok\n"


async def test_who_is_ready_says_so(house: House) -> None:
    answer = await ask(house, "/readyz", peer="203.0.113.9")
    assert (answer.status_code, answer.text) == (200, "ready\n")


async def test_who_is_not_ready_says_why(house: House) -> None:
    house.condition.is_mail_up = False
    answer = await ask(house, "/readyz")
    assert (answer.status_code, answer.text) == (503, "the relay process is down\n")
    house.condition.is_draining = True
    answer = await ask(house, "/readyz")
    assert (answer.status_code, answer.text) == (503, "draining\n")


async def test_who_has_no_room_for_mail_is_not_ready(house: House) -> None:
    full = Storage(Path(__file__))
    full.floor = 2**62
    answer = await ask(replace(house, storage=full), "/readyz")
    assert (answer.status_code, answer.text) == (503, "the disk is full\n")


async def test_who_has_no_disk_any_more_is_not_ready(house: House, tmp_path: Path) -> None:
    answer = await ask(replace(house, storage=Storage(tmp_path / "gone")), "/readyz")
    assert (answer.status_code, answer.text) == (503, "the disk does not answer\n")


async def test_a_schema_of_another_version_is_not_ready(house: House) -> None:
    write_with(house.db.engine, _pretend_another_revision, None)
    answer = await ask(house, "/readyz")
    assert answer.status_code == 503
    assert "schema" in answer.text


def _pretend_another_revision(tx: Connection, items: Sequence[None]) -> list[None]:
    tx.execute(text("UPDATE alembic_version SET version_num = 'later'"))
    return [None] * len(items)


async def test_without_its_database_nobody_is_ready() -> None:
    db = Database(open_engine("postgresql+psycopg://relay@127.0.0.1:1/relay"))
    answer = await ask(House(CONFIG, db, Condition(is_mail_up=True)), "/readyz")
    assert (answer.status_code, answer.text) == (503, "the database does not answer\n")
    await db.close()


@pytest.mark.parametrize(
    ("peer", "status"),
    [("127.0.0.1", 200), ("::ffff:127.0.0.9", 200), ("2001:db8::1", 200), ("192.0.2.1", 403), ("::1", 403)],
)
async def test_metrics_are_for_those_who_may_see_them(house: House, peer: str, status: int) -> None:
    answer = await ask(house, "/metrics", peer=peer)
    assert answer.status_code == status
    assert ("relay_faults_total" in answer.text) == (status == 200)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/nowhere", "/docs", "/openapi.json"])
async def test_every_answer_has_the_headers(house: House, path: str) -> None:
    answer = await ask(house, path)
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/nowhere", "/docs", "/openapi.json", "/../etc/passwd"])
async def test_there_is_nothing_else(house: House, path: str) -> None:
    assert (await ask(house, path)).status_code == 404
