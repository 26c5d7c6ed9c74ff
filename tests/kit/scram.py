"""A client's side of SCRAM-SHA-256, written from RFC 5802 alone: it shares nothing with the server's."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass

from tests.kit.converse import Client


def b64(octets: bytes) -> str:
    return b64encode(octets).decode()


def digest(key: bytes, text: str | bytes) -> bytes:
    return hmac.new(key, text.encode() if isinstance(text, str) else text, hashlib.sha256).digest()


@dataclass
class Login:
    """One login; `header` is the gs2-header and `binding` the channel binding's data."""

    name: str
    password: str
    header: str = "n,,"
    binding: bytes = b""
    nonce: str = "rOprNGfwEbeRWgbNEkqO"
    server_signature: str = ""

    @property
    def bare(self) -> str:
        return f"n={self.name.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"

    @property
    def first(self) -> str:
        return self.header + self.bare

    def final(self, challenge: str, *, nonce: str | None = None) -> str:
        given = dict(part.split("=", 1) for part in challenge.split(","))
        assert given["r"].startswith(self.nonce)
        assert len(given["r"]) > len(self.nonce)
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), b64decode(given["s"]), int(given["i"]))
        unproven = f"c={b64(self.header.encode() + self.binding)},r={nonce or given['r']}"
        message = f"{self.bare},{challenge},{unproven}"
        client_key = digest(salted, "Client Key")
        signature = digest(hashlib.sha256(client_key).digest(), message)
        self.server_signature = b64(digest(digest(salted, "Server Key"), message))
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        return f"{unproven},p={b64(proof)}"


async def log_in(client: Client, login: Login, mechanism: str = "SCRAM-SHA-256") -> str:
    """Play *login* to its end and return the server's last reply."""
    reply = await client.ask(f"AUTH {mechanism} {b64(login.first.encode())}")
    if not reply.startswith("334 "):
        return reply
    reply = await client.ask(b64(login.final(challenge_of(reply)).encode()))
    if not reply.startswith("334 "):
        return reply
    assert challenge_of(reply) == f"v={login.server_signature}", "the server knows the password, too"
    return await client.ask("")


def challenge_of(reply: str) -> str:
    return b64decode(reply.removeprefix("334 ")).decode()
