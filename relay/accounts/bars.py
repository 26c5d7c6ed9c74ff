"""Who is barred from logging in, as all processes of all nodes know it: kept until the time is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from relay.db.batch import Batch
from relay.db.tables import login_bars

MOST = 10_000
"""How many bars are read; whoever has more attackers than that bars each of them in one process."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What is barred, by a kind of source and its text, and until when."""

    kind: str
    source: str
    until: datetime


def _setting(insert: Any) -> Any:
    statement = insert(login_bars)
    return statement.on_conflict_do_update(
        index_elements=list(login_bars.primary_key), set_={"until": statement.excluded["until"]}
    )


_SET = {
    "sqlite": Batch(_setting(sqlite.insert), apart=("kind", "source")),
    "postgresql": Batch(_setting(postgresql.insert), apart=("kind", "source")),
}
_IN_FORCE = (
    select(login_bars)
    .where(login_bars.c.until > bindparam("now"))
    .order_by(login_bars.c.until.desc())
    .limit(MOST)
)


def set_bars(tx: Connection, items: Sequence[Bar]) -> list[None]:
    """Bar what *items* say, in one order, so that two processes cannot wait for each other."""
    latest = {(bar.kind, bar.source): bar for bar in sorted(items, key=lambda bar: bar.until)}
    rows = [{"kind": k, "source": s, "until": bar.until} for (k, s), bar in sorted(latest.items())]
    _SET[tx.dialect.name].run(tx, rows)
    return [None] * len(items)


def bars_in_force(tx: Connection, now: datetime) -> list[Bar]:
    """Return what is barred at *now*, at most MOST of it."""
    return [Bar(row.kind, row.source, row.until) for row in tx.execute(_IN_FORCE, {"now": now})]


def purge_bars(tx: Connection, items: Sequence[datetime]) -> list[int]:
    """Forget the bars that were over at each of these moments; return how many."""
    return [tx.execute(delete(login_bars).where(login_bars.c.until <= now)).rowcount for now in items]
