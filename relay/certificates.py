"""The server's certificates: a self-signed one where none was given, and the TLS that is spoken with them."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFETIME = timedelta(days=825)  # Apple's programs refuse what is valid for longer
_RENEWED_BEFORE_END = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)

_WORDS = {  # by what stands in OpenSSL's own
    "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
    "NO_CERTIFICATE_ASSIGNED": "the key belongs to another certificate",  # one of another kind, RSA or EC
    "PEM lib": "the one holds no certificate, or the other no private key, in PEM form",
}


class CertificatePaths(NamedTuple):
    """Where a certificate (with its chain) and its private key lie, both in PEM."""

    certificate: Path
    key: Path


class ServerContext(ssl.SSLContext):
    """A server's context that knows by which channel binding its certificate is known."""

    end_point: bytes | None = None

    def show(self, paths: CertificatePaths) -> None:
        """Show this certificate from now on.  Raises OSError (ssl.SSLError is one) if it cannot be used."""
        try:
            self.load_cert_chain(*paths, password=_refuse_password)
        except ssl.SSLError as fault:
            raise ssl.SSLError(fault.errno, _in_words(fault)) from None
        self.end_point = _end_point(x509.load_pem_x509_certificate(paths.certificate.read_bytes()))


def ensure_self_signed(directory: Path, hostname: str, now: datetime) -> CertificatePaths:
    """Return the self-signed certificate in *directory*, making it if it is missing or about to run out.

    It names *hostname*, localhost and the loopback addresses.  Raises OSError if it cannot be written.
    """
    paths = CertificatePaths(directory / "certificate.pem", directory / "certificate.key")
    if not _will_do(paths, now):
        _make(paths, hostname, now)
    return paths


def server_context(paths: CertificatePaths) -> ssl.SSLContext:
    """Return the server's side of TLS 1.2 and 1.3, with forward secrecy and AEAD only (RFC 9325).

    Raises OSError (ssl.SSLError is one) if certificate and key cannot be used.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 1  # not two: mail programs open one connection after the other (RFC 8446 §4.6.1)
    context.show(paths)
    return context


class Showcase:
    """The certificates that a process shows: each client the one for the name it calls (SNI, RFC 6066 §3).

    Who calls no name, or one that none of them has, is shown the first.  `context` is what connections are
    made with, and stays the same for good; what it shows is exchanged as a whole.
    """

    def __init__(self, paths: Sequence[CertificatePaths]) -> None:
        """Raises OSError (ssl.SSLError is one) or ValueError if one of them cannot be used."""
        self._paths = tuple(paths)
        self.context = server_context(self._paths[0])
        self.reload()
        self.context.sni_callback = self._show

    def reload(self) -> None:
        """Show the certificates as they now lie on disk; connections already made keep theirs.

        Raises OSError or ValueError if one of them cannot be used; all is then as it was.
        """
        self._seen = self._state()
        contexts = [server_context(paths) for paths in self._paths]
        by_name: dict[str, ssl.SSLContext] = {}
        for paths, context in zip(self._paths, contexts, strict=True):
            for name in _names_in(paths.certificate):
                by_name.setdefault(name, context)
        self._first, self._by_name = contexts[0], by_name

    def has_changed(self) -> bool:
        """Whether a file is another than when it was last looked at by `reload`."""
        return self._state() != self._seen

    def _state(self) -> tuple[object, ...]:
        return tuple(_identity(path) for paths in self._paths for path in paths)

    def _show(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._called(name.lower()) if name else self._first

    def _called(self, name: str) -> ssl.SSLContext:
        exact = self._by_name.get(name)
        return exact or self._by_name.get("*." + name.partition(".")[2], self._first)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _names_in(path: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def end_point_of(context: ssl.SSLContext | None) -> bytes | None:
    """Return the tls-server-end-point of the certificate that *context* shows, if it has one."""
    return context.end_point if isinstance(context, ServerContext) else None


def _end_point(certificate: x509.Certificate) -> bytes | None:
    """Hash *certificate* as its signature does, but with nothing weaker than SHA-256 (RFC 5929 §4.1)."""
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:  # Ed25519 names none
        return None
    is_weak = isinstance(algorithm, hashes.MD5 | hashes.SHA1)
    return certificate.fingerprint(hashes.SHA256() if is_weak else algorithm)


def _refuse_password() -> str:
    # Left to itself OpenSSL asks at the terminal, and a service would wait there for ever.
    raise ssl.SSLError(0, "the private key is locked with a password; store it without one")


def _in_words(fault: ssl.SSLError) -> str:
    """What OpenSSL's verdict on two files means to whoever put them there."""
    said = str(fault)
    return next((words for sign, words in _WORDS.items() if sign in said), said)


def _will_do(paths: CertificatePaths, now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(paths.certificate.read_bytes())
        server_context(paths)
    except (OSError, ValueError):
        return False
    return now + _RENEWED_BEFORE_END < certificate.not_valid_after_utc


def _make(paths: CertificatePaths, hostname: str, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now - _CLOCK_SKEW + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(_names(hostname)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(paths.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _write(paths.certificate, certificate.public_bytes(Encoding.PEM))


def _names(hostname: str) -> list[x509.GeneralName]:
    return [_name(text) for text in dict.fromkeys((hostname, "localhost", "127.0.0.1", "::1"))]


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text.encode("idna").decode("ascii"))


def _write(path: Path, content: bytes) -> None:
    """Put *content* in the place of whatever was at *path*, whole, readable by us alone."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
