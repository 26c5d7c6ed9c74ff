"""Letters of our own: 7-bit, folded, and read by every mail program as what was meant."""

import email
from datetime import UTC, datetime
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import Address
from relay.mail.header import scan
from relay.notify.compose import (
    Entity,
    entity,
    field,
    is_seven_bit,
    letter,
    multipart,
    raw_field,
    text_entity,
)

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=300)


def written(content: Entity, *, to: str = "ann@example.com", subject: str = "Tea") -> bytes:
    return letter(
        content,
        letter_id="01LETTER",
        to=Address.parse(to),
        subject=subject,
        hostname="mx.example.com",
        now=NOW,
        automatic="auto-generated",
    )


def test_a_letter_is_from_the_postmaster_and_says_that_a_machine_wrote_it() -> None:
    assert written(text_entity("At five.")) == (
        b"From: Mail Delivery System <postmaster@mx.example.com>\r\n"
        b"To: <ann@example.com>\r\n"
        b"Subject: Tea\r\n"
        b"Date: Mon, 02 Mar 2026 12:00:00 +0000\r\n"
        b"Message-ID: <01LETTER@mx.example.com>\r\n"
        b"Auto-Submitted: auto-generated\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n"
        b"\r\n"
        b"At five.\r\n"
    )


@given(printable, printable)
def test_whatever_is_written_is_read_so_and_goes_over_any_road(subject: str, text: str) -> None:
    content = written(text_entity(text), subject=subject)
    assert is_seven_bit(content)
    assert len(scan(content).fields) >= 8
    message = email.message_from_bytes(content, policy=default)
    assert " ".join(message["Subject"].split()) == " ".join(subject.split())
    assert message.get_content().strip() == text.strip()


@given(st.binary(max_size=300))
def test_any_octets_can_be_an_entity(octets: bytes) -> None:
    body = octets.replace(b"\r", b"").replace(b"\n", b"\r\n")
    wrapped = entity("application/octet-stream", body)
    assert is_seven_bit(wrapped.head + wrapped.body)
    message = email.message_from_bytes(bytes(wrapped), policy=default)
    assert message.get_payload(decode=True) == body


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        (b"", True),
        (b"x", True),
        (b"x\r\ny\r\n", True),
        (b"x" * 998 + b"\r\n", True),
        (b"x" * 999 + b"\r\n", False),
        (b"x\0", False),
        (b"\xfc", False),
        (b"x\ny", False),
        (b"x\ry", False),
        (b"\n\r", False),
    ],
)
def test_what_can_go_as_it_is(body: bytes, fits: bool) -> None:
    assert is_seven_bit(body) is fits


def test_a_field_never_becomes_two() -> None:
    assert field("Subject", "x\r\nBcc: y\u2028z\0") == b"Subject: x Bcc: y z\r\n"
    assert raw_field("To", "<x@y>\r\nBcc: z") == b"To: <x@y>Bcc: z\r\n"


def test_long_fields_are_folded() -> None:
    assert max(map(len, field("Subject", "word " * 100).split(b"\r\n"))) <= 78
    assert max(map(len, field("Subject", "wörd " * 100).split(b"\r\n"))) <= 78


def test_an_address_beyond_ascii_stands_in_utf8() -> None:
    assert "To: <jürgen@example.com>\r\n".encode() in written(text_entity("x"), to="jürgen@example.com")


def test_parts_are_found_again() -> None:
    parts = [text_entity("one", description="First"), entity("message/rfc822", b"Subject: x\r\n\r\ny\r\n")]
    message = email.message_from_bytes(
        written(multipart("multipart/mixed", parts, boundary="=_b")), policy=default
    )
    first, second = message.iter_parts()
    assert (first["Content-Description"], first.get_content().strip()) == ("First", "one")
    assert second.get_content()["Subject"] == "x"
    assert not message.defects
