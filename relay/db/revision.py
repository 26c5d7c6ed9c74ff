"""Telling every process of every node that something it keeps a copy of has changed.

A change counts up its subject's number in the same transaction; each process reads all numbers
about once a second and loads anew what moved.  The bell makes that sooner; losing it costs a second.
"""

from collections.abc import Mapping
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from relay.db.tables import revisions


class Subject(StrEnum):
    """What processes keep copies of."""

    ACCOUNTS = "accounts"
    ROUTING = "routing"
    SETTINGS = "settings"
    CONTROL = "control"
    KEYS = "keys"


def bump(tx: Connection, subject: Subject) -> None:
    """Say that *subject* changed, in the transaction that changes it."""
    moved = tx.execute(
        update(revisions).where(revisions.c.subject == subject).values(number=revisions.c.number + 1)
    )
    if moved.rowcount == 0:
        tx.execute(insert(revisions).values(subject=subject.value, number=1))


def read_all(tx: Connection) -> Mapping[str, int]:
    """Return the number of every subject that ever changed."""
    return {row.subject: row.number for row in tx.execute(select(revisions))}
