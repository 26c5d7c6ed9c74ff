"""DKIM: the published examples, round trips, and what a signature covers."""

import base64
import hashlib
import re
import tracemalloc
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.mail.dkim import (
    Algorithm,
    BadRecord,
    Signer,
    body_hash,
    is_fit_name,
    published_key,
    record_name,
    record_strings,
    record_text,
    relaxed_body,
    relaxed_field,
    signature_field,
    signed_input,
)
from relay.mail.header import scan
from tests.kit.dkim import verdicts

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

# RFC 8463, appendix A: keys, records and the message with both its signatures
SECRET = base64.b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
RECORDS = {
    "brisbane._domainkey.football.example.com": (
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    ),
    "test._domainkey.football.example.com": (
        "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bd"
        "OKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLz"
        "BfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
    ),
}
ED25519_RAW = (
    b" v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    b" subject : date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n b="
)
ED25519_SIGNATURE = (
    b"/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
)
RSA_FIELD = (
    b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    b" d=football.example.com; i=@football.example.com;\r\n"
    b" q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    b" date : message-id : from : subject : date;\r\n"
    b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    b" b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTn"
    b"GdaSGsgeefOsk2JzdA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
)
PUBLISHED = (
    b"From: Joe SixPack <joe@football.example.com>\r\nTo: Suzie Q <suzie@shopping.example.net>\r\n"
    b"Subject: Is dinner ready?\r\nDate: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\r\n"
    b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
)

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ED25519_KEY = ed25519.Ed25519PrivateKey.generate()


def rsa_signer() -> Signer:
    return Signer(
        "example.com",
        "r1",
        Algorithm.RSA,
        lambda data: RSA_KEY.sign(data, padding.PKCS1v15(), hashes.SHA256()),
    )


def ed25519_signer() -> Signer:
    return Signer(
        "example.com", "e1", Algorithm.ED25519, lambda data: ED25519_KEY.sign(hashlib.sha256(data).digest())
    )


OWN_RECORDS = {
    record_name("example.com", "r1"): record_text(
        Algorithm.RSA,
        RSA_KEY.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    ),
    record_name("example.com", "e1"): record_text(
        Algorithm.ED25519, ED25519_KEY.public_key().public_bytes_raw()
    ),
}


def signed(message: bytes, *signers: Signer) -> bytes:
    header = scan(message)
    hashed = body_hash(message[header.end + 2 :])
    return b"".join(signature_field(header, hashed, signer, NOON) for signer in signers) + message


def test_the_published_message_has_the_published_body_hash() -> None:
    body = PUBLISHED[scan(PUBLISHED).end + 2 :]
    assert base64.b64encode(body_hash(body)) == b"2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="


def test_the_published_key_makes_the_published_signature() -> None:
    names = ("from", "to", "subject", "date", "message-id", "from", "subject", "date")
    data = signed_input(scan(PUBLISHED), names, ED25519_RAW)
    key = ed25519.Ed25519PrivateKey.from_private_bytes(SECRET)
    assert base64.b64encode(key.sign(hashlib.sha256(data).digest())) == ED25519_SIGNATURE


def test_the_tests_own_verifier_agrees_with_the_published_signatures() -> None:
    both = b"DKIM-Signature:" + ED25519_RAW + ED25519_SIGNATURE + b"\r\n" + RSA_FIELD + PUBLISHED
    assert verdicts(both, RECORDS) == ["pass", "pass"]
    assert verdicts(both.replace(b"hungry", b"thirsty"), RECORDS) == ["the body was changed"] * 2
    assert verdicts(both.replace(b"dinner", b"lunch"), RECORDS) == ["the header was changed"] * 2


@pytest.mark.parametrize(
    ("raw", "relaxed"),
    [
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n"),  # RFC 6376 §3.4.5
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b" \r\n\t\r\n", b""),
        (b"no end \t", b"no end\r\n"),
        (b"a\r\n\r\nb", b"a\r\n\r\nb\r\n"),
    ],
)
def test_a_body_is_relaxed(raw: bytes, relaxed: bytes) -> None:
    assert relaxed_body(raw) == relaxed


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"   "]), max_size=20).map(b"".join))
def test_a_body_is_relaxed_as_the_rules_are_written(raw: bytes) -> None:
    lines = [re.sub(rb"[ \t]+", b" ", line).removesuffix(b" ") for line in raw.split(b"\r\n")]
    while lines and not lines[-1]:
        lines.pop()
    assert relaxed_body(raw) == b"".join(line + b"\r\n" for line in lines)


def test_a_body_that_is_full_of_white_space_takes_little_memory() -> None:
    body = b"a\t" * 500_000
    tracemalloc.start()
    relaxed_body(body)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 6 * len(body)


def test_a_field_is_relaxed() -> None:
    assert relaxed_field("A", b" X") == b"a:X"  # §3.4.5
    assert relaxed_field("B", b" Y\t\r\n\tZ  ") == b"b:Y Z"


@pytest.mark.parametrize("signers", [(rsa_signer(),), (ed25519_signer(),), (rsa_signer(), ed25519_signer())])
def test_what_is_signed_is_verified(signers: tuple[Signer, ...]) -> None:
    message = signed(PUBLISHED, *signers)
    assert message.endswith(PUBLISHED)
    assert verdicts(message, OWN_RECORDS) == ["pass"] * len(signers)
    assert max(map(len, message.split(b"\r\n"))) <= 100


@pytest.mark.parametrize(
    "name", ["From", "Subject", "To", "Cc", "Date", "Reply-To", "Content-Type", "Message-ID"]
)
def test_no_further_field_can_be_added(name: str) -> None:
    message = signed(PUBLISHED, rsa_signer())
    head, _, body = message.partition(b"\r\n\r\n")
    added = head + f"\r\n{name}: something else".encode() + b"\r\n\r\n" + body
    on_top = f"{name}: something else\r\n".encode() + message
    assert verdicts(added, OWN_RECORDS) == verdicts(on_top, OWN_RECORDS) == ["the header was changed"]


def test_what_servers_on_the_way_add_breaks_nothing() -> None:
    message = b"Received: from here\r\nX-Spam: no\r\n" + signed(PUBLISHED, rsa_signer())
    assert verdicts(message.replace(b"  Are you", b" \t Are you"), OWN_RECORDS) == ["pass"]


LINES = st.lists(
    st.one_of(st.sampled_from([b"", b" ", b"\t x \t", b"a  b", b"."]), st.binary(max_size=20)), max_size=8
).map(lambda lines: b"\r\n".join(line.replace(b"\r", b"").replace(b"\n", b"") for line in lines))
VALUES = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, blacklist_characters="\x7f"), max_size=60
)


@settings(max_examples=60)
@given(LINES, st.lists(VALUES, max_size=4), st.booleans())
def test_whatever_is_signed_is_verified(body: bytes, subjects: list[str], is_folded: bool) -> None:
    fold = "\r\n\t" if is_folded else ""
    unfit = {0x85: " ", 0x1C: " ", 0x1D: " ", 0x1E: " "}
    fields = "".join(f"Subject: {fold}{text.translate(unfit)}\r\n" for text in subjects)
    message = b"From: ann@example.com\r\n" + fields.encode() + b"\r\n" + body
    assert verdicts(signed(message, ed25519_signer()), OWN_RECORDS) == ["pass"]


def test_a_long_record_is_split_as_dns_wants() -> None:
    text = OWN_RECORDS[record_name("example.com", "r1")]
    strings = record_strings(text)
    assert [len(string) for string in strings] == [255, len(text) - 255]
    assert "".join(strings) == text
    assert published_key(text)[0] == "rsa"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("v=DKIM1; k=rsa; p=", "revokes"),
        ("v=DKIM1; k=rsa", "no key"),
        ("v=spf1; p=aaaa", "no record of DKIM"),
        ("v=DKIM1; p=a; p=b", "twice"),
        ("hello", "tag=value"),
        ("v=DKIM1; p=*", "base64"),
    ],
)
def test_a_record_that_is_not_right_says_why(text: str, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        published_key(text)


def test_names_for_dns() -> None:
    assert all(map(is_fit_name, ("example.com", "r2026", "a.b", "a-b")))
    assert not any(map(is_fit_name, ("", "a b", "-a", "a..b", "ä.de", "x" * 64, 'a"; DROP')))
