"""Where users are told things."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, bindparam, select

from relay.db.tables import users
from relay.mail.address import Address

_CONTACTS = select(users.c.id, users.c.contact_address).where(
    users.c.id.in_(bindparam("ids", expanding=True)), users.c.contact_address.is_not(None)
)


def contact_addresses(tx: Connection, user_ids: Collection[str]) -> Mapping[str, Address]:
    """Return the contact address of each of these users that has one, by the user's id."""
    return {
        row.id: Address.parse(row.contact_address) for row in tx.execute(_CONTACTS, {"ids": list(user_ids)})
    }
