"""The first start: a demo on an empty database, and the words that go with it."""

import re
from collections.abc import Callable
from datetime import datetime

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from relay.accounts import users
from relay.accounts.credentials import load_login
from relay.accounts.passwords import verify_password
from relay.config import Config, Listener, TlsMode
from relay.db.engine import read_with, write_with
from relay.first_run import DEMO_USER, demo_for, make_demo, short_welcome, welcome
from relay.ids import id_source
from relay.mail.address import Address
from relay.routing import routes
from relay.routing.upstreams import Kind
from relay.sealing import Sealer
from tests.kit.clock import HandClock

SEALER = Sealer([Fernet.generate_key()])
PORTS = {"submission": "2587", "submissions": "2465", "plain": "2525"}


@pytest.fixture
def new_id() -> Callable[[datetime], str]:
    return id_source()


def test_an_empty_database_gets_a_user_and_the_sandbox(
    engine: Engine, clock: HandClock, new_id: Callable[[datetime], str]
) -> None:
    demo = demo_for(clock.now(), new_id, SEALER)
    assert write_with(engine, make_demo, demo)
    login = read_with(engine, load_login, DEMO_USER, clock.now())
    assert login is not None
    assert verify_password(demo.password, login.secrets[0].password_hash)
    assert login.user.grants.allow(Address.parse("anybody@relay.test"))
    assert not login.user.grants.allow(Address.parse("anybody@example.com"))
    table = read_with(engine, routes.load, Sealer([Fernet.generate_key()]))
    assert table.default is not None
    assert [u.kind for u in table.upstreams_of(table.default)] == [Kind.SANDBOX]


def test_a_database_in_use_is_left_alone(
    engine: Engine, clock: HandClock, new_id: Callable[[datetime], str]
) -> None:
    write_with(engine, make_demo, demo_for(clock.now(), new_id, SEALER))
    assert not write_with(engine, make_demo, demo_for(clock.now(), new_id, SEALER))
    assert len(read_with(engine, users.everybody)) == 1


def test_the_box_tells_all_that_a_first_message_takes() -> None:
    box = welcome(Config(), ports=PORTS, admin="127.0.0.1:8080", password="geheim")
    assert box.count(" geheim ") == 2
    assert "swaks --server 127.0.0.1:2587 --tls --auth-user demo@relay.test --auth-password geheim" in box
    assert "curl smtp://127.0.0.1:2587 --ssl-reqd --insecure --user demo@relay.test:geheim" in box
    assert "http://127.0.0.1:8080" in box
    assert "./run message show ID" in box


@pytest.mark.parametrize(
    ("listener", "curl"),
    [
        (Listener(name="a", ports=("1025-1100",), tls=TlsMode.STARTTLS), "smtp://127.0.0.1:1025 --ssl-reqd"),
        (Listener(name="a", ports=("465",), tls=TlsMode.IMPLICIT), "smtps://127.0.0.1:465 --insecure"),
        (
            Listener(name="a", ports=("25",), tls=TlsMode.NONE, auth_without_tls=True, address="192.0.2.1"),
            "smtp://192.0.2.1:25 --user",
        ),
        (Listener(name="a", ports=("25",), address="::1"), "smtp://[::1]:25 --ssl-reqd"),
        (Listener(name="a", ports=("25",), address="::"), "smtp://[::1]:25 --ssl-reqd"),
    ],
)
def test_the_line_to_copy_fits_the_listener(listener: Listener, curl: str) -> None:
    config = Config(listeners=(listener,))
    box = welcome(config, ports={"a": listener.ports[0]}, admin="127.0.0.1:8080", password="geheim")
    assert f"curl {curl}" in box


def test_where_nobody_can_log_in_no_line_is_shown() -> None:
    config = Config(listeners=(Listener(name="a", ports=("25",), tls=TlsMode.NONE),))
    assert "curl" not in welcome(config, ports={"a": "25"}, admin="127.0.0.1:8080", password="geheim")


def test_a_later_start_takes_one_line() -> None:
    line = short_welcome(Config(), ports=PORTS, admin="127.0.0.1:8080")
    assert "\n" not in line
    assert set(re.findall(r"\d{4}", line)) >= {"2587", "2465", "2525", "8080"}
