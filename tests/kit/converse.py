r"""SMTP dialogues as tests: a script of what client and server say, played against a real socket.

C: EHLO laptop.example.com      the client sends this line
R: NOOP\r\nNOOP\r\n             the client sends these octets, Python escapes understood
S: 250                          the server's next reply begins so (all its lines are read)
S* PIPELINING                   some line of that reply contains this
S- STARTTLS                     no line of it does
TLS                             the client begins TLS now, trusting nobody in particular
EOF                             the server closes the connection
# a remark
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field

SECONDS = 10


@dataclass
class Client:
    """A client that says exactly what it is told to, and hears everything."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    lines: list[str] = field(default_factory=list)

    @classmethod
    async def connect(cls, port: int, *, tls: bool = False) -> "Client":
        context = anybody() if tls else None
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context))

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def reply(self) -> str:
        """Read one reply, all its lines; returns it whole, "" at the end of the connection."""
        self.lines = []
        while True:
            line = await asyncio.wait_for(self.reader.readline(), SECONDS)
            if not line:
                return ""
            assert line.endswith(b"\r\n"), f"a reply line that does not end with CRLF: {line!r}"
            self.lines.append(line.decode().removesuffix("\r\n"))
            if self.lines[-1][3:4] != "-":
                return "\n".join(self.lines)

    async def ask(self, line: str) -> str:
        await self.send(line.encode() + b"\r\n")
        return await self.reply()

    async def start_tls(self) -> None:
        await self.writer.start_tls(anybody())

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError, ssl.SSLError):
            await self.writer.wait_closed()


def anybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def converse(port: int, script: str, *, tls: bool = False) -> None:
    """Play *script* against the server at *port*; the first thing that goes otherwise fails the test."""
    client = await Client.connect(port, tls=tls)
    try:
        for number, raw in enumerate(script.splitlines(), 1):
            line = raw.strip()
            if line and not line.startswith("#"):
                await _play(client, line, f"line {number}, {line!r}")
    finally:
        await client.close()


async def _play(client: Client, line: str, where: str) -> None:
    mark, _, rest = line.partition(" ")
    match mark:
        case "C:":
            await client.send(rest.encode() + b"\r\n")
        case "R:":
            await client.send(rest.encode("latin-1").decode("unicode_escape").encode("latin-1"))
        case "S:":
            heard = await client.reply()
            assert client.lines, f"{where}: the connection ended"
            assert client.lines[-1].startswith(rest) or client.lines[0].startswith(rest), (
                f"{where}: heard {heard!r}"
            )
        case "S*":
            assert any(rest in heard for heard in client.lines), f"{where}: heard {client.lines}"
        case "S-":
            assert not any(rest in heard for heard in client.lines), f"{where}: heard {client.lines}"
        case "TLS":
            await client.start_tls()
        case "EOF":
            assert await client.reply() == "", f"{where}: heard {client.lines}"
        case _:
            raise AssertionError(f"{where}: no such line in a dialogue")
