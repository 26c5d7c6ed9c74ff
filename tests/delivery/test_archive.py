"""Copies for an archive that do not arrive: the operator hears of them, for nobody else would."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import trustme
from sqlalchemy import Connection, select

from relay.db.database import Database
from relay.db.tables import notices
from relay.mail.address import Address
from relay.notify.announce import announcements
from relay.queue.accept import accept
from relay.queue.followers import followers_of
from relay.queue.items import Origin
from relay.queue.notices import untold
from relay.routing.upstreams import Tls
from relay.settings import Settings
from tests.delivery.makers import envelope_to, server_context, upstream_at
from tests.delivery.office import Office, eventually
from tests.kit.upstream import ALL, FakeUpstream

ARCHIVE = Address.parse("archive@example.com")
OPERATOR = Address.parse("op@example.com")


async def noted(db: Database) -> list[Any]:
    def read(tx: Connection) -> list[Any]:
        return list(tx.execute(select(notices).order_by(notices.c.id)).all())

    return await db.read(read)


async def test_the_operator_hears_once_of_an_archive_that_refuses_copies(
    db: Database, lines: StringIO
) -> None:
    async with FakeUpstream() as upstream:
        upstream.on("RCPT", "550 5.1.1 No such archive", matching="archive")
        async with Office(db, upstream_at(upstream.port, archive_address=ARCHIVE)).open() as office:
            originals = [await office.submit("bob"), await office.submit("cid")]
            await eventually(lambda: _all_done(office))
            copies = [copy.id for copy in await office.messages(Origin.ARCHIVE)]
            (notice,) = await db.read(untold, 10)
            (follower,) = await db.read(followers_of, originals[0])
    assert notice.facts["original"] in originals
    assert notice.facts["copy"] in copies
    assert (follower.id in copies, follower.origin, follower.state) == (True, Origin.ARCHIVE, "failed")
    (letter,) = announcements(notice, contact=None, operator=OPERATOR, hostname="relay.test")
    assert letter.subject == "The archive archive@example.com did not get its copy of a message"
    assert f"The message: {notice.facts['original']}" in letter.text
    assert "The last word about the copy: 550 5.1.1 No such archive" in letter.text
    assert "{" not in letter.text
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    warnings = [(e["level"], e["message"]) for e in events if e["event"] == "archive_failed"]
    assert sorted(warnings) == [("warning", original) for original in originals], "the log has each of them"


async def test_a_copy_that_waited_too_long_is_lost_as_well(db: Database) -> None:
    async with FakeUpstream() as upstream:
        upstream.on("RCPT", "451 4.2.1 Not now", matching="archive")
        async with Office(db, upstream_at(upstream.port, archive_address=ARCHIVE)).open() as office:
            office.settings.value = Settings(message_lifetime=timedelta(hours=5))
            await office.submit("bob")
            await eventually(lambda: _is_copied(office))
            (copy,) = await office.messages(Origin.ARCHIVE)
            await office.until_state(copy.id, "waiting")
            assert await noted(db) == []
            await office.turn(timedelta(hours=6))
            await office.until_state(copy.id, "done")
            assert [notice.kind for notice in await noted(db)] == ["archive_failed"]


async def test_a_copy_of_what_must_go_by_tls_all_the_way_goes_so_or_not_at_all(db: Database) -> None:
    authority = trustme.CA()
    secured = {"tls": Tls.STARTTLS, "pinned_ca": authority.cert_pem.bytes().decode()}
    async with FakeUpstream((*ALL, "REQUIRETLS"), tls=server_context(authority, "127.0.0.1")) as upstream:
        facts = upstream_at(upstream.port, archive_address=ARCHIVE, **secured)
        async with Office(db, facts).open() as office:
            await db.write(accept, office.acceptance(envelope_to("bob", require_tls=True)))
            office.worker.wake()
            await eventually(lambda: len(upstream.taken) == 2)
    assert all(transaction.mail.endswith(" REQUIRETLS") for transaction in upstream.taken)


async def _is_copied(office: Office) -> bool:
    return bool(await office.messages(Origin.ARCHIVE))


async def _all_done(office: Office) -> bool:
    copies = await office.messages(Origin.ARCHIVE)
    return len(copies) == 2 and all([await office.state(copy.id) == "done" for copy in copies])
