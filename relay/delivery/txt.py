"""Asking DNS for text (TXT records, RFC 1035): just enough to see whether a key is published.

A question to the resolvers that the system uses, over UDP, and over TCP where the answer is cut off
(RFC 7766).  Resolvers follow aliases themselves, so every TXT record of the answer counts.
"""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SECONDS = 3.0  # for each resolver and each way of asking
_RESOLVERS = Path("/etc/resolv.conf")
_TXT, _IN, _OPT = 16, 1, 41
_UDP_OCTETS = 1232  # fits every road unfragmented (DNS flag day 2020)
_WANTED = 0x0100  # recursion desired
_CUT_OFF, _CODE, _IS_ANSWER = 0x0200, 0x000F, 0x8000
_NO_SUCH_NAME = 3
_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")


class Resolver(NamedTuple):
    """Where to ask."""

    host: str
    port: int = 53


class CannotAsk(OSError):
    """No resolver gave an answer; the message says what the last one did."""


def look_up_txt(name: str, resolvers: Sequence[Resolver] = (), *, seconds: float = SECONDS) -> list[bytes]:
    """The TXT records of *name*, the strings of each joined; none if there are none, or no such name.

    Without *resolvers* the system's are asked.  Raises CannotAsk.
    """
    fault = "no resolver is configured"
    for resolver in resolvers or system_resolvers():
        try:
            return _ask(resolver, name, seconds)
        except (OSError, ValueError, struct.error, IndexError) as trouble:
            fault = f"{resolver.host} {str(trouble) or 'did not answer'}"
    raise CannotAsk(f"DNS could not be asked for {name}: {fault}")


def system_resolvers() -> list[Resolver]:
    """The resolvers of this machine, in the order in which they are asked."""
    try:
        lines = _RESOLVERS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [
        Resolver(words[1]) for words in map(str.split, lines) if words[:1] == ["nameserver"] and words[1:]
    ]


def _ask(resolver: Resolver, name: str, seconds: float) -> list[bytes]:
    number = secrets.randbelow(1 << 16)
    question = _question(number, name)
    answer = _over_udp(resolver, question, seconds)
    if _HEADER.unpack_from(answer)[1] & _CUT_OFF:
        answer = _over_tcp(resolver, question, seconds)
    return _texts(answer)


def _question(number: int, name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError("was not asked: that is no name in DNS")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    more = b"\0" + struct.pack("!HHIH", _OPT, _UDP_OCTETS, 0, 0)  # EDNS (RFC 6891): we take larger answers
    return _HEADER.pack(number, _WANTED, 1, 0, 0, 1) + encoded + struct.pack("!HH", _TXT, _IN) + more


def _over_udp(resolver: Resolver, question: bytes, seconds: float) -> bytes:
    family, _, _, _, address = socket.getaddrinfo(*resolver, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(seconds)
        asking.connect(address)  # from now on only its answers are heard
        asking.send(question)
        while True:
            answer = asking.recv(65535)
            if answer[:2] == question[:2]:
                return answer


def _over_tcp(resolver: Resolver, question: bytes, seconds: float) -> bytes:
    with socket.create_connection(resolver, seconds) as asking, asking.makefile("rb") as heard:
        asking.sendall(struct.pack("!H", len(question)) + question)
        answer = heard.read(struct.unpack("!H", heard.read(2))[0])
    if answer[:2] != question[:2]:
        raise ValueError("answered something else")
    return answer


def _texts(answer: bytes) -> list[bytes]:
    _, flags, questions, answers, _, _ = _HEADER.unpack_from(answer)
    code = flags & _CODE
    if not flags & _IS_ANSWER or code not in {0, _NO_SUCH_NAME}:
        raise ValueError(f"answered with error {code}")
    position = _HEADER.size
    for _ in range(questions):
        position = _behind_name(answer, position) + 4
    found = []
    for _ in range(answers):
        position = _behind_name(answer, position)
        kind, _, _, octets = _RECORD.unpack_from(answer, position)
        position += _RECORD.size
        if kind == _TXT:
            found.append(_strings(answer[position : position + octets]))
        position += octets
    return found


def _behind_name(answer: bytes, position: int) -> int:
    """Where a name ends: at its root, or at a pointer to the rest of it (RFC 1035 §4.1.4)."""
    while (length := answer[position]) and length < 0xC0:
        position += length + 1
    return position + (2 if length else 1)


def _strings(data: bytes) -> bytes:
    joined, position = b"", 0
    while position < len(data):
        length = data[position]
        joined += data[position + 1 : position + 1 + length]
        position += length + 1
    return joined
