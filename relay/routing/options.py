"""What only some kinds of upstream need, beside host and login: where a service is, how tokens are got."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from relay.routing.name_server import NameServer


class Grant(StrEnum):
    """By what right tokens are asked for (RFC 6749, RFC 7523)."""

    CLIENT_CREDENTIALS = "client-credentials"  # the application itself, by its secret
    REFRESH_TOKEN = "refresh-token"  # noqa: S105  somebody gave consent: "relay upstream authorize"
    SERVICE_ACCOUNT = "service-account"  # an assertion signed with the account's private key


@dataclass(frozen=True, slots=True)
class OAuth:
    """How an upstream's tokens are got; the client's secret, or the private key, is the upstream's password.

    `subject` is whom a service account acts for.  `device_url` and `authorize_url` are where consent
    is given: by a code that is typed in elsewhere, or in a browser.
    """

    grant: Grant
    token_url: str
    client_id: str
    scope: str = ""
    subject: str = ""
    device_url: str = ""
    authorize_url: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """The rest of an upstream's settings; all of them are empty for a plain SMTP server.

    `url` is where an HTTP service is, `domain` the sending domain (Mailgun), `region` that of Amazon
    SES, `preset` the provider that the upstream was made after; `resolver` the name server that direct
    delivery asks, "" for those of this machine.
    """

    url: str = ""
    domain: str = ""
    region: str = ""
    preset: str = ""
    resolver: str = ""
    oauth: OAuth | None = None

    @property
    def host(self) -> str:
        """The host of `url`."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port of `url`, said or not."""
        parts = urlsplit(self.url)
        return parts.port or (80 if parts.scheme == "http" else 443)

    @property
    def name_server(self) -> NameServer | None:
        """The name server to ask, if it is one of our own.  Raises BadNameServer."""
        return NameServer.parse(self.resolver) if self.resolver else None

    @property
    def is_secure(self) -> bool:
        """Whether `url` is spoken to over TLS."""
        return urlsplit(self.url).scheme == "https"

    def to_json(self) -> str:
        """As it is stored: what is empty is left out."""
        return json.dumps({name: value for name, value in asdict(self).items() if value})

    @classmethod
    def from_json(cls, text: str) -> Options:
        """Read what `to_json` wrote; names that nobody knows any more are passed over."""
        known: dict[str, Any] = {
            name: value for name, value in json.loads(text or "{}").items() if name in cls.__slots__
        }
        if oauth := known.get("oauth"):
            known["oauth"] = OAuth(**(oauth | {"grant": Grant(oauth["grant"])}))
        return cls(**known)


NOTHING = Options()
