"""The letters themselves: kept as long as somebody has to deliver them, or wants to look at them."""

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, delete, or_, select

from relay.db.among import Among
from relay.db.engine import passing_through
from relay.db.tables import contents, deliveries
from relay.queue.states import ACTIVE

_READ = select(contents.c.content).where(contents.c.message_id == bindparam("message_id"))
_READ_SEVERAL = select(contents.c.message_id, contents.c.content).where(
    contents.c.message_id.in_(bindparam("message_ids", expanding=True))
)
_IS_NEEDED = (
    select(deliveries.c.part)
    .where(
        deliveries.c.message_id == contents.c.message_id,
        or_(*[deliveries.c.state == state for state in ACTIVE], deliveries.c.keeps_content.is_(True)),
    )
    .exists()
)
_DROP = Among(lambda ids: delete(contents).where(contents.c.message_id.in_(ids), ~_IS_NEEDED))


def read_content(tx: Connection, message_id: str) -> bytes | None:
    """Return a message as it goes over the wire, not dot-stuffed; None once it is gone."""
    with passing_through(tx):
        content: bytes | None = tx.execute(_READ, {"message_id": message_id}).scalar()
    return content


def read_contents(tx: Connection, message_ids: Collection[str]) -> dict[str, bytes]:
    """Return the contents of several messages, by message; those that are gone are left out."""
    if not message_ids:
        return {}
    return {row.message_id: row.content for row in tx.execute(_READ_SEVERAL, {"message_ids": message_ids})}


def drop_contents(tx: Connection, message_ids: Collection[str]) -> None:
    """Forget the contents of those messages that no delivery needs any more, to be sent or to be kept.

    The messages are locked (see `relay.queue.leasing.lock_messages`), so that of two that end the last
    deliveries of one the second sees what the first did.
    """
    _DROP.run(tx, message_ids)
