"""The audit trail: who changed what, written in the transaction that changes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from relay.db.tables import audit


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, and when; `actor` is "cli:root", "panel:ann@example.com" and the like."""

    actor: str
    at: datetime
    new_id: Callable[[datetime], str]

    def id(self) -> str:
        """Return a fresh id for something this change makes."""
        return self.new_id(self.at)


def record(
    tx: Connection, by: Author, action: str, subject: str, *, detail: Mapping[str, Any] | None = None
) -> None:
    """Note that *by* did *action* ("user.edit") to *subject*; *detail* never holds a secret."""
    tx.execute(
        insert(audit).values(
            id=by.id(),
            at=by.at,
            actor=by.actor,
            action=action,
            subject=subject,
            detail=json.dumps(detail or {}, default=str, ensure_ascii=False),
        )
    )
