"""What an upstream may not be, and what is said of one that is allowed but probably not meant."""

import datetime as dt
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from relay.mail.address import Address
from relay.routing.options import Options
from relay.routing.soundness import BadUpstream, checked, warnings
from relay.routing.upstreams import Kind, Password, Tls, Upstream
from relay.sealing import Sealer

SOUND = Upstream(id="1", name="provider", kind=Kind.SMTP, host="smtp.example.com", port=587)
DIRECT = {"kind": Kind.MX, "host": "", "port": 25, "tls": Tls.OPPORTUNISTIC}
PASSWORD = Password(b"sealed", Sealer([Fernet.generate_key()]))


def certificate() -> str:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(start).not_valid_after(start + dt.timedelta(days=9))
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("SMTP.Example.COM", "smtp.example.com"),
        ("m\u00fcnchen.example", "xn--mnchen-3ya.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("mail_hog", "mail_hog"),
    ],
)
def test_hosts_are_names_or_addresses_in_one_form(written: str, stored: str) -> None:
    assert checked(replace(SOUND, host=written)).host == stored


@pytest.mark.parametrize(
    "host", ["", "smtp example com", "-x.example", "a..b", "smtp.example.com:587", "x" * 254]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(BadUpstream):
        checked(replace(SOUND, host=host))


@pytest.mark.parametrize(
    ("change", "because"),
    [
        ({"name": "my provider"}, "letters, digits"),
        ({"name": ""}, "letters, digits"),
        ({"port": 0}, "1 to 65535"),
        ({"port": 65536}, "1 to 65535"),
        ({"timeout": dt.timedelta(0)}, "1 to 600 seconds"),
        ({"concurrency": 0}, "1 to 500"),
        ({"username": "ann"}, "a password is missing"),
        ({"password": PASSWORD}, "a user name is missing"),
        ({"username": "a\nb", "password": PASSWORD}, "control characters"),
        ({"pinned_ca": "-----BEGIN NOTHING-----"}, "no certificate in PEM form"),
        ({"pinned_ca": ""}, "no certificate in PEM form"),
        ({"kind": Kind.SANDBOX}, "no host"),
        ({"tls": Tls.OPPORTUNISTIC}, "kind mx"),
        ({"options": Options(resolver="192.0.2.53")}, "kind mx"),
        ({"kind": Kind.MX}, "DNS says where"),
        (DIRECT | {"username": "ann", "password": PASSWORD}, "logs in nowhere"),
        (DIRECT | {"tls": Tls.IMPLICIT}, "no implicit TLS"),
        (DIRECT | {"verify_tls": False}, "--no-verify"),
        (DIRECT | {"port": 0}, "1 to 65535"),
        (DIRECT | {"options": Options(resolver="dns.example")}, "give its IP address"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_mend(change: dict[str, object], because: str) -> None:
    with pytest.raises(BadUpstream, match=because):
        checked(replace(SOUND, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    [
        "smtp.gmail.com",
        "SMTP.Office365.com",
        "smtp.mail.yahoo.com.",
        "email-smtp.eu-west-1.amazonaws.com",
        "gmail.com",
    ],
)
def test_the_certificate_of_a_well_known_provider_is_always_verified(host: str) -> None:
    with pytest.raises(BadUpstream, match="the host name that stands in the certificate"):
        checked(replace(SOUND, host=host, verify_tls=False))


@pytest.mark.parametrize(
    "host", ["smtp.example.com", "notgmail.com", "ec2-1.eu-west-1.compute.amazonaws.com"]
)
def test_elsewhere_not_verifying_is_allowed_but_said(host: str) -> None:
    upstream = checked(replace(SOUND, host=host, verify_tls=False))
    assert "not verified" in warnings(upstream)[0]


def test_a_pinned_certificate_is_the_better_way_and_needs_no_warning() -> None:
    pinned = checked(replace(SOUND, pinned_ca=certificate()))
    assert warnings(pinned) == ()
    assert "is not compared" in warnings(checked(replace(pinned, verify_tls=False)))[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"port": 25}, "Port 25"),
        ({"tls": Tls.NONE}, "mail travels"),
        ({"tls": Tls.NONE, "username": "ann", "password": PASSWORD}, "mail and password travel"),
        ({"port": 465}, "--tls implicit"),
        ({"tls": Tls.IMPLICIT}, "--tls starttls"),
    ],
)
def test_what_is_probably_not_meant_is_said(change: dict[str, object], said: str) -> None:
    assert said in " ".join(warnings(checked(replace(SOUND, **change))))  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
@pytest.mark.parametrize("change", [{"tls": Tls.NONE, "port": 25}, {"verify_tls": False}])
def test_there_is_no_way_on_which_anybody_reads_what_stays_on_this_machine(
    host: str, change: dict[str, object]
) -> None:
    assert warnings(checked(replace(SOUND, host=host, **change))) == ()  # type: ignore[arg-type]
    assert warnings(checked(replace(SOUND, host="localhost.example.com", **change))) != ()  # type: ignore[arg-type]


@pytest.mark.parametrize(("host", "count"), [("127.0.0.1:8025", 0), ("[::1]", 0), ("mail.example", 1)])
def test_nor_is_there_one_to_a_service_beside_us(host: str, count: int) -> None:
    service = {"host": "", "port": 0, "password": PASSWORD, "options": Options(url=f"http://{host}/mail")}
    assert len(warnings(checked(replace(SOUND, kind=Kind.HTTP_RAW, **service)))) == count  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "count"), [(Kind.SENDGRID, 1), (Kind.HTTP_RAW, 0)])
def test_an_archive_gets_nothing_from_who_sends_to_those_in_the_header(kind: Kind, count: int) -> None:
    options = Options(url="https://mail.example")
    service = {"kind": kind, "host": "", "port": 0, "password": PASSWORD, "options": options}
    archived = checked(replace(SOUND, archive_address=Address.parse("a@example.org"), **service))  # type: ignore[arg-type]
    assert sum("copies for the archive" in told for told in warnings(archived)) == count
    assert warnings(replace(archived, archive_address=None)) == ()


def test_a_sandbox_needs_nothing() -> None:
    sandbox = checked(Upstream(id="1", name="sandbox", kind=Kind.SANDBOX))
    assert warnings(sandbox) == ()
    assert sandbox.place == "kept here"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"tls": Tls.NONE}, ["readable for everybody"]),
        ({"tls": Tls.STARTTLS}, ["they get no mail"]),
        ({"tls": Tls.STARTTLS, "verify_tls": False}, []),
    ],
)
def test_what_is_said_of_direct_delivery(change: dict[str, object], said: list[str]) -> None:
    direct = checked(replace(SOUND, **(DIRECT | change)))  # type: ignore[arg-type]
    told = warnings(direct)
    assert len(told) == len(said)
    assert all(word in sentence for word, sentence in zip(said, told, strict=True))
