"""A name server that knows what a test tells it: UDP and TCP on one port, in the real wire format.

with fake_dns() as dns:
    dns.has("example.net", "MX", "10 mx1.example.net.", "20 mx2.example.net.")
    dns.has("mx1.example.net", "A", "127.0.0.2")
    dns.fails("broken.example", Rcode.SERVFAIL)
"""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rcode import Rcode

TTL = 60


class FakeDns:
    """`texts` are its TXT records; `is_cut_off`: over UDP it only says that the answer is too long."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.texts: dict[str, list[str]] = {}  # by name, each in strings of at most 255 octets
        self.aliases: dict[str, str] = {}
        self.codes: dict[str, Rcode | None] = {}  # what is wrong with a name; None: no answer at all
        self.is_cut_off = False
        self.ttl = TTL
        self.asked: list[str] = []  # "udp TXT name", "tcp TXT name"
        self.port = 0

    @property
    def place(self) -> str:
        """Where it is asked, as operators write it."""
        return f"127.0.0.1:{self.port}"

    def has(self, name: str, kind: str, *data: str) -> None:
        """It knows these records of *name*, as a zone file writes them; none: nothing of that kind."""
        self.records[name, kind] = list(data)

    def fails(self, name: str, code: Rcode | None) -> None:
        """Asked for *name* it answers with *code*, or not at all."""
        self.codes[name] = code

    def answer(self, question: bytes, *, way: str) -> bytes | None:
        asked = dns.message.from_wire(question)
        name, kind = asked.question[0].name, asked.question[0].rdtype
        plain, kind_text = name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(kind)
        self.asked.append(f"{way} {kind_text} {plain}")
        answer = dns.message.make_response(asked, recursion_available=True)
        if plain in self.codes:
            if (code := self.codes[plain]) is None:
                return None
            answer.set_rcode(code)
            return answer.to_wire(max_size=65535)
        if self.is_cut_off and way == "udp":
            answer.flags |= dns.flags.TC
            return answer.to_wire(max_size=65535)
        target = self.aliases.get(plain, plain)
        if target != plain:
            answer.answer.append(dns.rrset.from_text(name, self.ttl, "IN", "CNAME", f"{target}."))
        if not self._is_known(target):
            answer.set_rcode(Rcode.NXDOMAIN)
        elif data := self._data(target, kind_text):
            answer.answer.append(dns.rrset.from_text(f"{target}.", self.ttl, "IN", kind_text, *data))
        return answer.to_wire(max_size=65535)

    def _is_known(self, name: str) -> bool:
        return name in self.texts or any(known == name for known, _ in self.records)

    def _data(self, name: str, kind: str) -> list[str]:
        if kind == "TXT" and name in self.texts:
            return [_in_strings(text) for text in self.texts[name]]
        return self.records.get((name, kind), [])


@contextmanager
def fake_dns() -> Iterator[FakeDns]:
    """A FakeDns that answers at 127.0.0.1, at its `port`."""
    fake = FakeDns()

    class OverUdp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            question, answering = self.request
            if (answer := fake.answer(question, way="udp")) is not None:
                answering.sendto(answer, self.client_address)

    class OverTcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            question = self.rfile.read(struct.unpack("!H", self.rfile.read(2))[0])
            if (answer := fake.answer(question, way="tcp")) is not None:
                self.wfile.write(struct.pack("!H", len(answer)) + answer)

    with socketserver.TCPServer(("127.0.0.1", 0), OverTcp) as tcp:
        fake.port = tcp.server_address[1]
        with socketserver.UDPServer(("127.0.0.1", fake.port), OverUdp) as udp:
            threads = [threading.Thread(target=each.serve_forever, args=(0.02,)) for each in (tcp, udp)]
            for thread in threads:
                thread.start()
            try:
                yield fake
            finally:
                tcp.shutdown()
                udp.shutdown()
                for thread in threads:
                    thread.join()


def _in_strings(text: str) -> str:
    return " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255)) or '""'
