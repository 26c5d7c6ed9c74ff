"""The composition root: every room of a relay process, built and joined in this one place."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random

from relay import settings
from relay.accounts.issuer import issuer_of
from relay.accounts.verifier import Verifier
from relay.budget import Budget
from relay.certificates import CertificatePaths, Showcase
from relay.clock import Clock
from relay.config import Config
from relay.current import Current
from relay.db import revision
from relay.db.database import Database
from relay.db.engine import open_engine
from relay.db.scribe import Scribe, hire
from relay.db.storage import Storage
from relay.delivery.oauth.tokens import Tokens
from relay.delivery.stationery import Stationery, load_stationery
from relay.delivery.worker import Worker
from relay.ids import id_source
from relay.notify.dispatcher import Dispatcher
from relay.queue.handover import HandOver
from relay.queue.stops import Stops, load_stops
from relay.routing import routes
from relay.sealing import Sealer, load_or_make
from relay.service.watch import Watch
from relay.service.words import WORDS
from relay.settings import Settings
from relay.submission.handler import Office
from relay.submission.listener import Door


@dataclass(frozen=True, slots=True)
class Post:
    """What a relay process is given by whoever starts it.

    `owner` names it, "<node>/<index>", in leases and logs: its successor has the same name, and
    never lives at the same time.  `sockets` are the bound ports of each listener, by its name.
    `is_alone`: this process does all there is to do, so no other one writes for it.
    """

    owner: str
    config: Config
    sockets: Mapping[str, Sequence[socket.socket]]
    certificates: Sequence[CertificatePaths]
    run_directory: Path
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class House:
    """The rooms of one relay process."""

    post: Post
    clock: Clock
    started_at: datetime
    scribe: Scribe | None
    db: Database
    sealer: Sealer
    settings: Current[Settings]
    routing: Current[routes.RoutingTable]
    stationery: Current[Stationery]
    processes: Current[int]
    stops: Current[Stops]
    verifier: Verifier
    watch: Watch
    showcase: Showcase
    door: Door
    worker: Worker
    tokens: Tokens
    dispatcher: Dispatcher


async def build(post: Post, clock: Clock) -> House:
    """Build the rooms and join them; nothing runs yet.

    Raises DBAPIError if the database cannot be reached, OSError if key or certificate cannot be read.
    """
    config = post.config
    scribe = None if post.is_alone else await hire(config.database_url, WORDS)  # first: it forks
    sealer = load_or_make(config.key_path)
    showcase = Showcase(post.certificates)
    engine = open_engine(config.database_url)
    db = Database(engine, scribe)
    # The revisions first: what changes between this line and the next ones is then read twice, never missed.
    watch = Watch(db, await db.read(revision.read_all))
    in_force = Current(await db.read(settings.load))
    routing = Current(await db.read(routes.load, sealer))
    stationery = Current(await db.read(load_stationery, sealer))
    processes = Current(1)
    stops = Current(await db.read(load_stops))
    new_id = id_source()
    budget = Budget(config.processes.memory_budget)
    handover = HandOver(budget)
    verifier = Verifier(db, clock, sealer)
    office = Office(
        db=db,
        clock=clock,
        settings=in_force,
        routing=routing,
        handover=handover,
        new_id=new_id,
        hostname=config.hostname,
        owner=post.owner,
        storage=Storage.under(engine),
    )
    tokens = Tokens(db, clock, sealer=sealer, owner=post.owner, new_id=new_id)
    worker = Worker(
        db=db,
        clock=clock,
        routing=routing,
        settings=in_force,
        handover=handover,
        owner=post.owner,
        new_id=new_id,
        rng=Random(),  # noqa: S311  spreads retries; nobody gains by guessing it
        hostname=config.hostname,
        processes=processes,
        stationery=stationery,
        stops=stops,
        tokens=tokens,
    )
    dispatcher = Dispatcher(
        db, clock, settings=in_force, routing=routing, hostname=config.hostname, new_id=new_id
    )
    return House(
        post=post,
        clock=clock,
        started_at=clock.now(),
        scribe=scribe,
        db=db,
        sealer=sealer,
        settings=in_force,
        routing=routing,
        stationery=stationery,
        processes=processes,
        stops=stops,
        verifier=verifier,
        watch=watch,
        showcase=showcase,
        door=Door(
            office,
            verifier=verifier,
            budget=budget,
            tls_context=showcase.context,
            issuer=issuer_of(config.oauth),
        ),
        worker=worker,
        tokens=tokens,
        dispatcher=dispatcher,
    )
