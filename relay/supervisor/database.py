"""Before the first process starts, the database is brought up to date and, if empty, gets the demo.

On its own in a child that ends at once: connections must not be carried over a fork, so the parent
never has one.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from relay.accounts.users import NameTaken
from relay.config import Config
from relay.db.engine import open_engine, write_with
from relay.db.migrate import UnknownRevision, upgrade
from relay.first_run import demo_for, make_demo
from relay.ids import id_source
from relay.routing.changes import UpstreamTaken
from relay.sealing import Sealer, load_or_make
from relay.supervisor.cannot_start import UNAVAILABLE, CannotStart


def make_ready(config: Config) -> str | None:
    """Migrate the database; if it is empty make the demo user, and return its password.

    Raises CannotStart if the database cannot be reached or used.
    """
    place = make_url(config.database_url).render_as_string(hide_password=True)
    engine = open_engine(config.database_url)
    try:
        upgrade(engine)
        return _demo_password(engine, load_or_make(config.key_path))
    except UnknownRevision as fault:
        raise CannotStart(f"The database {place} was used by a newer relay: {fault}.", UNAVAILABLE) from None
    except DBAPIError as fault:
        reason = str(fault.orig).strip().partition("\n")[0]
        raise CannotStart(f"The database {place} cannot be used: {reason}", UNAVAILABLE) from None
    finally:
        engine.dispose()


def _demo_password(engine: Engine, sealer: Sealer) -> str | None:
    demo = demo_for(datetime.now(UTC), id_source(), sealer)
    try:
        return demo.password if write_with(engine, make_demo, demo) else None
    except (IntegrityError, NameTaken, UpstreamTaken):  # another node made it at this very moment
        return None


def begin_apart(config: Config) -> Callable[[], str | None]:
    """Begin `make_ready` in a child; what is returned waits for it, and returns or raises as it did."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(reading)
        _answer(writing, config)
    os.close(writing)

    def result() -> str | None:
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read()
        os.waitpid(pid, 0)
        if not told:
            raise CannotStart("The process that prepares the database was killed.", os.EX_SOFTWARE)
        answer = json.loads(told)
        if answer["sentence"]:
            raise CannotStart(answer["sentence"], answer["exit_code"])
        password: str | None = answer["password"]
        return password

    return result


def _answer(writing: int, config: Config) -> None:
    """Do the work in the child, tell the parent by *writing*, and end without any of its own ends."""
    answer: dict[str, str | int | None] = {"password": None, "sentence": None, "exit_code": 0}
    try:
        answer["password"] = make_ready(config)
    except CannotStart as refusal:
        answer |= {"sentence": str(refusal), "exit_code": refusal.exit_code}
    except BaseException:  # noqa: BLE001  a child must never return into its parent's code
        traceback.print_exc()
        answer |= {"sentence": "The database could not be prepared; see above.", "exit_code": os.EX_SOFTWARE}
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)
