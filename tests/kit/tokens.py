"""An issuer of access tokens: keys of each kind, the set that it publishes, and tokens in any wording."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from relay.accounts.tokens import Terms

TERMS = Terms("https://login.example.com", "relay", "email")


def b64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")


def number(value: int) -> str:
    return b64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def p256_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def signature(algorithm: str, said: bytes) -> bytes:
    match algorithm:
        case "RS256":
            return rsa_key().sign(said, padding.PKCS1v15(), SHA256())
        case "ES256":
            r, s = decode_dss_signature(p256_key().sign(said, ec.ECDSA(SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        case _:
            return ed25519_key().sign(said)


def jwks() -> list[dict[str, Any]]:
    """The three keys as an issuer publishes them: each kid is its algorithm."""
    n, point = rsa_key().public_key().public_numbers(), p256_key().public_key().public_numbers()
    x, y = (b64url(part.to_bytes(32, "big")) for part in (point.x, point.y))
    return [
        {"kty": "RSA", "kid": "RS256", "use": "sig", "alg": "RS256", "n": number(n.n), "e": number(n.e)},
        {"kty": "EC", "kid": "ES256", "use": "sig", "crv": "P-256", "x": x, "y": y},
        {
            "kty": "OKP",
            "kid": "EdDSA",
            "crv": "Ed25519",
            "x": b64url(ed25519_key().public_key().public_bytes_raw()),
        },
    ]


def document(keys: list[dict[str, Any]] | None = None) -> bytes:
    return json.dumps({"keys": jwks() if keys is None else keys}).encode()


def claims(**others: Any) -> dict[str, Any]:
    """Good claims for ann, with *others* in their place; one that is None is left out."""
    now = int(time.time())
    good = {"iss": TERMS.issuer, "aud": TERMS.audience, "email": "ann", "iat": now, "exp": now + 86_400}
    return {name: value for name, value in {**good, **others}.items() if value is not None}


def token(
    says: Mapping[str, Any] | None = None, algorithm: str = "RS256", header: Mapping[str, Any] | None = None
) -> str:
    """A token signed with the key of *algorithm*, whatever its *header* says."""
    header = {"alg": algorithm, "kid": algorithm, **(header or {})}
    header = {name: value for name, value in header.items() if value is not None}
    parts = [b64url(json.dumps(part).encode()) for part in (header, claims() if says is None else says)]
    return ".".join([*parts, b64url(signature(algorithm, ".".join(parts).encode()))])


@dataclass
class Publisher:
    """A web server that has one document, and counts who asks for it."""

    document: bytes = field(default_factory=document)
    status: int = 200
    asked: int = 0
    url: str = ""


@contextmanager
def published() -> Iterator[Publisher]:
    """Serve a publisher's document on a port of this machine."""
    publisher = Publisher()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            publisher.asked += 1
            self.send_response(publisher.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(publisher.document)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    publisher.url = f"http://127.0.0.1:{server.server_port}/keys"
    try:
        yield publisher
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
