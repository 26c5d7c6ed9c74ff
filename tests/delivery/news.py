"""Mail whose sender asked to hear of it, and the reports on it, for tests."""

from email import message_from_bytes
from typing import Any

from sqlalchemy import select

from relay.db.tables import contents
from relay.mail.envelope import Envelope
from relay.queue.accept import accept
from relay.queue.items import Origin
from tests.delivery.makers import envelope_to
from tests.delivery.office import Office


def asking(notify: str | None, **more: Any) -> Envelope:
    """An envelope to bob, with that NOTIFY."""
    envelope = envelope_to("bob", **more)
    return envelope._replace(recipients=(envelope.recipients[0]._replace(notify=notify),))


async def send(office: Office, envelope: Envelope, **more: object) -> str:
    """Put a letter into the table; return its id."""
    acceptance = office.acceptance(envelope, **more)  # type: ignore[arg-type]
    await office.db.write(accept, acceptance)
    office.worker.wake()
    return acceptance.id


async def reports(office: Office) -> list[Any]:
    """The reports as they were sent: each the group of fields about its first recipient."""
    found = await office.messages(Origin.BOUNCE)

    def read(tx: object) -> list[bytes]:
        rows = tx.execute(select(contents).order_by(contents.c.message_id))  # type: ignore[attr-defined]
        return [row.content for row in rows if row.message_id in {m.id for m in found}]

    whole: list[Any] = [message_from_bytes(content) for content in await office.db.read(read)]
    return [report.get_payload()[1].get_payload()[1] for report in whole]
