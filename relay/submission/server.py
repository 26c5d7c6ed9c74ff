"""One client connection: the loop only carries bytes, and this file carries them to the verbs.

`Server` is an aiosmtpd.smtp.SMTP: its handler hooks (`handle_MAIL`, `handle_DATA` …), its Session
and Envelope are what aiosmtpd's users know.  What differs is how bytes come in.  aiosmtpd reads
with a coroutine and several awaits per command and one per line of DATA; here `data_received`
feeds a framer, commands are answered at once, the replies of a pipelined burst leave in one
write, and where something must be waited for (a password, a commit) it is done without a task.
This is the one file that knows aiosmtpd's insides.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Coroutine
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Session as AiosmtpdSession

from relay import log
from relay.mail.reply import Reply
from relay.mail.session import Session
from relay.submission import replies
from relay.submission.carrying import call_when_done
from relay.submission.ended import note_tls_failure
from relay.submission.framing import Chunk, Content, Frame, Framer, Line, LineTooLong, Mode
from relay.submission.patience import Tally
from relay.submission.proxy import plain_address
from relay.submission.replies import reply_for
from relay.submission.room import Room
from relay.submission.transaction import Transaction
from relay.submission.verbs import Answer, answer
from relay.submission.verbs.bdat import take_chunk
from relay.submission.verbs.data import take_content
from relay.submission.wire import Wire

if TYPE_CHECKING:
    from relay.policy.submission import User
    from relay.submission.auth import Exchange
    from relay.submission.listener import Door, Port
    from relay.submission.proxy import Client

MAX_BUFFERED_OCTETS = 256 * 1024
LINGER_SECONDS = 10.0  # for the client to take our last reply


class ServerSession(AiosmtpdSession):
    """aiosmtpd's session, and beside it our frozen facts and the user who logged in."""

    facts: Session
    user: User | None = None
    auth_data: Any
    peer: Any


class Server(SMTP):
    """The server's side of one connection, from the first byte to the last."""

    wire: Wire
    session: ServerSession
    envelope: Transaction

    def __init__(self, door: Door, port: Port, *, client: Client | None = None) -> None:
        # Not SMTP.__init__: it makes a stream reader and looks through both objects for hooks by
        # name, two milliseconds for each connection.
        self.hostname = door.hostname
        self.loop = door.loop
        self.door = door
        self.port = port
        self.exchange: Exchange | None = None  # an AUTH that waits for the client's next line
        self.tally = Tally(door.patience(), monotonic())
        self.deadline = 0.0
        self.login_failures = 0
        self.room = Room(door.budget)
        self.client = client  # whom a balancer speaks for
        self._framer = Framer()
        self._is_waiting = False  # for an answer that takes its time
        self._is_unheard = False  # the client does not take our replies
        self._parting: Reply | None = None  # to be said once what is being waited for is done
        self._is_closing = False
        self._has_ended = False

    def __del__(self) -> None:
        """Nothing: the stream protocol's own clean-up has nothing to clean here."""

    # --- the transport's side ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there: greet it, or, on an implicit port, wait for its handshake."""
        assert isinstance(transport, asyncio.Transport)
        self.wire = Wire(transport)
        peer: Any = transport.get_extra_info("peername") or ("", 0)
        if self.client is not None:
            peer = (self.client.address, self.client.port)
        address = plain_address(str(peer[0]))  # one client is one client, on "::" as on "0.0.0.0"
        self._begin_session(
            Session(self.door.new_session_id(), self.port.listener.name, address, int(peer[1]))
        )
        self.session.peer = peer
        self.deadline = monotonic() + self.tally.patience.handshake
        refusal = self.door.admit(self)
        if not self.port.is_implicit:
            self._greet(refusal)
        elif refusal is None:
            self.wire.start_tls(self.door.tls_context)
        else:
            self._close()  # nothing is said in the clear here (RFC 8314 §3.3)

    def _greet(self, refusal: Reply | None = None) -> None:
        self._await_command()
        if refusal is None:
            self.say(Reply(220, "", f"{self.hostname} ESMTP ready"))
            self.wire.flush()
        else:
            self.say_goodbye(refusal)
            self._close()

    def data_received(self, data: bytes) -> None:
        """Carry what arrived to the framer, through TLS where it is on, and answer it."""
        if self._is_closing:
            return
        tls = self.wire.tls
        if tls is not None:
            try:
                data = tls.receive(data)
            except ssl.SSLError as fault:
                note_tls_failure(self.session.facts, fault)
                self._close()
                return
            if self.session.facts.tls is None and tls.is_established:
                self._secured(tls.description)
        if data:
            self._framer.feed(data)
            self._advance()
        else:
            self.wire.flush()
        if tls is not None and tls.has_ended:
            self.eof_received()

    def _secured(self, tls: str) -> None:
        # Nothing said before TLS survives it (RFC 3207 §4.2).
        known = self.session.facts
        facts = Session(known.id, known.listener, known.peer_address, known.peer_port, tls=tls)
        peer = self.session.peer
        self._begin_session(facts)
        self.session.peer, self.session.ssl = peer, {"description": facts.tls}
        if self.port.is_implicit:
            self._greet()
        else:
            self._await_command()

    def eof_received(self) -> bool:
        """The client will say no more; what it asked for before is still answered."""
        self._has_ended = True
        self.wire.pause()  # under TLS there may come more, and nobody would take it
        if not self._is_waiting:
            self._close()
        return self._is_waiting

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is gone; a commit that is under way goes on without it."""
        self._is_closing = True
        self.wire.lost()
        self._framer.discard()
        if not self._is_waiting:
            self.room.release()
        self.door.dismiss(self, "lost" if error else "closed")

    def pause_writing(self) -> None:
        """The client does not read our replies: read no more of its commands."""
        self._is_unheard = True
        self.wire.pause()

    def resume_writing(self) -> None:
        """It reads again."""
        self._is_unheard = False
        self.read_on()

    # --- what verbs may ask for -------------------------------------------------------------

    def say(self, reply: Reply) -> None:
        """Send *reply*, together with the others of this burst."""
        self.wire.said.append(reply.to_wire())

    def say_goodbye(self, reply: Reply) -> None:
        """Send *reply* as the last word."""
        self.say(reply)
        self.door.note_end(self.session.facts, reply)
        self._is_closing = True  # once it is flushed

    def expect_content(self, limit: int) -> None:
        """What comes next is a message; it is not kept if it has more than *limit* octets."""
        self.room.has_run_out = False
        self.tally.content_begins(monotonic())
        self._framer.expect_content(limit)

    def expect_chunk(self, octets: int, *, keep: bool) -> None:
        """What comes next are that many octets of a message, to be kept if there is room for them."""
        self.room.has_run_out = False
        self.tally.content_begins(monotonic())
        self._framer.expect_chunk(octets, keep=keep)

    @property
    def held(self) -> int:
        """Octets of the message that is arriving which are kept, so far."""
        return self.envelope.chunk_octets + self._framer.held

    def stop_keeping(self) -> None:
        """Keep no more of the message that is arriving, but go on looking for its end."""
        self._framer.stop_keeping()

    def read_on(self) -> None:
        """Take in what comes, unless there is another reason yet to let the client wait."""
        if not (self._is_waiting or self._is_unheard or self._has_ended or self.room.is_waiting):
            self.wire.resume()

    def start_tls(self) -> None:
        """Send what was said so far in the clear, forget what was heard, and begin TLS."""
        self.say(replies.START_TLS)
        self._framer.discard()
        self.wire.start_tls(self.door.tls_context)
        self.deadline = monotonic() + self.tally.patience.handshake

    def begin_transaction(self) -> None:
        """Forget the transaction and give back the memory of its message; the session stays."""
        self.room.release()
        self.envelope = Transaction()

    def log_in(self, user: User, by: str) -> None:
        """From here on the session is *user*'s; *by* is the mechanism, or mail.session.TRUSTED."""
        session = self.session
        session.user = user
        session.authenticated = True
        session.auth_data = user
        session.facts = session.facts._replace(
            user=user.name, user_id=user.id, credential_id=user.credential_id, login=by
        )
        self._await_command()  # there is more time for it than there was for the login

    def hook(self, name: str, *arguments: Any) -> Awaitable[Any]:
        """Call the handler's hook *name*; what it says is to be understood by `as_reply`."""
        return self.door.hooks[name](self, self.session, self.envelope, *arguments)

    def too_large(self) -> Reply:
        """Refuse the message that came, or comes, without keeping more of it than `limits_size`."""
        return self.door.handler.too_large(self.session, self.envelope, self.limits_size)

    @property
    def limits_size(self) -> int:
        """The largest message taken, in octets."""
        return self.door.limits().max_message_bytes or 0

    # --- bytes to verbs -----------------------------------------------------------------------

    def _begin_session(self, facts: Session) -> None:
        self.session = ServerSession(self.loop)
        self.session.facts = facts
        self.exchange = None
        self.begin_transaction()

    def _advance(self) -> None:
        """Answer every frame that is whole, up to the first that must be waited for."""
        framer = self._framer
        while not self._is_waiting and not self._is_closing and (frame := framer.next()) is not None:
            if self._parting is not None:
                self.say_goodbye(self._parting)
                break
            self._await_command()
            try:
                self._answer(frame)
            except Exception as fault:  # noqa: BLE001  law 5: our fault is never a 5xx, nor a traceback
                self._our_fault(fault)
        if framer.mode is not Mode.LINES:
            is_logged_in = self.session.user is not None
            self.deadline = self.tally.next_octet_by(monotonic(), framer.size, is_logged_in=is_logged_in)
            if framer.size:
                self.room.keep_up(self)
        if self._is_waiting and framer.buffered > MAX_BUFFERED_OCTETS:
            self.wire.pause()
        if self._is_closing:
            self._close()
        else:
            self.wire.flush()

    def _await_command(self) -> None:
        is_logged_in = self.session.user is not None
        self.deadline = self.tally.next_command_by(monotonic(), is_logged_in=is_logged_in)

    def _answer(self, frame: Frame) -> None:
        said: Answer
        match frame:  # what comes most often first
            case Line():
                said = answer(self, frame) if self.exchange is None else self.exchange.respond(self, frame)
            case Content():
                said = take_content(self, frame)
            case Chunk():
                said = take_chunk(self, frame)
            case LineTooLong():
                self.exchange = None
                said = replies.LINE_TOO_LONG
        if said is None or isinstance(said, Reply):
            self._conclude(said)
        else:
            self._run(said)

    def _run(self, answering: Coroutine[Any, Any, Reply | None]) -> None:
        """Carry *answering* to its end, or to where it must wait; from there it goes on by itself."""
        try:
            waited_for = answering.send(None)
        except StopIteration as end:
            self._conclude(end.value)
        else:
            self._is_waiting = True
            call_when_done(self.loop, waited_for, partial(self._go_on, answering))

    def _go_on(self, answering: Coroutine[Any, Any, Reply | None], _done: Any) -> None:
        self._is_waiting = False
        try:
            self._run(answering)
        except asyncio.CancelledError:
            return  # the process ends
        except Exception as fault:  # noqa: BLE001  as above
            self._our_fault(fault)
        if self._is_waiting:
            return
        if not self.wire.is_open:
            self.room.release()  # perhaps it was waited for, and nobody will fill it
            return
        if self._parting is not None:
            self.say_goodbye(self._parting)
        self.read_on()
        self._advance()
        if self._has_ended and not self._is_waiting:
            self._close()

    def _conclude(self, reply: Reply | None) -> None:
        if reply is None:
            return  # the verb has said all itself
        if (last_word := self.tally.weigh(reply)) is not None:
            self.say(reply)
            reply = last_word
        if reply.code in (221, 421):
            self.say_goodbye(reply)
        else:
            self.say(reply)

    def _our_fault(self, fault: Exception) -> None:
        log.fault("door", fault)
        self.exchange = None
        self.begin_transaction()
        self.say(reply_for(fault))

    # --- out ----------------------------------------------------------------------------------

    def _close(self) -> None:
        self._is_closing = True
        self.deadline = monotonic() + LINGER_SECONDS
        self.wire.close()

    # --- what the door may ask for ------------------------------------------------------------

    @property
    def is_busy(self) -> bool:
        """Whether a message is arriving, or something is being waited for."""
        return self._is_waiting or self._framer.mode is not Mode.LINES

    def turn_away(self, reply: Reply, *, waits_for_content: bool = False) -> None:
        """End the session with *reply*, which is the answer to no command.

        What is being waited for is done first; a message that is arriving is cut off, or is heard to its
        end, if that is to be waited for, and not taken.
        """
        if self._is_waiting or (waits_for_content and self._framer.mode is not Mode.LINES):
            self._parting = reply
        elif self.wire.is_ready:
            self.say_goodbye(reply)
            self._close()
        else:
            self.door.note_end(self.session.facts, reply)
            self._close()

    def time_is_up(self) -> None:
        """End the session if it is the client who took too long; cut off one that does not even hang up."""
        if self._is_closing:
            self.wire.abort()
        elif not self._is_waiting:
            self.turn_away(self.tally.why_time_is_up(monotonic()))
