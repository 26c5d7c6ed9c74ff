"""What is added to a message and taken from it before it goes on; all else is left as it is."""

from datetime import UTC, datetime
from typing import Any

import pytest

from relay.mail.address import Address
from relay.mail.fixups import complete
from relay.mail.header import scan

NOW = datetime(2026, 3, 2, 12, 0, 5, tzinfo=UTC)
DATE = b"Date: Mon, 02 Mar 2026 12:00:05 +0000\r\n"
MESSAGE_ID = b"Message-ID: <01JTEST@mx.example.com>\r\n"
COMPLETE = b"date: yesterday\r\nMESSAGE-ID: mine\r\n"
BODY = b"\r\nBcc: in the body\r\n\r\n  trailing \r\n"


def completed(header: bytes, **facts: Any) -> bytes:
    content = header + BODY
    done = b"".join(
        complete(content, scan(content), now=NOW, message_id="01JTEST", hostname="mx.example.com", **facts)
    )
    assert done.endswith(BODY)
    return done.removesuffix(BODY)


def test_a_complete_message_is_left_byte_for_byte() -> None:
    header = COMPLETE + b"Subject:  a \r\n\t b  \r\nX-Odd : \xff\r\nReceived: x\r\n"
    assert completed(header) == header


def test_a_missing_date_and_message_id_are_put_on_top() -> None:
    assert completed(b"Subject: x\r\n") == DATE + MESSAGE_ID + b"Subject: x\r\n"
    assert completed(b"Date: never\r\n") == MESSAGE_ID + b"Date: never\r\n"
    assert completed(b"Message-Id: <x@y>\r\n") == DATE + b"Message-Id: <x@y>\r\n"


def test_even_a_message_without_header_gets_them() -> None:
    assert completed(b"") == DATE + MESSAGE_ID


@pytest.mark.parametrize(
    "dropped",
    [
        b"Bcc: boss@example.com\r\n",
        b"BCC:\r\n a@example.com,\r\n\tb@example.com\r\n",
        b"bcc : a@example.com\r\n",
        b"Resent-Bcc: a@example.com\r\n",
        b"Return-Path: <a@example.com>\r\n",
        b"X-Relay-Tag: newsletter\r\n",
        b"x-relay-send-at: tomorrow\r\n",
    ],
)
def test_what_must_not_leave_is_taken_out(dropped: bytes) -> None:
    assert completed(b"To: x\r\n" + dropped + COMPLETE + dropped) == b"To: x\r\n" + COMPLETE


@pytest.mark.parametrize("kept", [b"X-Relayed: x\r\n", b"X-Bcc: x\r\n", b"Bccs: x\r\n", b"Cc: x\r\n"])
def test_what_only_looks_like_it_stays(kept: bytes) -> None:
    assert completed(kept + COMPLETE) == kept + COMPLETE


class TestARewrittenSender:
    SENDER = Address.parse("ann@example.com")

    def test_stands_in_from_and_what_was_there_becomes_reply_to(self) -> None:
        header = b"To: x\r\nFrom: Boss\r\n <boss@example.net>\r\n" + COMPLETE
        assert completed(header, sender=self.SENDER) == (
            b"From: ann@example.com\r\nReply-To: Boss\r\n <boss@example.net>\r\nTo: x\r\n" + COMPLETE
        )

    def test_leaves_a_reply_to_that_is_there(self) -> None:
        header = b"From: boss@example.net\r\nReply-To: desk@example.net\r\n" + COMPLETE
        assert completed(header, sender=self.SENDER) == (
            b"From: ann@example.com\r\nReply-To: desk@example.net\r\n" + COMPLETE
        )

    def test_leaves_nobody_else_named_as_a_sender(self) -> None:
        foreign = b"From: a@b.example\r\nSender: c@d.example\r\nResent-From: e@f.example\r\n"
        header = foreign + b"Resent-Sender: i@j.example\r\nReply-To: g@h.example\r\n" + COMPLETE
        done = completed(header, sender=self.SENDER)
        assert done == b"From: ann@example.com\r\nReply-To: g@h.example\r\n" + COMPLETE

    def test_has_its_domain_in_ascii_which_every_upstream_takes(self) -> None:
        done = completed(b"From: a@b.example\r\n" + COMPLETE, sender=Address.parse("ann@bücher.example"))
        assert done.startswith(b"From: ann@xn--bcher-kva.example\r\nReply-To: a@b.example\r\n")
