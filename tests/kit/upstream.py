"""An upstream SMTP server that does what a test tells it, and remembers every octet.

    async with FakeUpstream() as upstream:
        upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
        upstream.on("DOT", DROP, times=1)

Moments to script: CONNECT, EHLO, HELO, STARTTLS, AUTH, REFUSED (behind a token that was), MAIL, RCPT,
DATA, BODY (as soon as some of the message came), DOT (the whole message came), RSET, QUIT.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

ALL = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


class Do:
    """What may be done instead of answering."""

    def __init__(
        self, seconds: float = 0.0, then: str | None = None, gate: asyncio.Event | None = None
    ) -> None:
        self.seconds, self.then, self.gate = seconds, then, gate


DROP = Do()  # close the connection without a word
MUTE = Do()  # say nothing any more, but hear on


def later(seconds: float, then: str | None = None) -> Do:
    """Answer as usual (or with *then*), but only after *seconds*."""
    return Do(seconds, then)


def once_open(gate: asyncio.Event) -> Do:
    """Answer as usual, but only when *gate* is set."""
    return Do(gate=gate)


@dataclass
class Rule:
    """What to do at a moment, for a command line that contains `matching`, so many `times` (None: always)."""

    moment: str
    answer: str | bytes | Do
    matching: str = ""
    times: int | None = None


@dataclass
class Transaction:
    """What was taken, or at least sent: the command lines and the message, as they came."""

    mail: str
    rcpts: list[str] = field(default_factory=list)  # those that were accepted
    wire: bytes = b""  # from after DATA to the final dot, dots still stuffed
    login: str | None = None
    is_taken: bool = False

    @property
    def content(self) -> bytes:
        """The message, its dots unstuffed line by line as RFC 5321 §4.5.2 says."""
        lines = self.wire.split(b"\r\n")
        return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


_USUAL = {
    "CONNECT": "220 upstream.test ESMTP",
    "HELO": "250 upstream.test",
    "STARTTLS": "220 2.0.0 Go ahead",
    "AUTH": "235 2.7.0 Welcome",
    "MAIL": "250 2.1.0 Ok",
    "RCPT": "250 2.1.5 Ok",
    "DATA": "354 Go ahead",
    "DOT": "250 2.0.0 Taken",
    "RSET": "250 2.0.0 Ok",
    "QUIT": "221 2.0.0 Bye",
}


class FakeUpstream:
    """Listens on 127.0.0.1, or another *host*; `port` says where once it is entered."""

    def __init__(
        self,
        offers: Sequence[str] = ALL,
        *,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        split: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.host = host
        self.offers = list(offers)
        self.tls, self.implicit_tls = tls, implicit_tls
        self.split = split  # answers are sent in pieces of so many octets
        self.most_recipients: int | None = None  # of a transaction
        self.good_tokens: set[str] = set()  # that XOAUTH2 and OAUTHBEARER take
        self.rules: list[Rule] = []
        self.transactions: list[Transaction] = []  # all whose message came to its end
        self.commands: list[str] = []  # of all connections
        self.octets = bytearray()  # all that was ever received
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.port = port
        self._tasks: set[asyncio.Task[None]] = set()

    def on(
        self, moment: str, answer: str | bytes | Do, *, matching: str = "", times: int | None = None
    ) -> None:
        """Answer so from now on; the rule made last goes first.  Bytes are sent as they are."""
        self.rules.insert(0, Rule(moment, answer, matching, times))

    @property
    def taken(self) -> list[Transaction]:
        """The transactions that ended with success."""
        return [transaction for transaction in self.transactions if transaction.is_taken]

    async def __aenter__(self) -> Self:
        context = self.tls if self.implicit_tls else None
        self._server = await asyncio.start_server(self._serve, self.host, self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close the port and all connections; `__aenter__` opens the same port again."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await _Conversation(self, reader, writer).run()
        except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    def rule_for(self, moment: str, line: str) -> Rule | None:
        """The rule that fits now, counted as used."""
        for rule in self.rules:
            if rule.moment == moment and rule.matching in line and rule.times != 0:
                rule.times = None if rule.times is None else rule.times - 1
                return rule
        return None


class _Conversation:
    """One connection, from the greeting to the end."""

    def __init__(
        self, upstream: FakeUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.upstream, self.reader, self.writer = upstream, reader, writer
        self.buffer = bytearray()
        self.unsent = bytearray()
        self.transaction: Transaction | None = None
        self.login: str | None = None
        self.is_secure = upstream.implicit_tls
        self.is_mute = False

    async def run(self) -> None:
        await self.answer("CONNECT", "")
        while (line := await self.line()) is not None:
            self.upstream.commands.append(line)
            verb = line.split(" ", 1)[0].upper()
            await getattr(self, f"do_{verb.lower()}", self.do_unknown)(line)
            if verb == "QUIT":
                await self.flush()
                return

    # Bytes in and out

    async def fill(self) -> bool:
        """Read some more, sending first what waits: answers to a burst of commands go together."""
        await self.flush()
        octets = await self.reader.read(65536)
        self.buffer += octets
        self.upstream.octets += octets
        return bool(octets)

    async def line(self) -> str | None:
        while (end := self.buffer.find(b"\r\n")) < 0:
            if not await self.fill():
                return None
        line = self.buffer[:end].decode()
        del self.buffer[: end + 2]
        return line

    async def flush(self) -> None:
        octets, self.unsent = b"" if self.is_mute else bytes(self.unsent), bytearray()
        size = self.upstream.split or len(octets)
        for start in range(0, len(octets), max(size, 1)):
            self.writer.write(octets[start : start + size])
            await self.writer.drain()
            if self.upstream.split:
                for _ in range(3):  # so that the pieces arrive one by one
                    await asyncio.sleep(0)

    async def answer(self, moment: str, line: str, usual: str | None = None) -> int:
        """Answer as the rules say, or as usual; returns the code that was sent, 0 if none was."""
        usual = _USUAL[moment] if usual is None else usual
        rule = self.upstream.rule_for(moment, line)
        answer = rule.answer if rule else usual
        if answer is DROP:
            await self.flush()
            raise ConnectionAbortedError
        if isinstance(answer, Do):
            await self.flush()
            await asyncio.sleep(answer.seconds)
            if answer.gate is not None:
                await answer.gate.wait()
            self.is_mute = self.is_mute or answer is MUTE
            answer = answer.then or usual
        octets = answer if isinstance(answer, bytes) else f"{answer}\n".replace("\n", "\r\n").encode()
        if not answer or self.is_mute:
            return 0
        self.unsent += octets
        return int(octets[:3]) if octets[:3].isdigit() else 0

    # The verbs

    async def do_ehlo(self, line: str) -> None:
        offers = list(self.upstream.offers)
        if self.upstream.tls and not self.is_secure:
            offers.append("STARTTLS")
        lines = ["upstream.test", *offers]
        usual = "\n".join(f"250{'-' if n < len(lines) else ' '}{word}" for n, word in enumerate(lines, 1))
        self.transaction = None
        await self.answer("EHLO", line, usual)

    async def do_helo(self, line: str) -> None:
        await self.answer("HELO", line)

    async def do_starttls(self, line: str) -> None:
        assert self.upstream.tls is not None
        if await self.answer("STARTTLS", line) == 220:
            await self.flush()
            await self.writer.start_tls(self.upstream.tls)
            self.is_secure = True

    async def do_auth(self, line: str) -> None:
        if line.split(" ")[1].upper() in {"XOAUTH2", "OAUTHBEARER"}:
            await self.hear_token(line)
            return
        if await self.answer("AUTH", line) == 235:
            self.login = base64.b64decode(line.split(" ")[2]).decode()

    async def hear_token(self, line: str) -> None:
        """Take a token that is good; tell why another one is not, and refuse it once that was heard."""
        words = base64.b64decode(line.split(" ")[2]).decode()
        token = words.partition("auth=Bearer ")[2].partition("\x01")[0]
        if token in self.upstream.good_tokens:
            self.login = words
            await self.answer("AUTH", line)
            return
        reason = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.example/"}')
        self.unsent += b"334 " + reason + b"\r\n"
        await self.line()
        self.unsent += b"535 5.7.8 Username and password not accepted\r\n"
        await self.answer("REFUSED", line, "")

    async def do_mail(self, line: str) -> None:
        if self.transaction is not None:
            self.unsent += b"503 5.5.1 There is a transaction already\r\n"
        elif await self.answer("MAIL", line) // 100 == 2:
            self.transaction = Transaction(line, login=self.login)

    async def do_rcpt(self, line: str) -> None:
        if self.transaction is None:
            self.unsent += b"503 5.5.1 MAIL first\r\n"
        elif len(self.transaction.rcpts) == self.upstream.most_recipients:
            self.unsent += b"452 4.5.3 Too many recipients\r\n"
        elif await self.answer("RCPT", line) // 100 == 2:
            self.transaction.rcpts.append(line)

    async def do_data(self, line: str) -> None:
        transaction = self.transaction
        if transaction is None:
            self.unsent += b"503 5.5.1 MAIL first\r\n"
            return
        usual = _USUAL["DATA"] if transaction.rcpts else "554 5.5.1 No valid recipients"
        if await self.answer("DATA", line, usual) != 354:
            return
        await self.body(transaction)
        self.upstream.transactions.append(transaction)
        self.transaction = None
        transaction.is_taken = await self.answer("DOT", line) // 100 == 2 and bool(transaction.rcpts)

    async def body(self, transaction: Transaction) -> None:
        searched, is_first = 0, True
        self.buffer[:0] = b"\r\n"  # the CRLF of DATA also begins an end of "CRLF . CRLF"
        while (end := self.buffer.find(b"\r\n.\r\n", searched)) < 0:
            searched = max(len(self.buffer) - 4, 0)
            if not await self.fill():
                raise ConnectionAbortedError
            if is_first:
                is_first = False
                await self.answer("BODY", "", "")
                await self.flush()
        transaction.wire = bytes(self.buffer[2 : end + 2])
        del self.buffer[: end + 5]

    async def do_rset(self, line: str) -> None:
        self.transaction = None
        await self.answer("RSET", line)

    async def do_quit(self, line: str) -> None:
        await self.answer("QUIT", line)

    async def do_unknown(self, line: str) -> None:
        self.unsent += b"502 5.5.2 What?\r\n"
