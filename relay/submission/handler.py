"""What the door does with mail: policy is asked, the queue is written to, and only then 250 is said.

`Handler` is a handler of aiosmtpd's manner: its hooks only translate.  May it? is `relay.policy`;
do it is `relay.queue`.

Law 1: 250 is said after the commit.  From that instant the message is ours (RFC 5321 §4.2.5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from relay import log
from relay.clock import Clock
from relay.current import Current
from relay.db.database import Database
from relay.db.storage import Storage
from relay.mail.reply import Reply
from relay.notify.mismatch import Strangers, sender_mismatch_notice
from relay.policy import Stage, decide
from relay.policy.checks.size import larger_than
from relay.policy.decision import ACCEPT, Decision, Hold, Omit, Reject, Rewrite
from relay.policy.mismatch import told
from relay.policy.submission import Limits, Submission, User
from relay.queue.handover import HandOver
from relay.queue.items import Notice
from relay.queue.notices import note
from relay.routing.routes import NoRoute, RoutingTable
from relay.settings import Settings
from relay.submission import replies
from relay.submission.keeping import keep, nothing_left_of
from relay.submission.letter import BadLetter, Letter, read_letter
from relay.submission.refusals import MESSAGE, Refusals
from relay.submission.send_at import asks_to_be_held, hold_as_asked
from relay.submission.stamp import stamp
from relay.submission.told_priority import sender_ok
from relay.submission.used_up import UsedUp

if TYPE_CHECKING:
    from relay.submission.server import Server, ServerSession
    from relay.submission.transaction import Transaction


_WHERE = {Stage.MAIL: "on the envelope", Stage.DATA: "in the header"}  # senders are looked for


@dataclass(frozen=True, slots=True)
class Office:
    """What the handler works with, all of it shared by the process."""

    db: Database
    clock: Clock
    settings: Current[Settings]
    routing: Current[RoutingTable]
    handover: HandOver
    new_id: Callable[[datetime], str]
    hostname: str
    owner: str
    storage: Storage


class Handler:
    """aiosmtpd's hooks, for all connections of a process."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._limits = (office.settings.value, _limits_of(office.settings.value))
        self._aside: set[asyncio.Future[Any]] = set()
        self._used_up = UsedUp()
        self._strangers = Strangers()
        self.refusals = Refusals(office.db, office.clock, office.new_id)

    def limits(self) -> Limits:
        """The server's own limits, as the settings are now."""
        settings, limits = self._limits
        if settings is not self._office.settings.value:
            settings = self._office.settings.value
            limits = _limits_of(settings)
            self._limits = (settings, limits)
        return limits

    async def handle_MAIL(
        self,
        _server: Server,
        session: ServerSession,
        envelope: Transaction,
        _sender: str,
        _options: list[str],
    ) -> Reply:
        """Ask whether this user may send as this address, and has anything left to send."""
        user = _user(session)
        refusal = (
            self._ask(Stage.MAIL, session, envelope)
            or (self._foreseen(user, session, envelope) if user.limits.quotas else None)
            or self._cannot_be_kept(session, envelope, envelope.parameters.get("size_declared") or 0)
        )
        return refusal or sender_ok(user, envelope.parameters.get("mt_priority"))

    async def handle_RCPT(
        self,
        _server: Server,
        session: ServerSession,
        envelope: Transaction,
        _address: str,
        _options: list[str],
    ) -> Reply:
        """Ask whether it may be sent to this address, too."""
        return self._ask(Stage.RCPT, session, envelope) or replies.RECIPIENT_OK

    async def handle_DATA(self, _server: Server, session: ServerSession, envelope: Transaction) -> Reply:
        """May this message be sent?  Then keep it, and only then say so."""
        assert isinstance(envelope.content, bytes)
        user = _user(session)
        try:
            letter = read_letter(
                envelope.content,
                is_dot_stuffed=envelope.is_dot_stuffed,
                settings=self._office.settings.value,
            )
            if asks_to_be_held(letter):
                hold_as_asked(self._office, envelope, letter, limits=self.limits(), own=user.limits)
        except BadLetter as fault:
            return self._refuse(session, envelope, "letter", fault.reply)
        envelope.content = None
        refusal = self._ask(Stage.DATA, session, envelope, letter)
        if refusal := refusal or self._cannot_be_kept(session, envelope, len(letter.content)):
            return refusal
        try:
            made = stamp(self._office, session, envelope, letter)
        except NoRoute:
            return self._refuse(session, envelope, "route", replies.NO_ROUTE)
        del letter  # what is stamped is a copy: a large letter need not be there twice during the commit
        said = await keep(self._office, user, made, self._used_up)
        return self._refuse(session, envelope, said.rule, said.reply) if isinstance(said, Reject) else said

    def too_large(self, session: ServerSession, envelope: Transaction, limit: int) -> Reply:
        """Refuse a message of which more came than *limit* octets: no more of it was kept."""
        refused = larger_than(limit)
        return self._refuse(session, envelope, refused.rule, refused.reply)

    # --- may it? ------------------------------------------------------------------------------

    def _ask(
        self, stage: Stage, session: ServerSession, transaction: Transaction, letter: Letter | None = None
    ) -> Reply | None:
        """Ask policy; note in the transaction what it wants done; return its reply if it refuses."""
        envelope = transaction.as_envelope()
        submission = Submission(
            session=session.facts,
            envelope=envelope,
            user=_user(session),
            limits=self.limits(),
            header=letter.header if letter else None,
            octets=len(letter.content) if letter else envelope.size_declared or 0,
        )
        decision = decide(stage, submission)
        if decision is ACCEPT:
            return None
        match decision:
            case Hold():
                transaction.hold_reason = decision.reason
            case Omit():
                transaction.names_only_from = True
            case Rewrite() if stage is Stage.MAIL:
                transaction.rewritten_sender = decision.sender
            case Rewrite():
                transaction.rewritten_from = decision.sender
            case Reject():
                self._refuse(session, transaction, decision.rule, decision.reply)
        if decision.notices:
            if became := told(decision, _WHERE[stage]):
                transaction.mismatches.append(became)
            transaction.notices.extend(self._notices(session, decision))
            if isinstance(decision, Reject):
                self._tell(transaction.notices)
        return decision.reply if isinstance(decision, Reject) else None

    def _foreseen(self, user: User, session: ServerSession, transaction: Transaction) -> Reply | None:
        quota = self._used_up.quota_of(user, self._office.clock.now())
        if quota is None:
            return None
        refused = nothing_left_of(quota)
        return self._refuse(session, transaction, refused.rule, refused.reply)

    def _cannot_be_kept(self, session: ServerSession, transaction: Transaction, octets: int) -> Reply | None:
        if self._office.storage.has_room_for(octets):
            return None
        return self._refuse(session, transaction, "storage", replies.OUT_OF_STORAGE)

    def _refuse(self, session: ServerSession, transaction: Transaction, rule: str, reply: Reply) -> Reply:
        """Remember that *rule* says no, and return what it says."""
        sender = str(transaction.sender)
        log.refused(session=session.facts.id, user=session.facts.user, rule=rule, reply=reply, sender=sender)
        self.refusals.note(session.facts, kind=MESSAGE, rule=rule, reply=reply, sender=sender)
        return reply

    def _notices(self, session: ServerSession, decision: Decision) -> list[Notice]:
        office, user, now = self._office, _user(session), self._office.clock.now()
        interval = office.settings.value.notice_interval
        return [
            sender_mismatch_notice(
                user,
                mismatch,
                session=session.facts,
                decision=decision,
                now=now,
                new_id=office.new_id,
                settings=office.settings.value,
            )
            for mismatch in decision.notices
            if self._strangers.is_among_few(user, mismatch.sender, now, interval)
        ]

    def _tell(self, notices: list[Notice]) -> None:
        """Write the notices of a refusal; the client's answer does not wait for that."""
        for notice in notices:
            self.write_aside(note, notice)
        notices.clear()

    def write_aside(self, function: Callable[..., Any], item: object) -> None:
        """Write what no answer waits for; what cannot be written is logged."""
        written: asyncio.Future[Any] = self._office.db.write(function, item)
        self._aside.add(written)
        written.add_done_callback(self._written_aside)

    def _written_aside(self, written: asyncio.Future[Any]) -> None:
        self._aside.discard(written)
        if not written.cancelled() and (fault := written.exception()) is not None:
            log.fault("aside", fault)


def _user(session: ServerSession) -> User:
    assert session.user is not None, "the table of verbs asks for a login before MAIL"
    return session.user


def _limits_of(settings: Settings) -> Limits:
    return Limits(
        max_message_bytes=settings.max_message_bytes,
        max_recipients=settings.max_recipients,
        max_received_fields=settings.max_received_fields,
        longest_hold=settings.longest_hold,
    )
