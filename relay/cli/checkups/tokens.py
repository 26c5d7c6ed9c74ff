"""Checkup of the issuer of access tokens."""

from __future__ import annotations

from collections.abc import Iterator

from relay.accounts.issuer import read_document
from relay.accounts.tokens import read_keys
from relay.cli.checkups.finding import Finding, ok, problem
from relay.cli.desk import Desk


def tokens(desk: Desk) -> Iterator[Finding]:
    """Keys to verify tokens with, where an issuer is configured."""
    section = desk.config.oauth
    if not section.issuer:
        return
    try:
        keys = read_keys(read_document(section))
    except (OSError, ValueError) as fault:
        yield problem("tokens", f"The keys of {section.issuer} cannot be read from {section.jwks}: {fault}")
    else:
        algorithms = ", ".join(sorted({key.algorithm for key in keys}))
        yield ok("tokens", f"{section.issuer}: keys for {algorithms}")
