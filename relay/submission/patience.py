"""How much of one session is borne, and how much of it is used up: no client can wear the door out.

Each number is a setting with its reason (`relay.settings`); a session keeps those it began with.  What
runs out ends the session with 421, so that an honest client comes again with the same mail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from relay.mail.reply import Reply
from relay.settings import Settings
from relay.submission import replies

# What leads to no message: a client that says little else keeps us busy, not itself.
_FRUITLESS = frozenset({b"NOOP", b"RSET", b"EHLO", b"HELO", b"HELP", b"VRFY", b"EXPN"})


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits of one session; times in seconds."""

    handshake: float
    login: float
    idle: float
    session: float
    errors: int
    fruitless: int
    commands: int
    messages: int
    octets_per_second: int
    room: float


@lru_cache(maxsize=4)
def patience_of(settings: Settings) -> Patience:
    """The patience that the settings ask for."""
    return Patience(
        handshake=settings.handshake_timeout.total_seconds(),
        login=settings.login_timeout.total_seconds(),
        idle=settings.idle_timeout.total_seconds(),
        session=settings.session_lifetime.total_seconds(),
        errors=settings.max_errors,
        fruitless=settings.max_fruitless_commands,
        commands=settings.max_commands_per_session,
        messages=settings.max_messages_per_session,
        octets_per_second=settings.slowest_transfer,
        room=settings.room_timeout.total_seconds(),
    )


class Tally:
    """What one session, begun at *now*, has cost so far; times are those of the event loop."""

    __slots__ = ("_began", "_commands", "_content_began", "_errors", "_fruitless", "_messages", "patience")

    def __init__(self, patience: Patience, now: float) -> None:
        self.patience = patience
        self._began = now
        self._content_began = now
        self._commands = self._fruitless = self._errors = self._messages = 0

    def hear(self, name: bytes) -> Reply | None:
        """Count the command *name* (upper case); a reply if it is one more than is answered."""
        self._commands += 1
        if self._commands > self.patience.commands:
            return replies.ENOUGH_COMMANDS
        if name in _FRUITLESS:
            self._fruitless += 1
            if self._fruitless > self.patience.fruitless:
                self._errors += 1
        elif name == b"MAIL" and self._messages >= self.patience.messages:
            return replies.ENOUGH_MESSAGES
        return None

    def weigh(self, reply: Reply) -> Reply | None:
        """Count what was answered; the last word to say after it if that was one error too many."""
        if reply.code >= 500:
            self._errors += 1
        return replies.TOO_MANY_ERRORS if self._errors >= self.patience.errors else None

    def took_message(self) -> None:
        """A message was taken: what led to it was not fruitless."""
        self._messages += 1
        self._fruitless = 0

    # --- time ---------------------------------------------------------------------------------

    def next_command_by(self, now: float, *, is_logged_in: bool) -> float:
        """Until when the client has to say something; before a login, to have logged in."""
        if not is_logged_in:
            return self._began + self.patience.login
        return min(now + self.patience.idle, self._began + self.patience.session)

    def content_begins(self, now: float) -> None:
        """A message, or a chunk of one, begins to arrive."""
        self._content_began = now

    def excuse(self, seconds: float) -> None:
        """For so long it is we who keep the client waiting."""
        self._content_began += seconds

    def next_octet_by(self, now: float, octets: int, *, is_logged_in: bool = True) -> float:
        """Until when more of the content must come, of which there are *octets* by now.

        Who stops is waited for; who drips is not, once the whole takes longer than the slowest line.  What
        BDAT brings before a login is not kept, and buys no time.
        """
        if not is_logged_in:
            return self.next_command_by(now, is_logged_in=False)
        stalled = now + self.patience.idle
        if not self.patience.octets_per_second:
            return stalled
        dripping = self._content_began + self.patience.idle + octets / self.patience.octets_per_second
        return min(stalled, dripping)

    def why_time_is_up(self, now: float) -> Reply:
        """What to say to a client whose time is up."""
        return replies.LASTED_LONG if now >= self._began + self.patience.session else replies.IDLE_TOO_LONG
