"""The facts of one client connection, frozen: policy and the story of a message are told these."""

from __future__ import annotations

from typing import NamedTuple

TRUSTED = "trusted network"  # a login without AUTH


class Session(NamedTuple):
    """Who is at the door.

    `tls` is the protocol version and cipher ("TLSv1.3 TLS_AES_256_GCM_SHA384"), None in the clear;
    `user` and `user_id` are set once AUTH succeeded, and `login` says how: the mechanism, or TRUSTED.
    """

    id: str
    listener: str
    peer_address: str
    peer_port: int = 0
    helo: str = ""
    is_esmtp: bool = False
    tls: str | None = None
    user: str | None = None
    user_id: str | None = None
    credential_id: str | None = None
    login: str | None = None

    @property
    def is_authenticated(self) -> bool:
        """Whether the client proved who it is, rather than being believed for where it is."""
        return self.user is not None and self.login != TRUSTED

    @property
    def protocol(self) -> str:
        """The `with` keyword of the Received field (RFC 3848)."""
        if not self.is_esmtp:
            return "SMTP"
        return "ESMTP" + "S" * (self.tls is not None) + "A" * self.is_authenticated
