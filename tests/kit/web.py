"""A small HTTP/1.1 server that answers as a test tells it, and remembers what it was asked.

async with FakeWeb() as web:
    web.on("POST /token", 200, {"access_token": "t1", "expires_in": 3600})
    web.on("POST /send", 429, headers={"Retry-After": "120"}, times=1)
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Asked:
    """One request as it came; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode()))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[Asked], Any]


@dataclass
class _Rule:
    what: str
    status: int
    body: Any
    headers: dict[str, str]
    times: int | None
    gate: asyncio.Event | None


@dataclass
class FakeWeb:
    """Listens on 127.0.0.1; `url` says where once it is entered."""

    asked: list[Asked] = field(default_factory=list)
    rules: list[_Rule] = field(default_factory=list)
    port: int = 0
    tls: ssl.SSLContext | None = None
    connections: int = 0

    def on(
        self,
        what: str,
        status: int,
        body: Any = b"",
        *,
        headers: dict[str, str] | None = None,
        times: int | None = None,
        gate: asyncio.Event | None = None,
    ) -> None:
        """Answer so to requests that begin with *what* ("POST /path"); the rule made last goes first.

        A body that is no bytes is sent as JSON; a function is asked for it; with a *gate*, only once
        that is set; status 0: hang up.
        """
        self.rules.insert(0, _Rule(what, status, body, headers or {}, times, gate))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def to(self, path: str) -> list[Asked]:
        """All that was asked of *path*."""
        return [asked for asked in self.asked if asked.target.partition("?")[0] == path]

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(method, target, headers, body)
        self.asked.append(asked)
        rule = next((r for r in self.rules if f"{method} {target}".startswith(r.what) and r.times != 0), None)
        if rule is None:
            rule = _Rule("", 404, b"no such page", {}, None, None)
        if rule.times is not None:
            rule.times -= 1
        if rule.gate is not None:
            await rule.gate.wait()
        if rule.status == 0:
            return False
        answer = rule.body(asked) if callable(rule.body) else rule.body
        octets = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        lines = [f"HTTP/1.1 {rule.status} So", f"Content-Length: {len(octets)}"]
        if not isinstance(answer, bytes):
            lines.append("Content-Type: application/json")
        lines += [f"{name}: {value}" for name, value in rule.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + octets)
        await writer.drain()
        return True
