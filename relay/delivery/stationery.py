"""What letters are given on their way out: changes by user, signatures by domain, as they are in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from relay.accounts.users import rewrites
from relay.mail.dkim import Signer
from relay.mail.rewriting import Rewrite
from relay.routing.dkim_keys import signers
from relay.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Stationery:
    """How mail of each user (by id) is changed, and who signs for each domain (by its folded name)."""

    rewrites: Mapping[str, Rewrite] = field(default_factory=dict)
    signers: Mapping[str, tuple[Callable[[], Signer], ...]] = field(default_factory=dict)


PLAIN = Stationery()


def load_stationery(tx: Connection, sealer: Sealer) -> Stationery:
    """Read it as it stands."""
    return Stationery(rewrites(tx), signers(tx, sealer))
