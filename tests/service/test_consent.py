"""The page behind the link in a consent letter, as a browser sees it: over real HTTP, on both databases."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx2
import pytest
from sqlalchemy import Engine, func, select, update

from relay.accounts.profile import Profile
from relay.accounts.sender_requests import LINK_LIFETIME, Ruling, Wish, make_token, rule
from relay.accounts.users import NewUser, create
from relay.admin.house import Condition
from relay.admin.server import run_admin
from relay.config import AdminSection, Config, DatabaseSection
from relay.config_file import BadConfig, load
from relay.db import tables
from relay.db.audit import Author
from relay.db.engine import write_with
from relay.ids import id_source
from relay.mail.address import Address
from relay.notify.sender_requests import Asking, ask, consent_letter
from relay.queue.accept import accept
from relay.queue.states import DeliveryState
from relay.settings import Settings
from tests.kit.makers import make_acceptance, make_envelope, make_session

PUBLIC = "https://relay.example.com"
BOSS = "boss@elsewhere.test"
new_id = id_source(Random(1))


def an_author() -> Author:
    return Author("cli:test", datetime.now(UTC), new_id)


@asynccontextmanager
async def windows(database_url: str, public_url: str = PUBLIC) -> AsyncIterator[httpx2.AsyncClient]:
    """The admin process's own port, and a browser at it."""
    config = Config(
        hostname="relay.example.com",
        database=DatabaseSection(url=database_url),
        admin=AdminSection(public_url=public_url),
    )
    door, ready, stopping = socket.create_server(("127.0.0.1", 0)), asyncio.Event(), asyncio.Event()
    serving = asyncio.ensure_future(
        run_admin(config, door, Condition(is_mail_up=True), ready=ready.set, stopping=stopping)
    )
    await ready.wait()
    address = f"http://127.0.0.1:{door.getsockname()[1]}"
    async with httpx2.AsyncClient(base_url=address) as client:
        yield client
    stopping.set()
    await serving


@dataclass
class Asked:
    """Ann's mail as the boss is held, and the boss was sent a letter with a link."""

    engine: Engine
    user: str
    held: str
    path: str

    def delivery(self) -> tuple[str, datetime]:
        table = tables.deliveries
        with self.engine.connect() as tx:
            row = tx.execute(select(table).where(table.c.message_id == self.held)).one()
        return row.state, row.rank_at

    def is_granted(self) -> bool:
        granted = select(func.count()).where(tables.grants.c.pattern == BOSS)
        with self.engine.connect() as tx:
            return bool(tx.execute(granted).scalar_one())

    def request_id(self) -> str:
        with self.engine.connect() as tx:
            found: str = tx.execute(select(tables.sender_requests.c.id)).scalar_one()
        return found


@pytest.fixture
def asked(engine: Engine) -> Asked:
    return ask_for(engine, "ann")


def ask_for(engine: Engine, user: str) -> Asked:
    by, (token, token_hash) = an_author(), make_token()
    account = write_with(engine, create, NewUser(by, user, Profile(("example.com",)), "no password"))
    mail = make_acceptance(
        at=by.at - timedelta(hours=5),
        envelope=make_envelope(BOSS),
        session=make_session(user=user, user_id=account.id),
        content=f"From: The Boss <{BOSS}>\r\n\r\nx\r\n".encode(),
        hold_reason=f"{user} may not send as {BOSS}",
    )
    write_with(engine, accept, mail)
    letter = consent_letter(
        Address.parse(BOSS),
        user,
        token,
        letter_id=by.id(),
        hostname="relay.example.com",
        public_url=PUBLIC,
        settings=Settings(),
        route_of=lambda envelope: {"R1": tuple(r.number for r in envelope.recipients)},
    )
    write_with(engine, ask, Asking(Wish(by, user, Address.parse(BOSS), token_hash), letter))
    link = re.search(rb"\r\n    " + PUBLIC.encode() + rb"(/consent/[0-9a-f]{40})\r\n", letter.content)
    assert link is not None
    return Asked(engine, user, mail.id, link[1].decode())


async def test_looking_shows_who_asks_for_what_and_decides_nothing(database_url: str, asked: Asked) -> None:
    async with windows(database_url) as browser:
        for _ in range(3):  # as mail scanners do
            page = await browser.get(asked.path)
            assert page.status_code == 200
    assert "ann" in page.text
    assert BOSS in page.text
    assert '<form method="post">' in page.text
    assert "<script" not in page.text
    assert not asked.is_granted()
    assert asked.delivery()[0] == DeliveryState.HELD


async def test_the_button_grants_once_and_held_mail_flows_in_its_old_place(
    database_url: str, asked: Asked
) -> None:
    _, place = asked.delivery()
    async with windows(database_url) as browser:
        first, again = await browser.post(asked.path), await browser.post(asked.path)
        look = await browser.get(asked.path)
    assert (first.status_code, again.status_code, look.status_code) == (200, 410, 410)
    assert "may send mail as boss@elsewhere.test now" in first.text
    assert "used already" in again.text
    assert "used already" in look.text
    assert asked.is_granted()
    assert asked.delivery() == (DeliveryState.QUEUED, place)
    with asked.engine.connect() as tx:
        approved = tables.audit.c.action == "sender.approve"
        assert tx.execute(select(tables.audit.c.actor).where(approved)).scalar_one() == f"link:{BOSS}"


async def test_a_link_that_is_miswritten_sends_nobody_elsewhere(database_url: str, asked: Asked) -> None:
    async with windows(database_url) as browser:
        answer = await browser.get(asked.path + "/", headers={"Host": "evil.test"})
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


async def test_two_who_press_at_once_are_one_consent(database_url: str, asked: Asked) -> None:
    async with windows(database_url) as browser:
        answers = await asyncio.gather(*(browser.post(asked.path) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + 7 * [410]


async def test_a_link_is_good_for_a_week(database_url: str, asked: Asked) -> None:
    long_ago = datetime.now(UTC) - LINK_LIFETIME
    with asked.engine.begin() as tx:
        tx.execute(update(tables.sender_requests).values(requested_at=long_ago))
    async with windows(database_url) as browser:
        for page in (await browser.get(asked.path), await browser.post(asked.path)):
            assert (page.status_code, "too old" in page.text) == (410, True)
    assert not asked.is_granted()


async def test_what_an_operator_declined_is_not_granted_by_the_link(database_url: str, asked: Asked) -> None:
    write_with(asked.engine, rule, Ruling(an_author(), asked.request_id(), is_approved=False))
    async with windows(database_url) as browser:
        page = await browser.post(asked.path)
    assert (page.status_code, "decided already" in page.text) == (410, True)
    assert not asked.is_granted()


@pytest.mark.parametrize("damage", [lambda path: path[:-1], lambda path: path + "0", lambda _: "/consent/x"])
async def test_a_link_that_leads_nowhere_says_so(database_url: str, asked: Asked, damage: object) -> None:
    assert callable(damage)
    async with windows(database_url) as browser:
        for page in (await browser.get(damage(asked.path)), await browser.post(damage(asked.path))):
            assert (page.status_code, "leads nowhere" in page.text) == (404, True)
    assert not asked.is_granted()


async def test_the_page_lets_nothing_in_and_nothing_out(database_url: str, asked: Asked) -> None:
    async with windows(database_url) as browser:
        headers = (await browser.get(asked.path)).headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    (policy,) = headers.get_list("content-security-policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "set-cookie" not in headers


async def test_a_name_is_only_a_name(database_url: str, engine: Engine) -> None:
    asked = ask_for(engine, "<b>{user}&quot;")
    async with windows(database_url) as browser:
        page = await browser.get(asked.path)
    assert "<b>" not in page.text
    assert "&lt;b&gt;{user}&amp;quot;" in page.text


async def test_without_a_public_url_there_is_no_page(database_url: str, asked: Asked) -> None:
    async with windows(database_url, public_url="") as browser:
        assert (await browser.get(asked.path)).status_code == 404
        assert (await browser.post(asked.path)).status_code == 404
    assert not asked.is_granted()


@pytest.mark.parametrize(
    "written",
    [
        "relay.example.com",
        "ftp://relay.example.com",
        "https://",
        "https://a@b",
        "https://a/?x",
        "https://a b",
    ],
)
def test_a_public_url_that_is_none_is_not_taken(written: str, tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(f'[admin]\npublic_url = "{written}"\n')
    with pytest.raises(BadConfig, match="public_url"):
        load(path)


@pytest.mark.parametrize(
    "written", ["https://relay.example.com/", "http://[::1]:8080", "https://a.test/mail"]
)
def test_a_public_url_is_kept_without_its_last_slash(written: str) -> None:
    assert AdminSection(public_url=written).public_url == written.rstrip("/")
