"""The queue: messages, their contents, their recipients, deliveries and attempts.

What a message costs is counted in statements: on its way in one insert each into `messages`,
`contents`, `recipients`, `deliveries` (and one upsert of `usage` a user and batch); on its way out
one update each of `recipients` and `deliveries`, one insert into `attempts`, one delete of `contents`.
"""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from relay.db.tables.base import ADDRESS, ID, NAME, metadata, partial_index
from relay.db.types import EnumText, UtcDateTime
from relay.mail.states import DeliveryState, RecipientState

messages = Table(
    "messages",
    metadata,
    Column("id", ID, primary_key=True),  # also the queue id that the client was told
    Column("accepted_at", UtcDateTime, nullable=False, index=True),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("origin", String(24), nullable=False),  # queue.accept.Origin: submission, bounce, notice …
    Column("user_id", ID),
    Column("user_name", NAME),
    Column("credential_id", ID),
    Column("peer_address", String(64)),
    Column("helo", NAME),
    Column("tls", String(64)),
    Column("listener", String(64)),
    Column("login", String(32)),  # the mechanism of AUTH, or mail.session.TRUSTED
    Column("sender", ADDRESS, nullable=False),
    Column("header_from", ADDRESS),
    Column("subject", String(255)),
    Column("message_id_field", String(255)),
    Column("tag", String(128)),
    Column("priority", Integer, nullable=False),
    Column("priority_asked", Integer),  # what it asked for, where it goes with another; null: nothing else
    Column("octets", Integer, nullable=False),
    Column("body", String(12), nullable=False),
    Column("smtputf8", Boolean, nullable=False),
    Column("about_id", ID),  # the message that this one reports on, or is an archive's copy of
    Column("mismatch", Text),  # which senders were not its user's, and what became of that; null: all were
    Column("options", Text),  # JSON of the rarer MAIL parameters: RET, ENVID, MT-PRIORITY, BY, REQUIRETLS
)

partial_index("ix_messages_about", messages.c.about_id, where=messages.c.about_id.is_not(None))

contents = Table(  # the message in canonical form, not dot-stuffed; gone when nobody needs it any more
    "contents",
    metadata,
    Column("message_id", ID, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

recipients = Table(
    "recipients",
    metadata,
    Column("message_id", ID, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("part", Integer, nullable=False),  # its delivery
    Column("address", ADDRESS, nullable=False),
    Column("notify", String(28)),
    Column("orcpt", Text),
    Column("state", EnumText(RecipientState), nullable=False),
    Column("reply", Text),  # the last word about it
    Column("settled_at", UtcDateTime),
    sqlite_with_rowid=False,
)

deliveries = Table(  # the unit of the queue: one message, one route, at most N recipients
    "deliveries",
    metadata,
    Column("message_id", ID, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("route_id", ID, nullable=False),
    Column("state", EnumText(DeliveryState), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("rank_at", UtcDateTime, nullable=False),  # due_at less the head start of its priority
    Column("expires_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),  # those begun
    Column("leased_by", String(64)),
    Column("leased_until", UtcDateTime),
    Column("reason", Text),  # why it waits or is held, in words
    Column("late_at", UtcDateTime),  # when its sender is to hear that it takes long; null: never, or told
    Column("keeps_content", Boolean),  # its upstream wants the message kept (the sandbox); null: no
    Column("copied_to", Text),  # the archives that were sent a copy on its account, one a line
    sqlite_with_rowid=False,
)
partial_index(
    "ix_deliveries_ready",
    deliveries.c.route_id,
    deliveries.c.rank_at,
    where=deliveries.c.state == DeliveryState.QUEUED,
)
partial_index("ix_deliveries_waiting", deliveries.c.due_at, where=deliveries.c.state == DeliveryState.WAITING)
partial_index(
    "ix_deliveries_leased", deliveries.c.leased_until, where=deliveries.c.state == DeliveryState.LEASED
)
partial_index(  # not those LEASED: what goes from door to door at once is never in it
    "ix_deliveries_resting",
    deliveries.c.expires_at,
    deliveries.c.state,
    where=deliveries.c.state.in_([DeliveryState.QUEUED, DeliveryState.WAITING, DeliveryState.HELD]),
)

partial_index(
    "ix_deliveries_late",
    deliveries.c.late_at,
    where=deliveries.c.late_at.is_not(None)
    & deliveries.c.state.in_([DeliveryState.QUEUED, DeliveryState.WAITING]),
)

attempts = Table(
    "attempts",
    metadata,
    Column("message_id", ID, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("upstream", NAME),  # its name; null when it came to none
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("remote", NAME),  # host and address spoken to
    Column("tls", String(64)),
    Column("reply", Text, nullable=False),  # the last word of the attempt as a whole
    Column("replies", Text),  # JSON {recipient number: reply} where they were not all the same
    Column("perhaps_delivered", Boolean),  # cut off when the whole message was out; null: no
    Column("left_alone", Text),  # what was to be changed in the message and was not, and why; null: nothing
    sqlite_with_rowid=False,
)
