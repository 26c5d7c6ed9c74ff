"""Static settings: a TOML file and the environment, read once into one frozen Config.

What can change while the relay runs is in `relay.settings`.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

SEARCHED = (
    Path("config/relay.toml"),
    Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "relay/relay.toml",
    Path("/etc/relay/relay.toml"),
)
_MAX_PORTS = 5000


class BadConfig(ValueError):
    """The configuration cannot be used; the message has one line for each thing to mend."""


class TlsMode(StrEnum):
    """How a port is secured."""

    NONE = "none"
    STARTTLS = "starttls"
    STARTTLS_REQUIRED = "starttls-required"
    IMPLICIT = "implicit"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


_LEAST_PREFIX = {4: 8, 6: 16}


class Trusted(_Section):
    """A network whose clients need not log in: they are taken for one user."""

    network: IPvAnyNetwork
    user: str = Field(min_length=1)

    @field_validator("network")
    @classmethod
    def _is_somebodys(cls, value: Any) -> Any:
        if value.prefixlen < _LEAST_PREFIX[value.version]:
            raise ValueError(f"{value} is nobody's own network: whoever is in it could send without a login")
        if value.is_loopback:
            raise ValueError(f"{value} is this machine itself, and anybody behind a tunnel or proxy on it")
        return value


class Listener(_Section):
    """A list of ports that are served alike."""

    name: str
    ports: tuple[str, ...]
    address: str = "0.0.0.0"  # noqa: S104  a relay is there to be reached
    tls: TlsMode = TlsMode.STARTTLS
    auth_without_tls: bool = False
    # Balancers that send the PROXY protocol: then nobody else may connect.
    proxy_from: tuple[IPvAnyNetwork, ...] = ()
    # Old devices that cannot log in.
    trusted: tuple[Trusted, ...] = ()

    @field_validator("ports", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return tuple(str(v) for v in value) if isinstance(value, list | tuple) else (str(value),)

    @field_validator("ports")
    @classmethod
    def _understood(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        count = sum(len(_port_range(text)) for text in value)
        if not 0 < count <= _MAX_PORTS:
            raise ValueError(f"a listener has between 1 and {_MAX_PORTS} ports, not {count}")
        return value

    def port_numbers(self) -> list[int]:
        """Every port, in the order given."""
        return [port for text in self.ports for port in _port_range(text)]


def _port_range(text: str) -> range:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise ValueError(f'"{text}" is neither a port ("587") nor a range of ports ("1025-1100")')
    low, high = int(first), int(last or first)
    if not (0 <= low <= high <= 65535) or (low == 0 and high):
        raise ValueError(f'"{text}": ports are 1 to 65535, the lower one first (0 alone: any free port)')
    return range(low, high + 1)


class DatabaseSection(_Section):
    """Where everything is kept."""

    url: str = ""  # empty: embedded SQLite in data_dir

    @field_validator("url")
    @classmethod
    def _known(cls, value: str) -> str:
        if value.startswith("postgresql://"):
            value = value.replace("postgresql://", "postgresql+psycopg://", 1)
        if value and not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("a database URL begins with postgresql:// or sqlite:///")
        return value


class NamedCertificate(_Section):
    """One more certificate, for clients that call a name it has."""

    certificate: Path
    key: Path


class TlsSection(_Section):
    """The server's certificate; empty: a self-signed one is made in data_dir."""

    certificate: Path | None = None
    key: Path | None = None
    certificates: tuple[NamedCertificate, ...] = ()

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError('"certificate" and "key" are given both or neither')
        return self


_KEYS_URL = re.compile(r"https://[^/]+.*|http://(127\.0\.0\.1|\[::1\]|localhost)[:/].*")


class OAuthSection(_Section):
    """Whose access tokens log a user in (OAUTHBEARER, XOAUTH2); empty: nobody's, and neither is offered."""

    issuer: str = ""
    audience: str = ""
    jwks: str = ""  # the issuer's public keys: a URL, or the path of a file
    claim: str = Field(default="email", min_length=1)

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        given = {"issuer": self.issuer, "audience": self.audience, "jwks": self.jwks}
        missing = [f'"{name}"' for name, value in given.items() if not value]
        if 0 < len(missing) < len(given):
            raise ValueError(
                f"{' and '.join(missing)} missing: tokens are taken of one issuer, and made for us"
            )
        if self.has_url and not _KEYS_URL.fullmatch(self.jwks):
            raise ValueError('"jwks" is a file, or begins with https:// (http:// only on this machine)')
        return self

    @property
    def has_url(self) -> bool:
        """Whether the keys are fetched from the issuer."""
        return "://" in self.jwks


_PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+(?:/[A-Za-z0-9._~/\-]*)?")


class AdminSection(_Section):
    """Where the panel, the API and the metrics are served."""

    listen: str = "127.0.0.1:8080"
    # Networks that may read /metrics; whether the relay lives and is ready is told to everybody.
    metrics_for: tuple[IPvAnyNetwork, ...] = (ip_network("127.0.0.0/8"), ip_network("::1"))
    # Where the world reaches the pages that letters link to; empty: letters carry codes instead.
    public_url: str = ""

    @field_validator("public_url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        if value and not _PUBLIC_URL.fullmatch(value):
            raise ValueError(
                '"public_url" is such as "https://relay.example.com", without "?", "#" or a login'
            )
        return value.rstrip("/")

    @field_validator("listen")
    @classmethod
    def _address_and_port(cls, value: str) -> str:
        host, colon, port = value.rpartition(":")
        if not (host and colon and port.isdecimal() and int(port) <= 65535):
            raise ValueError('"listen" is address:port, such as "127.0.0.1:8080"')
        return value

    @property
    def address(self) -> tuple[str, int]:
        """`listen` in its two parts."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class LogSection(_Section):
    """How what happens is told; it goes to standard output."""

    format: str = Field(default="auto", pattern="^(auto|json|console)$")
    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")


class ProcessesSection(_Section):
    """How many relay processes a node runs, and what one may hold."""

    relay: int = Field(default=1, ge=1, le=64)
    # Octets of messages being received or waiting in memory, in each process; beyond it DATA waits,
    # then 452 4.3.1.  A process takes about this plus 60 MB.
    memory_budget: int = Field(default=128 * 1024 * 1024, ge=16 * 1024 * 1024)
    stop_seconds: int = Field(default=30, ge=1, le=3600)  # what a stop gives running transfers to end


_DEFAULT_LISTENERS = (
    Listener(name="submission", ports=("2587",), tls=TlsMode.STARTTLS_REQUIRED),
    Listener(name="submissions", ports=("2465",), tls=TlsMode.IMPLICIT),
    Listener(name="plain", ports=("2525",), tls=TlsMode.STARTTLS),
)


_PREFIX = "RELAY_"
# A name in ASCII, or an address as in RFC 5321 §4.1.3; "_" stands in names of containers
_HOST = re.compile(r"(?=.{1,255}$)[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Za-z.:]+\]")


class Config(BaseSettings):
    """Everything that needs a restart to change."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Path("var")
    user: str | None = None  # started as root, the relay binds its ports and then becomes this user
    node: str = Field(default_factory=socket.gethostname, min_length=1, max_length=40)
    hostname: str = Field(default_factory=socket.getfqdn)  # how the relay names itself in SMTP
    secret_key_file: Path | None = None  # None: made in data_dir
    database: DatabaseSection = DatabaseSection()
    tls: TlsSection = TlsSection()
    oauth: OAuthSection = OAuthSection()
    admin: AdminSection = AdminSection()
    log: LogSection = LogSection()
    processes: ProcessesSection = ProcessesSection()
    listeners: tuple[Listener, ...] = _DEFAULT_LISTENERS

    @field_validator("hostname")
    @classmethod
    def _can_be_called(cls, value: str) -> str:
        if not _HOST.fullmatch(value):
            raise ValueError(f'"{value}" is no host name; letters beyond ASCII are written as xn--…')
        return value

    @property
    def database_url(self) -> str:
        """The URL to open: the one given, or the embedded database's."""
        return self.database.url or f"sqlite:///{self.data_dir / 'relay.db'}"

    @property
    def is_embedded(self) -> bool:
        """Whether the database is SQLite: then there is one node with one relay process."""
        return self.database_url.startswith("sqlite")

    @property
    def key_path(self) -> Path:
        """Where the key lies that seals stored secrets."""
        return self.secret_key_file or self.data_dir / "secret.key"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file, whose content comes as init arguments."""
        return env_settings, init_settings


def find_file(given: Path | None) -> Path | None:
    """Return the configuration file to read: the one given, $RELAY_CONFIG, or the first that is there.

    Raises BadConfig if one was named and is not there.
    """
    named = given or (Path(os.environ["RELAY_CONFIG"]) if os.environ.get("RELAY_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise BadConfig(f"{named}: there is no such file")
        return named
    return next((path for path in SEARCHED if path.is_file()), None)


def load(path: Path | None = None) -> Config:
    """Read the configuration file, if there is one, and the environment over it.

    Raises BadConfig with one line for each mistake: an unknown key (with the nearest known one), a
    value that cannot be used, a file that is no TOML.
    """
    path = find_file(path)
    source = str(path) if path else "the environment"
    if mistaken := list(_nearly_ours()):
        raise BadConfig("\n".join(mistaken))
    try:
        document = tomllib.loads(path.read_text("utf-8")) if path else {}
        return Config(**document)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise BadConfig(f"{source}: {fault}") from None
    except SettingsError as fault:
        raise BadConfig("\n".join(_not_json()) or f"the environment: {fault}") from None
    except ValidationError as fault:
        raise BadConfig("\n".join(f"{source}: {_explain(error)}" for error in fault.errors())) from None


def _variables() -> Mapping[str, bool]:
    """The variables that are read, and whether each is JSON: a list, or a whole section at once."""
    found: dict[str, bool] = {}
    for name, field in Config.model_fields.items():
        variable, kind = f"{_PREFIX}{name.upper()}", field.annotation
        found[variable] = get_origin(kind) is tuple
        if isinstance(kind, type) and issubclass(kind, _Section):
            of_keys = {f"{variable}__{key.upper()}": inner for key, inner in kind.model_fields.items()}
            found |= {key: get_origin(inner.annotation) is tuple for key, inner in of_keys.items()}
            found[variable] = True
    return found


def _not_json() -> Iterator[str]:
    """Say of each variable that should be JSON and is not how it is written."""
    wanted = _variables()
    for name, value in sorted(os.environ.items()):
        if wanted.get(name.upper()):
            try:
                json.loads(value)
            except ValueError:
                yield (
                    f'the environment: {name} is not JSON: a list is written as ["a", "b"], '
                    f"and a section key by key, such as {_PREFIX}LOG__LEVEL"
                )


def _nearly_ours() -> Iterator[str]:
    """Name each variable that must be a mistake for one of ours, such as RELAY_DATABASE_URL.

    Others that begin so are not ours: Kubernetes sets RELAY_PORT and more for a service called "relay".
    """
    known = {name.removeprefix(_PREFIX) for name in _variables()}
    for name in sorted(os.environ):
        said = name.upper().removeprefix(_PREFIX)
        # What has a section's name, or belongs to one, is read, and refused if there is no such key.
        if said == name.upper() or said.partition("__")[0] in known:
            continue
        if near := difflib.get_close_matches(said, known, n=1, cutoff=0.8):
            yield f'the environment: unknown variable "{name}"; did you mean "{_PREFIX}{near[0]}"?'


_WORDS = {"tuple_type": "must be a list", "model_type": "must be a section with keys of its own"}


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{place}: {_WORDS.get(error['type']) or error['msg'].removeprefix('Value error, ')}"
    near = difflib.get_close_matches(str(error["loc"][-1]), _known_keys(error["loc"][:-1]), n=1)
    return f'unknown key "{place}"' + (f'; did you mean "{near[0]}"?' if near else "")


def _known_keys(place: tuple[str | int, ...]) -> list[str]:
    """The keys of the section at *place*."""
    model: type[BaseModel] = Config
    for part in place:
        if isinstance(part, str):
            found = model.model_fields[part].annotation
            # A list of sections is a tuple[Section, ...]
            model = next(iter(get_args(found)), found)  # type: ignore[assignment]
    return list(model.model_fields)
