"""The Received field, and the Date and Message-ID that a message may lack."""

import re
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import Address
from relay.mail.dates import date_text
from relay.mail.header import scan
from relay.mail.received import date_field, message_id_field, received_field
from relay.mail.session import Session

NOW = datetime(2026, 3, 2, 12, 0, 5, 999_999, tzinfo=UTC)
BOB = Address.parse("bob@example.net")


def received(*, session: dict[str, Any] | None = None, **facts: Any) -> str:
    client = {"id": "s1", "listener": "submission", "peer_address": "192.0.2.7", "helo": "laptop.example.com"}
    known = {"recipient": None, "smtputf8": False, "reveal_client": False}
    return received_field(
        Session(**{**client, "is_esmtp": True, **(session or {})}),
        hostname="mx.example.com",
        message_id="01JTEST",
        now=NOW,
        **{**known, **facts},
    ).decode()


def test_the_client_stays_unnamed() -> None:
    assert received() == (
        "Received: from mx.example.com\r\n"
        "\tby mx.example.com with ESMTP id 01JTEST;\r\n"
        "\tMon, 02 Mar 2026 12:00:05 +0000\r\n"
    )


def test_the_client_is_named_where_the_operator_wants_it() -> None:
    assert received(reveal_client=True).startswith(
        "Received: from laptop.example.com ([192.0.2.7])\r\n\tby mx.example.com with ESMTP"
    )


@pytest.mark.parametrize(
    ("peer", "literal"),
    [
        ("192.0.2.7", "[192.0.2.7]"),
        ("2001:db8::7", "[IPv6:2001:db8::7]"),
        ("::1", "[IPv6:::1]"),
        ("::ffff:192.0.2.7", "[192.0.2.7]"),
        ("fe80::1%eth0", "[IPv6:fe80::1?eth0]"),
    ],
)
def test_addresses_are_written_as_literals(peer: str, literal: str) -> None:
    assert f" ({literal})\r\n" in received(session={"peer_address": peer}, reveal_client=True)


@pytest.mark.parametrize(
    ("session", "smtputf8", "keyword"),
    [
        ({"is_esmtp": False}, False, "SMTP"),
        ({}, False, "ESMTP"),
        ({"tls": "TLSv1.3 X"}, False, "ESMTPS (TLSv1.3 X)"),
        ({"user": "ann"}, False, "ESMTPA"),
        ({"tls": "TLSv1.3 X", "user": "ann"}, False, "ESMTPSA (TLSv1.3 X)"),
        ({}, True, "UTF8SMTP"),
        ({"tls": "TLSv1.3 X", "user": "ann"}, True, "UTF8SMTPSA (TLSv1.3 X)"),
    ],
)
def test_the_protocol_is_named_as_registered(session: dict[str, Any], smtputf8: bool, keyword: str) -> None:
    assert f" with {keyword} id " in received(session=session, smtputf8=smtputf8)


def test_the_user_is_never_named() -> None:
    told = received(session={"user": "ann-login", "user_id": "01U", "tls": "TLSv1.3 X"}, reveal_client=True)
    assert "ann-login" not in told
    assert "01U" not in told


def test_the_one_recipient_is_named() -> None:
    assert "id 01JTEST\r\n\tfor <bob@example.net>;\r\n" in received(recipient=BOB)


def test_a_recipient_beyond_ascii_is_named_only_where_smtputf8_carries_it() -> None:
    recipient = Address.parse("jürgen@example.net")
    assert "for <" not in received(recipient=recipient)
    assert "for <jürgen@example.net>" in received(recipient=recipient, smtputf8=True)


@pytest.mark.parametrize("smtputf8", [True, False])
def test_a_domain_beyond_ascii_is_named_so_that_any_upstream_takes_the_field(smtputf8: bool) -> None:
    told = received(recipient=Address.parse("bob@bücher.example"), smtputf8=smtputf8)
    assert "\tfor <bob@xn--bcher-kva.example>;" in told


@given(st.text(max_size=400), st.text(max_size=60))
def test_nothing_the_client_says_of_itself_can_add_a_line_or_end_a_word(helo: str, peer: str) -> None:
    told = received(session={"helo": helo, "peer_address": peer}, reveal_client=True)
    assert len(scan(told.encode()).fields) == 1
    assert re.fullmatch(r"Received: from [!-~]{1,255} \(\[[!-~]*\]\)", told.split("\r\n")[0])
    assert told.isascii()
    assert max(map(len, told.split("\r\n"))) < 998


def test_readers_find_the_date() -> None:
    message = message_from_bytes(received().encode() + b"\r\n")
    assert parsedate_to_datetime(message["Received"].rpartition(";")[2]) == NOW.replace(microsecond=0)


def test_the_fields_that_may_be_missing() -> None:
    assert date_field(NOW) == b"Date: Mon, 02 Mar 2026 12:00:05 +0000\r\n"
    assert message_id_field("01JTEST", "mx.example.com") == b"Message-ID: <01JTEST@mx.example.com>\r\n"


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1)),  # noqa: DTZ001  the zone is put to them below
    st.integers(-14 * 60, 14 * 60),
)
def test_dates_are_written_as_the_library_does(moment: datetime, minutes: int) -> None:
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert date_text(moment) == format_datetime(moment.astimezone(UTC))
