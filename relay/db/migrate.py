"""Bringing a database to the schema that this code knows, once, however many processes start.

The check that a start needs costs a millisecond: it reads the revisions' own files.  Alembic is
imported only when there is something to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from relay.db.engine import read_with

_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE.parent / "migrations", _PACKAGE / "migrations")  # in a checkout, and in a wheel
_MIGRATIONS = next((place for place in _PLACES if (place / "env.py").is_file()), _PLACES[0])
_NAMES = re.compile(r'^(revision|down_revision)\b[^=]*= "(\w+)"', re.MULTILINE)

_LOCK_KEY = 0x52454C4159  # "RELAY": the advisory lock that migrating processes agree on
_LONGEST_WAIT_MS = 600_000  # while another process migrates


class UnknownRevision(RuntimeError):
    """The database is at a revision that this code does not know: it was migrated by a newer one."""


@cache
def _revisions() -> dict[str, str]:
    """Every revision that this code knows, and the one before each."""
    files = _MIGRATIONS.glob("versions/*.py")
    names = [dict(_NAMES.findall(path.read_text(encoding="utf-8"))) for path in files]
    return {each["revision"]: each.get("down_revision", "") for each in names}


def head() -> str:
    """Return the revision that this code needs: the one that no other follows."""
    (last,) = _revisions().keys() - set(_revisions().values())
    return last


def is_known(revision: str) -> bool:
    """Whether *revision* is one that this code can come from; another is a newer relay's."""
    return revision in _revisions()


def current(engine: Engine) -> str | None:
    """Return the revision that the database is at; None if it is empty.

    Raises DBAPIError if it cannot be reached.
    """
    return read_with(engine, revision_of)


def is_up_to_date(engine: Engine) -> bool:
    """Whether the database is what this code needs."""
    return current(engine) == head()


def upgrade(engine: Engine) -> bool:
    """Bring the database to the newest revision, all of it or nothing; say whether that took anything.

    Of several processes that start at once one does it, and the others wait for it.
    Raises UnknownRevision if the database is newer than this code, DBAPIError if it fails.
    """
    if is_up_to_date(engine):
        return False
    with _alone(engine) as connection:
        if revision_of(connection) == head():
            return False
        _run_alembic(connection)
    return True


def revision_of(connection: Connection) -> str | None:
    """Return the revision that the database of *connection* is at; None if it is empty."""
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other migrating process has at the same time."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # BEGIN IMMEDIATE is the lock.  Foreign keys are off, or a table that is made anew
            # would take along what refers to it; this connection is not used for anything else.
            connection.detach()
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA foreign_keys=OFF")
            cursor.execute(f"PRAGMA busy_timeout={_LONGEST_WAIT_MS}")
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            yield connection


def _run_alembic(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  a start with nothing to do shall not pay for it
    from alembic.config import Config  # noqa: PLC0415  likewise
    from alembic.util import CommandError  # noqa: PLC0415  likewise

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as fault:
        raise UnknownRevision(str(fault)) from fault
