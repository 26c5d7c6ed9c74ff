"""What MAIL and RCPT say: a parameter only where it is offered; what cannot be sent is not offered at all."""

from dataclasses import replace

import pytest

from relay.delivery.transports.parameters import (
    NEEDS_8BITMIME,
    NEEDS_SMTPUTF8,
    NEEDS_TLS,
    TOO_LARGE,
    TOO_LATE,
    Offers,
    mail_command,
    rcpt_command,
    refused_unasked,
    unfit,
)
from relay.mail.address import Address
from relay.mail.envelope import Body, Recipient
from relay.mail.priority import Priority
from tests.delivery.makers import LETTER, envelope_to

NOTHING = Offers()
ALL = Offers(pipelining=True, size=0, eight_bit=True, smtputf8=True, dsn=True, mt_priority=True)
EIGHT_BIT = b"Subject: Tea\r\n\r\nAt f\xc3\xbcnf?\r\n"
UTF8_HEADER = "Subject: Tée\r\n\r\nAt five?\r\n".encode()
ANN = envelope_to("bob")


def mail(
    content: bytes = LETTER, offers: Offers = ALL, priority: Priority = Priority.NORMAL, **more: object
) -> str:
    return mail_command(ANN._replace(**more), content, priority, offers).decode().removesuffix("\r\n")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("extensions", "offers"),
    [
        ({}, Offers()),
        ({"size": ""}, Offers(size=0)),
        ({"size": "0"}, Offers(size=0)),
        ({"size": "1000"}, Offers(size=1000)),
        ({"size": "a lot"}, Offers(size=0)),
        ({"size": "\uff11"}, Offers(size=0)),
        (
            {"pipelining": "", "8bitmime": "", "smtputf8": "", "dsn": ""},
            replace(ALL, size=None, mt_priority=False),
        ),
        ({"mt-priority": "MIXER"}, Offers(mt_priority=True)),
    ],
)
def test_offers_are_read_from_ehlo(extensions: dict[str, str], offers: Offers) -> None:
    assert Offers.read(extensions) == offers


def test_an_upstream_that_offers_nothing_is_told_nothing() -> None:
    said = mail(offers=NOTHING, ret="HDRS", envid="x", smtputf8=True, body=Body.EIGHT_BIT, mt_priority=4)
    assert said == "MAIL FROM:<ann@example.com>"
    recipient = Recipient(1, Address.parse("bob@example.net"), notify="NEVER", orcpt="rfc822;bob@example.net")
    assert rcpt_command(recipient, NOTHING) == b"RCPT TO:<bob@example.net>\r\n"


def test_an_upstream_that_offers_all_is_told_all() -> None:
    said = mail(EIGHT_BIT, ret="HDRS", envid="QQ314159", smtputf8=True, mt_priority=3, priority=Priority.HIGH)
    assert said == (
        f"MAIL FROM:<ann@example.com> SIZE={len(EIGHT_BIT)} BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159"
        " MT-PRIORITY=3"
    )
    recipient = Recipient(
        1, Address.parse("bob@example.net"), notify="NEVER", orcpt="rfc822;b+2Bx@example.net"
    )
    assert rcpt_command(recipient, ALL) == (
        b"RCPT TO:<bob@example.net> NOTIFY=NEVER ORCPT=rfc822;b+2Bx@example.net\r\n"
    )


def test_the_priority_told_is_the_one_in_force() -> None:
    assert mail(priority=Priority.VERY_HIGH).endswith(" MT-PRIORITY=4")
    assert mail(priority=Priority.VERY_LOW).endswith(" MT-PRIORITY=-4")
    assert "MT-PRIORITY" not in mail()
    assert mail(priority=Priority.HIGH, mt_priority=9).endswith(" MT-PRIORITY=2"), "it was capped"
    assert mail(priority=Priority.VERY_HIGH, mt_priority=9).endswith(" MT-PRIORITY=9")


def test_the_null_sender_and_quoted_local_parts_are_told_as_they_are() -> None:
    assert mail(sender=Address.NULL, offers=NOTHING) == "MAIL FROM:<>"
    recipient = Recipient(1, Address.parse('"a b"@example.net'))
    assert rcpt_command(recipient, ALL) == b'RCPT TO:<"a b"@example.net>\r\n'


def test_an_orcpt_in_utf8_is_written_in_ascii_where_that_is_all_that_goes() -> None:
    recipient = Recipient(1, Address.parse("bob@example.net"), orcpt="utf-8;jürgen@example.net")
    assert rcpt_command(recipient, Offers(dsn=True)).endswith(b" ORCPT=utf-8;j\\x{FC}rgen@example.net\r\n")
    assert rcpt_command(recipient, ALL).endswith(" ORCPT=utf-8;jürgen@example.net\r\n".encode())


def test_the_time_that_is_left_is_told_also_when_it_is_over() -> None:
    offers = replace(ALL, deliver_by=True)
    assert mail(offers=offers, by_seconds=-5, by_mode="NT").endswith(" BY=-5;NT")
    late = ANN._replace(by_seconds=0, by_mode="R")
    assert refused_unasked(late, LETTER, offers) == {1: TOO_LATE}
    assert unfit({1: TOO_LATE, 2: NEEDS_SMTPUTF8}) == {2}, "it is too late for every upstream"


def test_requiretls_counts_only_behind_verified_tls() -> None:
    extensions = {"requiretls": ""}
    assert not Offers.read(extensions).require_tls
    assert Offers.read(extensions, is_trusted=True).require_tls
    assert refused_unasked(ANN._replace(require_tls=True), LETTER, ALL) == {1: NEEDS_TLS}
    assert mail(offers=replace(ALL, require_tls=True), require_tls=True).endswith(" REQUIRETLS")


def test_a_larger_message_than_is_taken() -> None:
    small = replace(ALL, size=len(LETTER) - 1)
    assert refused_unasked(ANN, LETTER, small) == {1: TOO_LARGE}
    assert refused_unasked(ANN, LETTER, replace(small, size=len(LETTER))) == {}


def test_8_bit_content_where_only_7_bit_is_taken() -> None:
    assert refused_unasked(ANN, EIGHT_BIT, NOTHING) == {1: NEEDS_8BITMIME}
    assert refused_unasked(ANN, EIGHT_BIT, Offers(eight_bit=True)) == {}
    assert refused_unasked(ANN._replace(body=Body.EIGHT_BIT), LETTER, NOTHING) == {}


def test_only_recipients_that_need_smtputf8_are_refused_for_it() -> None:
    envelope = envelope_to("bob", "jürgen@example.net", "cid@exämple.net", smtputf8=True)
    assert refused_unasked(envelope, LETTER, ALL) == {}
    assert refused_unasked(envelope, LETTER, Offers(eight_bit=True)) == {2: NEEDS_SMTPUTF8}
    assert rcpt_command(envelope.recipients[2], NOTHING) == b"RCPT TO:<cid@xn--exmple-cua.net>\r\n"
    assert rcpt_command(envelope.recipients[2], ALL) == "RCPT TO:<cid@exämple.net>\r\n".encode()


def test_a_sender_or_a_header_that_needs_smtputf8_concerns_everybody() -> None:
    envelope = envelope_to("bob", "cid", sender="jürgen@example.com", smtputf8=True)
    assert refused_unasked(envelope, LETTER, NOTHING) == {1: NEEDS_SMTPUTF8, 2: NEEDS_SMTPUTF8}
    plain = envelope_to("bob", smtputf8=True)
    assert refused_unasked(plain, UTF8_HEADER, Offers(eight_bit=True)) == {1: NEEDS_SMTPUTF8}
    assert refused_unasked(plain, EIGHT_BIT, Offers(eight_bit=True)) == {}, "the body is no matter"


def test_an_address_of_our_own_that_needs_smtputf8_is_seen_without_being_declared() -> None:
    envelope = envelope_to("archiv@exämple.net", "jürgen@example.net")
    assert refused_unasked(envelope, LETTER, NOTHING) == {2: NEEDS_SMTPUTF8}
    assert b" SMTPUTF8" in mail_command(envelope, LETTER, Priority.NORMAL, ALL)
