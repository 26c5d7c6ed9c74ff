"""The self-signed certificate, and the TLS that is spoken with it."""

import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relay.certificates import CertificatePaths, Showcase, ensure_self_signed, server_context
from relay.submission.tls import TlsLayer
from tests.kit.clock import HandClock

DER = serialization.Encoding.DER


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
    showcase = Showcase([paths])
    before = shown(showcase, None)
    good = paths.certificate.read_bytes()
    paths.certificate.write_text("nonsense")
    with pytest.raises(OSError):
        showcase.reload()
    assert shown(showcase, None) == before
    paths.certificate.write_bytes(good)
    showcase.reload()


def test_a_file_that_was_replaced_is_noticed_once(tmp_path: Path, clock: HandClock) -> None:
    paths = ensure_self_signed(tmp_path, "relay.test", clock.now())
    showcase = Showcase([paths])
    before = shown(showcase, None)
    assert not showcase.has_changed()
    for path in paths:
        path.unlink()
    assert showcase.has_changed()
    ensure_self_signed(tmp_path, "relay.test", clock.now())
    assert showcase.has_changed()
    showcase.reload()
    assert not showcase.has_changed()
    assert shown(showcase, None) != before


def test_each_client_is_shown_the_certificate_for_the_name_it_calls(tmp_path: Path, clock: HandClock) -> None:
    names = ["relay.test", "mail.example.org", "*.example.net"]
    paths = []
    for number, name in enumerate(names):
        (tmp_path / str(number)).mkdir()
        paths.append(ensure_self_signed(tmp_path / str(number), name, clock.now()))
    showcase = Showcase(paths)
    ders = [x509.load_pem_x509_certificate(each.certificate.read_bytes()).public_bytes(DER) for each in paths]
    called = ["relay.test", "MAIL.example.org", "a.example.net", "a.b.example.net", "unknown.test", None]
    assert [ders.index(shown(showcase, name)) for name in called] == [0, 1, 2, 0, 0, 0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", [None, "mail.example.org"])
def test_a_session_is_taken_up_again(
    tmp_path: Path, clock: HandClock, version: ssl.TLSVersion, name: str | None
) -> None:
    (tmp_path / "more").mkdir()
    more = ensure_self_signed(tmp_path / "more", "mail.example.org", clock.now())
    showcase = Showcase([ensure_self_signed(tmp_path, "relay.test", clock.now()), more])
    context = anybody()
    context.minimum_version = context.maximum_version = version
    first = shaken(showcase, context, name)
    assert not first.session_reused
    assert shaken(showcase, context, name, first.session).session_reused


def test_what_a_client_would_rather_speak_makes_no_difference(tmp_path: Path, clock: HandClock) -> None:
    showcase = Showcase([ensure_self_signed(tmp_path, "relay.test", clock.now())])
    context = anybody()
    context.set_alpn_protocols(["smtp", "h2"])
    assert shaken(showcase, context, "relay.test").selected_alpn_protocol() is None


def anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shown(showcase: Showcase, name: str | None) -> bytes:
    return shaken(showcase, anybody(), name).getpeercert(binary_form=True) or b""


def shaken(
    showcase: Showcase, context: ssl.SSLContext, name: str | None, session: ssl.SSLSession | None = None
) -> ssl.SSLObject:
    """A client that has shaken hands, and heard a first word so that it has its tickets."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = TlsLayer(showcase.context)
    client = context.wrap_bio(down, up, server_hostname=name, session=session)
    while True:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            server.receive(up.read())
            down.write(server.seal(b""))
        else:
            break
    server.receive(up.read())
    down.write(server.seal(b"220"))
    assert client.read(3) == b"220"
    return client


def test_a_key_with_a_password_is_refused_and_never_asked_for(tmp_path: Path, clock: HandClock) -> None:
    paths = ensure_self_signed(tmp_path, "relay.test", clock.now())
    key = serialization.load_pem_private_key(paths.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    pem = serialization.Encoding.PEM
    paths.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked))
    with pytest.raises(ssl.SSLError, match=r"^the private key is locked with a password"):
        server_context(paths)
