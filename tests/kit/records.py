"""TLS records that no library would send: what a client can say once the handshake is over."""

import ssl
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

_ALERT, _HANDSHAKE, _WORDS = 21, 22, 23  # kinds of records (RFC 8446 §5.1)


def telling(path: Path) -> ssl.SSLContext:
    """A client that trusts anybody, speaks TLS 1.3 and writes its secrets to *path*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = str(path)
    return context


class Records:
    """Seals what a client says whose own library has said nothing yet since the handshake.

    Its cipher is TLS_AES_256_GCM_SHA384, the first choice of OpenSSL.
    """

    def __init__(self, secrets: Path) -> None:
        told = [line.split() for line in secrets.read_text().splitlines()]
        (self._secret,) = [bytes.fromhex(line[2]) for line in told if line[0] == "CLIENT_TRAFFIC_SECRET_0"]
        self._number = 0

    def words(self, octets: bytes) -> bytes:
        """Octets of the protocol within."""
        return self._seal(_WORDS, octets)

    def goodbye(self) -> bytes:
        """The alert close_notify (RFC 8446 §6.1)."""
        return self._seal(_ALERT, b"\1\0")

    def half_a_key_update(self) -> bytes:
        """The head of a message whose only octet never comes."""
        return self._seal(_HANDSHAKE, b"\x18\0\0\1")

    def key_update(self) -> bytes:
        """New keys from here on, and the wish that the server takes new ones, too (RFC 8446 §4.6.3)."""
        record = self._seal(_HANDSHAKE, b"\x18\0\0\1\1")
        self._secret, self._number = self._derived(b"traffic upd", 48), 0
        return record

    def _seal(self, kind: int, octets: bytes) -> bytes:
        nonce = int.from_bytes(self._derived(b"iv", 12), "big") ^ self._number
        self._number += 1
        inside = octets + bytes([kind])
        head = b"\x17\3\3" + (len(inside) + 16).to_bytes(2, "big")
        return head + AESGCM(self._derived(b"key", 32)).encrypt(nonce.to_bytes(12, "big"), inside, head)

    def _derived(self, label: bytes, octets: int) -> bytes:
        name = b"tls13 " + label
        info = octets.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"  # RFC 8446 §7.1
        return HKDFExpand(hashes.SHA384(), octets, info).derive(self._secret)
