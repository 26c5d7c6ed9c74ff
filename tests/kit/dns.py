"""A name server that knows what a test tells it: UDP and TCP on one port."""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

Texts = dict[str, list[str]]  # by name, each text in strings of at most 255 octets


class FakeDns:
    """`texts` are its TXT records; `is_cut_off`: over UDP it only says that the answer is too long."""

    def __init__(self) -> None:
        self.texts: Texts = {}
        self.aliases: dict[str, str] = {}
        self.code = 0
        self.is_cut_off = False
        self.asked: list[str] = []  # "udp name", "tcp name"
        self.port = 0

    def answer(self, question: bytes, *, way: str) -> bytes:
        number = question[:2]
        name, end = _name(question, 12)
        self.asked.append(f"{way} {name}")
        query = question[12 : end + 4]
        if self.is_cut_off and way == "udp":
            return number + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + query
        target = self.aliases.get(name, name)
        records = []
        if target != name:
            records.append(_record(5, _encoded(target)))
        records += [_record(16, _strings(text)) for text in self.texts.get(target, [])]
        code = self.code or (3 if target not in self.texts else 0)
        return (
            number + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0) + query + b"".join(records)
        )


@contextmanager
def fake_dns() -> Iterator[FakeDns]:
    """A FakeDns that answers at 127.0.0.1, at its `port`."""
    dns = FakeDns()

    class OverUdp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            question, answering = self.request
            stray = b"\0\0" + dns.answer(question, way="udp")[2:]
            dns.asked.pop()
            answering.sendto(stray, self.client_address)  # somebody else's answer, or a forged one
            answering.sendto(dns.answer(question, way="udp"), self.client_address)

    class OverTcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            question = self.rfile.read(struct.unpack("!H", self.rfile.read(2))[0])
            answer = dns.answer(question, way="tcp")
            self.wfile.write(struct.pack("!H", len(answer)) + answer)

    with socketserver.TCPServer(("127.0.0.1", 0), OverTcp) as tcp:
        dns.port = tcp.server_address[1]
        with socketserver.UDPServer(("127.0.0.1", dns.port), OverUdp) as udp:
            threads = [threading.Thread(target=each.serve_forever, args=(0.02,)) for each in (tcp, udp)]
            for thread in threads:
                thread.start()
            try:
                yield dns
            finally:
                tcp.shutdown()
                udp.shutdown()
                for thread in threads:
                    thread.join()


def _name(message: bytes, position: int) -> tuple[str, int]:
    labels = []
    while length := message[position]:
        labels.append(message[position + 1 : position + 1 + length].decode())
        position += length + 1
    return ".".join(labels), position + 1


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _record(kind: int, data: bytes) -> bytes:
    return b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def _strings(text: str) -> bytes:
    octets = text.encode()
    pieces = [octets[at : at + 255] for at in range(0, len(octets), 255)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces)
