"""Commands out, replies in, each tied to its command: the loop's side of an SMTP client connection."""

from __future__ import annotations

import asyncio
import math

from relay.delivery.classify import Step, Trouble, cut_off, not_understood, timed_out
from relay.delivery.transports.replies import Answer, ReplyReader

_MOST_UNASKED = 100  # replies that nobody asked for; beyond them the upstream is only filling our memory


class Dialogue(asyncio.Protocol):
    """Asks, and waits for as many replies as were asked for.

    What comes without having been asked for makes the dialogue useless: from then on no reply could
    be told from another.  The transport's socket must be connected; this becomes its protocol.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._answers: list[Answer] = []
        self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._is_closed = False
        self._is_overdue = False
        self._awaited: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf  # the clock, with that timer
        transport.set_protocol(self)

    @property
    def is_usable(self) -> bool:
        """Whether the connection stands and nothing came that nobody asked for."""
        return not (self._is_closed or self._reader.fault or self._answers or self._reader.is_amid)

    # The loop calls these ----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Collect replies; wake whoever waits once all he asked for are there."""
        self._answers += self._reader.feed(data)
        if len(self._answers) > self._wanted + _MOST_UNASKED:
            self.abort()
        if self._reader.fault or len(self._answers) >= self._wanted > 0:
            self._wake()

    def eof_received(self) -> bool:
        """The upstream will say nothing more, so neither do we."""
        self._is_closed = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  any end is an end
        """Nothing can be said or heard any more."""
        self._is_closed = True
        self._wake()

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The socket takes more again."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        is_over = self._is_closed or self._reader.fault
        if is_over and self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # We call these -----------------------------------------------------------------------------

    def write(self, *parts: bytes) -> None:
        """Send *parts* as they stand."""
        # Not writelines: in early releases of Python 3.12 and 3.13 it takes without end (CVE-2024-12254).
        self._transport.write(b"".join(parts))

    async def drained(self, step: Step, seconds: float) -> None:
        """Wait until the socket takes more.  Raises Trouble if it does not within *seconds*."""
        if self._writable is not None:
            await self._for_at_most(seconds, self._writable)
            if self._is_overdue:
                raise self._given_up(step, seconds)
        if self._is_closed:
            raise cut_off(step)

    async def replies(self, count: int, step: Step, seconds: float) -> list[Answer]:
        """The next *count* replies, waited for no longer than *seconds*.

        Raises Trouble if they do not all come: what did come then stays for `heard`.
        """
        self._wanted = count
        if len(self._answers) < count and not (self._is_closed or self._reader.fault):
            self._waiter = self._loop.create_future()
            await self._for_at_most(seconds, self._waiter)
            if self._is_overdue:
                raise self._given_up(step, seconds)
        if len(self._answers) < count:
            raise not_understood(step, self._reader.fault) if self._reader.fault else cut_off(step)
        return self.heard(count)

    def heard(self, count: int) -> list[Answer]:
        """Take up to *count* of the replies that came."""
        self._wanted = 0
        taken = self._answers[:count]
        del self._answers[:count]
        return taken

    @property
    def has_unasked(self) -> bool:
        """Whether the upstream says something already, although it was not its turn."""
        return bool(self._answers or self._reader.fault or self._reader.is_amid)

    def abort(self) -> None:
        """Hang up at once; what was not sent yet is not sent."""
        self._is_closed = True
        self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()

    # Patience ------------------------------------------------------------------------------------

    def _for_at_most(self, seconds: float, future: asyncio.Future[None]) -> asyncio.Future[None]:
        """The same *future*, which ends in time, come what may."""
        self._deadline = self._loop.time() + seconds
        self._awaited = future
        if self._deadline < self._looks_at:
            self._set_timer()
        return future

    def _given_up(self, step: Step, seconds: float) -> Trouble:
        self.abort()
        return timed_out(step, seconds)

    def _set_timer(self) -> None:
        # Not one timer a wait: it is left to run, and only looks whether the wait of then is over.
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look_at_clock)
        self._looks_at = self._deadline

    def _look_at_clock(self) -> None:
        self._timer, self._looks_at = None, math.inf
        if self._awaited is None or self._awaited.done():
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
            return
        self._is_overdue = True
        self._awaited.set_result(None)
