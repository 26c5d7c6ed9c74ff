"""To whom a message goes, as its client names them."""

from sqlalchemy import select

from relay.db.tables import recipients
from tests.kit.house import House
from tests.submission.test_messages import log_in, send


async def test_who_is_named_twice_gets_one_copy_unless_something_else_is_asked_for(house: House) -> None:
    named = "bob@a.test bob@A.TEST bob@a.test Bob@a.test bob@b.test cid@a.test"
    client = await log_in(house)
    assert (await send(client, to=named)).startswith("250")
    asked = [("bob@a.test", ""), ("bob@a.test", " NOTIFY=NEVER"), ("bob@a.test", " NOTIFY=NEVER")]
    await client.ask("MAIL FROM:<ann@example.com>")
    for address, parameters in asked:
        assert (await client.ask(f"RCPT TO:<{address}>{parameters}")).startswith("250 2.1.5")
    await client.ask("DATA")
    await client.send(b"From: ann@example.com\r\n\r\nx\r\n.\r\n")
    assert (await client.reply()).startswith("250")
    with house.engine.connect() as tx:
        query = select(recipients).order_by(recipients.c.message_id, recipients.c.number)
        kept = [(row.number, row.address, row.notify) for row in tx.execute(query)]
    assert kept == [
        (1, "bob@a.test", None),
        (2, "Bob@a.test", None),
        (3, "bob@b.test", None),
        (4, "cid@a.test", None),
        (1, "bob@a.test", None),
        (2, "bob@a.test", "NEVER"),
    ]
    await client.close()
