"""Static settings: one frozen Config, read once (by `relay.config_file`).

What can change while the relay runs is in `relay.settings`.
"""

from __future__ import annotations

import re
import socket
from collections import Counter
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

_MAX_PORTS = 5000


class TlsMode(StrEnum):
    """How a port is secured."""

    NONE = "none"
    STARTTLS = "starttls"
    STARTTLS_REQUIRED = "starttls-required"
    IMPLICIT = "implicit"


class Section(BaseModel):
    """A part of the configuration: it knows its keys and takes no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _as_meant(value: Any) -> Any:
    """Return a path as it is meant: "~" is a home; an empty one is a variable that was forgotten, not "."."""
    if value == "":
        raise ValueError("must not be empty: name a path, or leave it out")
    try:
        return Path(value).expanduser() if isinstance(value, str) else value
    except RuntimeError:
        raise ValueError(f'"{value}" is in a home directory that is not known') from None


GivenPath = Annotated[Path, BeforeValidator(_as_meant)]

_LEAST_PREFIX = {4: 8, 6: 16}


class Trusted(Section):
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


class Listener(Section):
    """A list of ports that are served alike."""

    name: str
    ports: tuple[str, ...] = Field(min_length=1)
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


class DatabaseSection(Section):
    """Where everything is kept."""

    url: str = ""  # empty: embedded SQLite in data_dir

    @field_validator("url")
    @classmethod
    def _known(cls, value: str) -> str:
        if value.startswith("postgresql://"):
            value = value.replace("postgresql://", "postgresql+psycopg://", 1)
        if value and not value.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("a database URL begins with postgresql:// or sqlite:///")
        if value:
            _ensure_it_can_be_read(value)
        return value


def _ensure_it_can_be_read(url: str) -> None:
    from sqlalchemy import make_url  # noqa: PLC0415  takes long, and only who has a URL needs it
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        make_url(url)
    except (ValueError, ArgumentError):
        raise ValueError(
            "cannot be read: the port is a number, an address of IPv6 stands in brackets, "
            "and special characters in a password are written like %2F"
        ) from None


def _url_of(embedded: Path) -> str:
    """Return the URL of a file, in whose name "?" and "%" mean what they do in a name."""
    from sqlalchemy import URL  # noqa: PLC0415  see above

    return URL.create("sqlite", database=str(embedded)).render_as_string()


class NamedCertificate(Section):
    """One more certificate, for clients that call a name it has."""

    certificate: GivenPath
    key: GivenPath


class TlsSection(Section):
    """The server's certificate; empty: a self-signed one is made in data_dir."""

    certificate: GivenPath | None = None
    key: GivenPath | None = None
    certificates: tuple[NamedCertificate, ...] = ()

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError('"certificate" and "key" are given both or neither')
        return self


_KEYS_URL = re.compile(r"https://[^/]+.*|http://(127\.0\.0\.1|\[::1\]|localhost)[:/].*")


class OAuthSection(Section):
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


class AdminSection(Section):
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


class LogSection(Section):
    """How what happens is told; it goes to standard output."""

    format: str = Field(default="auto", pattern="^(auto|json|console)$")
    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")


class ProcessesSection(Section):
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


PREFIX = "RELAY_"
# A name in ASCII, or an address as in RFC 5321 §4.1.3; "_" stands in names of containers
_LABEL = "[A-Za-z0-9_-]{1,63}"  # RFC 1035 §2.3.4
_HOST = re.compile(rf"(?=[A-Za-z0-9].{{0,254}}$){_LABEL}(\.{_LABEL})*(?<=[A-Za-z0-9])|\[[0-9A-Za-z.:]+\]")


class Config(BaseSettings):
    """Everything that needs a restart to change."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: GivenPath = Path("var")
    user: str | None = None  # started as root, the relay binds its ports and then becomes this user
    node: str = Field(default_factory=socket.gethostname, min_length=1, max_length=40)
    hostname: str = Field(default_factory=socket.getfqdn)  # how the relay names itself in SMTP
    secret_key_file: GivenPath | None = None  # None: made in data_dir
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

    @field_validator("listeners")
    @classmethod
    def _have_their_own_names(cls, value: tuple[Listener, ...]) -> tuple[Listener, ...]:
        if not value:  # as min_length=1 would say also where each entry has a mistake of its own
            raise ValueError("must have at least one entry")
        for name, times in Counter(each.name for each in value).items():
            if times > 1:
                raise ValueError(f'{times} of them are called "{name}"; each has a name of its own')
        return value

    @property
    def database_url(self) -> str:
        """The URL to open: the one given, or the embedded database's."""
        return self.database.url or _url_of(self.data_dir / "relay.db")

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
