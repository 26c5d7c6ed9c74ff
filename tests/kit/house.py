"""A relay's rooms put together in one loop, for stories told through real sockets."""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

from sqlalchemy import Engine

from relay import certificates, settings
from relay.accounts import passwords, scram, users
from relay.accounts.profile import Profile
from relay.accounts.verifier import Verifier
from relay.budget import Budget
from relay.clock import Clock
from relay.config import Listener, TlsMode
from relay.current import Current
from relay.db.audit import Author
from relay.db.database import Database
from relay.db.engine import read_with, write_with
from relay.db.storage import Storage
from relay.ids import id_source
from relay.policy.grants import parse_patterns
from relay.queue.handover import HandOver
from relay.routing import changes, routes
from relay.routing.upstreams import Kind, Upstream
from relay.sealing import Sealer
from relay.submission.handler import Office
from relay.submission.listener import Door

# Argon2 takes 20 ms on purpose: every user of every test has this one password, hashed once.
PASSWORD = "correct-horse"
_HASH = passwords.hash_password(PASSWORD)

LOOPBACK = (ip_network("127.0.0.0/8"),)
LISTENERS = {
    "plain": Listener(name="plain", ports=("0",), tls=TlsMode.STARTTLS),
    "clear": Listener(name="clear", ports=("0",), tls=TlsMode.STARTTLS, auth_without_tls=True),
    "submission": Listener(name="submission", ports=("0",), tls=TlsMode.STARTTLS_REQUIRED),
    "submissions": Listener(name="submissions", ports=("0",), tls=TlsMode.IMPLICIT),
    "none": Listener(name="none", ports=("0",), tls=TlsMode.NONE),
    "balanced": Listener(name="balanced", ports=("0",), auth_without_tls=True, proxy_from=LOOPBACK),
    "balanced-tls": Listener(name="balanced-tls", ports=("0",), tls=TlsMode.IMPLICIT, proxy_from=LOOPBACK),
    "others": Listener(name="others", ports=("0",), proxy_from=(ip_network("10.0.0.0/8"),)),
}


@dataclass
class House:
    """The door, open on one port of each kind, over a database with a sandbox upstream."""

    engine: Engine
    db: Database
    sealer: Sealer
    office: Office
    verifier: Verifier
    door: Door
    ports: Mapping[str, int]

    @classmethod
    async def build(
        cls, engine: Engine, db: Database, clock: Clock, sealer: Sealer, tls_context: ssl.SSLContext
    ) -> "House":
        new_id = id_source()
        author = Author("test", clock.now(), new_id)
        sandbox = Upstream(new_id(clock.now()), "sandbox", Kind.SANDBOX)
        write_with(engine, changes.add_upstream, changes.NewUpstream(author, sandbox))
        budget = Budget(64 * 1024 * 1024)
        storage = Storage(Path(__file__))
        storage.floor = 0  # however little is free where the tests run
        office = Office(
            db=db,
            clock=clock,
            settings=Current(settings.Settings()),
            routing=Current(read_with(engine, routes.load, sealer)),
            handover=HandOver(budget),
            new_id=new_id,
            hostname="relay.test",
            owner="node/0",
            storage=storage,
        )
        verifier = Verifier(db, clock, sealer)
        door = Door(office, verifier=verifier, budget=budget, tls_context=tls_context)
        ports = {}
        for name, listener in LISTENERS.items():
            bound = socket.create_server(("127.0.0.1", 0))
            ports[name] = bound.getsockname()[1]
            await door.listen(listener, [bound])
        return cls(engine, db, sealer, office, verifier, door, ports)

    async def close(self) -> None:
        await self.door.close(grace=2)
        await self.verifier.close()

    def has_user(self, name: str, senders: str = "", **profile: object) -> users.Account:
        """Make a user with PASSWORD; *profile* are further fields of accounts.profile.Profile."""
        author = Author("test", self.office.clock.now(), self.office.new_id)
        keys = scram.sealed_keys(name, PASSWORD, self.sealer)
        made = replace(Profile(patterns=parse_patterns(senders)), **profile)  # type: ignore[arg-type]
        return write_with(self.engine, users.create, users.NewUser(author, name, made, _HASH, keys))

    def set(self, name: str, text: str) -> None:
        """Change a runtime setting, at once."""
        value = settings.parse(name, text)
        self.office.settings.value = replace(self.office.settings.value, **{name: value})


def make_tls_context(directory: Path, clock: Clock) -> ssl.SSLContext:
    return certificates.server_context(certificates.ensure_self_signed(directory, "relay.test", clock.now()))
