"""The self-signed certificate, and the TLS that is spoken with it."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from relay.certificates import CertificatePaths, ensure_self_signed, reload, server_context
from tests.kit.clock import HandClock


def names_in(paths: CertificatePaths) -> list[str]:
    certificate = x509.load_pem_x509_certificate(paths.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def test_it_names_the_host_and_the_loopback(tmp_path: Path, clock: HandClock) -> None:
    paths = ensure_self_signed(tmp_path, "relay.example.com", clock.now())
    assert names_in(paths) == ["relay.example.com", "localhost", "127.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("hostname", "first"),
    [("192.0.2.1", "192.0.2.1"), ("bücher.example", "xn--bcher-kva.example"), ("a_b", "a_b")],
)
def test_any_host_name_can_stand_in_it(tmp_path: Path, clock: HandClock, hostname: str, first: str) -> None:
    assert names_in(ensure_self_signed(tmp_path, hostname, clock.now()))[0] == first


def test_its_key_is_small_and_nobody_elses(tmp_path: Path, clock: HandClock) -> None:
    paths = ensure_self_signed(tmp_path, "relay.test", clock.now())
    certificate = x509.load_pem_x509_certificate(paths.certificate.read_bytes())
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert paths.key.stat().st_mode & 0o777 == 0o600


def test_it_is_kept_until_it_is_about_to_run_out(tmp_path: Path, clock: HandClock) -> None:
    first = ensure_self_signed(tmp_path, "relay.test", clock.now()).certificate.read_bytes()
    clock.turn(timedelta(days=700))
    assert ensure_self_signed(tmp_path, "relay.test", clock.now()).certificate.read_bytes() == first
    clock.turn(timedelta(days=100))
    assert ensure_self_signed(tmp_path, "relay.test", clock.now()).certificate.read_bytes() != first


def test_a_broken_one_is_made_anew(tmp_path: Path, clock: HandClock) -> None:
    paths = ensure_self_signed(tmp_path, "relay.test", clock.now())
    paths.key.write_text("nonsense")
    server_context(ensure_self_signed(tmp_path, "relay.test", clock.now()))


def test_tls_before_1_2_is_not_spoken(tmp_path: Path, clock: HandClock) -> None:
    context = server_context(ensure_self_signed(tmp_path, "relay.test", clock.now()))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert all(cipher["aead"] for cipher in context.get_ciphers())


def test_a_renewal_that_cannot_be_used_changes_nothing(tmp_path: Path, clock: HandClock) -> None:
    paths = ensure_self_signed(tmp_path, "relay.test", clock.now())
    context = server_context(paths)
    good = paths.certificate.read_bytes()
    paths.certificate.write_text("nonsense")
    with pytest.raises(OSError):
        reload(context, paths)
    paths.certificate.write_bytes(good)
    reload(context, paths)


def test_a_key_with_a_password_is_refused_and_never_asked_for(tmp_path: Path, clock: HandClock) -> None:
    from cryptography.hazmat.primitives import serialization

    paths = ensure_self_signed(tmp_path, "relay.test", clock.now())
    key = serialization.load_pem_private_key(paths.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    pem = serialization.Encoding.PEM
    paths.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(ssl.SSLError, match="locked with a password"):
        server_context(paths)
