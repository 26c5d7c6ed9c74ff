"""Verifying DKIM as a receiver does (RFC 6376 §6): written for the tests alone, and from the RFC alone."""

import base64
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

Records = dict[str, str]


def verdicts(message: bytes, records: Records) -> list[str]:
    """What a receiver says of each signature, the topmost first: "pass", or why not."""
    head, _, body = message.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    mine = [field for field in fields if field.lower().startswith(b"dkim-signature:")]
    return [_verdict(field, fields, body, records) for field in mine]


def _verdict(signature: bytes, fields: list[bytes], body: bytes, records: Records) -> str:
    tags = _tags(signature.partition(b":")[2].decode())
    assert tags["c"] == "relaxed/relaxed"
    bare = re.sub(r"\s", "", tags["bh"])
    if base64.b64decode(bare) != hashlib.sha256(_body(body)).digest():
        return "the body was changed"
    left = [field for field in fields if field is not signature]
    said = b""
    for name in tags["h"].split(":"):
        of_name = [f for f in left if f.partition(b":")[0].strip().lower() == name.strip().lower().encode()]
        if of_name:
            last = max(at for at, field in enumerate(left) if field is of_name[-1])
            said += _field(left.pop(last)) + b"\r\n"
    said += _field(re.sub(rb"([;\s]b=)[^;]*", rb"\1", signature))
    record = _tags(records[f"{tags['s']}._domainkey.{tags['d']}"])
    return _proved(record, base64.b64decode(re.sub(r"\s", "", tags["b"])), said)


def _proved(record: dict[str, str], signature: bytes, said: bytes) -> str:
    key = base64.b64decode(record["p"])
    try:
        if record["k"] == "ed25519":
            public = ed25519.Ed25519PublicKey.from_public_bytes(key)
            public.verify(signature, hashlib.sha256(said).digest())
        else:
            loaded = serialization.load_der_public_key(key)
            assert isinstance(loaded, rsa.RSAPublicKey)
            loaded.verify(signature, said, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return "the header was changed"
    return "pass"


def _tags(text: str) -> dict[str, str]:
    pairs = (piece.partition("=") for piece in text.split(";") if piece.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _field(field: bytes) -> bytes:
    name, _, value = field.partition(b":")
    unfolded = re.sub(rb"\r\n", b"", value)
    return name.strip().lower() + b":" + re.sub(rb"[ \t]+", b" ", unfolded).strip()


def _body(body: bytes) -> bytes:
    lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" ") for line in body.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)
