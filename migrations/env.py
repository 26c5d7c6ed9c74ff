"""How Alembic reaches a database.

The relay hands over its connection (`relay.db.migrate`).  By hand, a URL is named:

    alembic -x url=sqlite:///var/relay.db revision --autogenerate -m "What changes"
    alembic -x url=postgresql:// upgrade head --sql
"""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection

from relay.db.engine import open_engine
from relay.db.tables import metadata
from relay.db.types import EnumText, UtcDateTime


def run_migrations() -> None:
    """Migrate by whatever way to the database there is."""
    connection: Connection | None = context.config.attributes.get("connection")
    if connection is not None:
        migrate(connection=connection)
        return
    by_hand = context.get_x_argument(as_dictionary=True)
    url: str | None = context.config.attributes.get("url") or by_hand.get("url")
    if url is None:
        raise SystemExit("name the database: alembic -x url=sqlite:///var/relay.db …")
    if context.is_offline_mode():
        migrate(url=url, literal_binds=True)
        return
    engine = open_engine(url)
    with engine.begin() as connection:
        migrate(connection=connection)
    engine.dispose()


def migrate(**way: Any) -> None:
    """Run the wanted revisions, all in one transaction."""
    context.configure(target_metadata=metadata, render_as_batch=True, render_item=render_item, **way)
    with context.begin_transaction():
        context.run_migrations()


def render_item(kind: str, item: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    """Write our own column types into a new revision so that it can be read years later."""
    if kind == "type" and isinstance(item, UtcDateTime):
        autogenerate.imports.add("from relay.db.types import UtcDateTime")
        return "UtcDateTime()"
    if kind == "type" and isinstance(item, EnumText):
        return f"sa.String(length={item.impl.length})"
    return False


run_migrations()
