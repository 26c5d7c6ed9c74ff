"""What a command works with: the configuration, the database, the key, opened when first needed."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from relay.cli.faults import BAD_CONFIG, Failed

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from relay.config import Config
    from relay.db.audit import Author
    from relay.sealing import Sealer

P = ParamSpec("P")
R = TypeVar("R")
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Options:
    """What every command takes."""

    config: Path | None = None
    as_json: bool = False
    debug: bool = False


class Desk:
    """One command's way to the rooms; `close` it when the command is over."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._engine: Engine | None = None

    @cached_property
    def config(self) -> Config:
        """The configuration.  Raises BadConfig."""
        from relay.config_file import load

        return load(self.options.config)

    @cached_property
    def sealer(self) -> Sealer:
        """What opens and seals stored secrets; its key is made if there is none yet."""
        from relay.sealing import load_or_make

        self._opened()
        try:
            return load_or_make(self.config.key_path)
        except ValueError as fault:
            raise Failed(f"The key file {self.config.key_path} cannot be used: {fault}", BAD_CONFIG) from None

    @cached_property
    def author(self) -> Author:
        """Whoever runs this command, as the audit trail names it."""
        from relay.db.audit import Author
        from relay.ids import id_source

        return Author(f"cli:{_operator()}", self.now, id_source())

    @cached_property
    def now(self) -> datetime:
        """The one moment at which this command happens."""
        return datetime.now(UTC)

    def read(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Ask a room."""
        from relay.db.engine import read_with

        return read_with(self._opened(), function, *args, **kwargs)

    def write(self, function: Callable[[Connection, Sequence[Item]], Sequence[Result]], item: Item) -> Result:
        """Have a room change something, commit, and ring the bell of every process of this node."""
        from relay.bell import ring
        from relay.db.engine import write_with

        result = write_with(self._opened(), function, item)
        ring(self.config.data_dir / "run")
        return result

    def close(self) -> None:
        """Let go of the database."""
        if self._engine is not None:
            self._engine.dispose()

    def make(self) -> None:
        """Make the embedded database if there is none yet, so that users can be added before a start."""
        if self._is_missing():
            self.migrate()

    def migrate(self) -> bool:
        """Make the database, or bring it to the schema of this code; say whether that took anything."""
        from relay.db.migrate import upgrade

        if self.config.is_embedded:
            self._become_owner()
            file_of(self.config).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return upgrade(self._connected())

    def _opened(self) -> Engine:
        """The database, with the schema that this code needs."""
        if self._engine is not None:
            return self._engine
        from relay.db.migrate import current, head, is_known

        if self._is_missing():
            raise Failed(
                f"There is no database {file_of(self.config)} yet. It is made by the first "
                '"relay serve", "relay user add" or "relay upstream add"; if there should be one, '
                "name the configuration with --config.",
                BAD_CONFIG,
            )
        engine = self._connected()
        standing = current(engine)
        if standing is not None and not is_known(standing):
            raise Failed(
                f"The database was used by a newer relay: it is at revision {standing}, this relay knows "
                f"them up to {head()}.",
                BAD_CONFIG,
            )
        if standing != head():
            state = "is empty" if standing is None else f"is at revision {standing}"
            raise Failed(
                f'The database {state}, this relay needs revision {head()}: run "relay migrate".', BAD_CONFIG
            )
        return engine

    def _is_missing(self) -> bool:
        return self.config.is_embedded and not file_of(self.config).exists()

    def _connected(self) -> Engine:
        from relay.db.engine import open_engine

        if self._engine is None:
            self._become_owner()
            self._engine = open_engine(self.config.database_url)
        return self._engine

    def _become_owner(self) -> None:
        """As root, work as the user that the relay becomes: what is made here must be that user's."""
        os.umask(0o077)
        if self.config.user is None or os.geteuid() != 0:
            return
        from relay.supervisor.privileges import become

        directory = self.config.data_dir
        is_new = not directory.exists()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        become(self.config.user, giving=[directory] if is_new else [])


def file_of(config: Config) -> Path:
    """Where an embedded database lies."""
    from sqlalchemy import make_url

    return Path(make_url(config.database_url).database or ":memory:")


def _operator() -> str:
    """The login name of whoever runs this command, also behind sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
