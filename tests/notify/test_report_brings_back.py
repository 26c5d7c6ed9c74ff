"""What of the message a report brings back, and what becomes of letters beyond ASCII (RFC 6533)."""

import quopri

import pytest

from relay.mail.envelope import Body
from relay.mail.reply import Reply
from relay.notify.report import MAX_RETURNED_OCTETS, Fate
from tests.kit.makers import CONTENT
from tests.notify.reports import REMOTE, bounced, claimed, parts_of


class TestWhatComesBack:
    def test_is_the_header_alone(self) -> None:
        _, text, _, returned = parts_of(bounced())
        assert returned.get_content_type() == "text/rfc822-headers"
        assert returned.get_payload(decode=True) == CONTENT.partition(b"\r\n\r\n")[0] + b"\r\n"
        assert "followed by the header of your message" in text

    def test_is_the_whole_message_if_asked_for(self) -> None:
        _, text, _, returned = parts_of(bounced(of=claimed(ret="full")))
        assert returned.get_content_type() == "message/rfc822"
        assert returned.get_payload()[0].as_bytes() == CONTENT.replace(b"\r\n", b"\n")  # type: ignore[index,union-attr]
        assert "followed by a copy of your message" in text

    @pytest.mark.parametrize("ret", [None, "HDRS", "hdrs"])
    def test_is_the_header_where_it_was_not_asked_for(self, ret: str | None) -> None:
        _, _, _, returned = parts_of(bounced(of=claimed(ret=ret)))
        assert returned.get_content_type() == "text/rfc822-headers"

    @pytest.mark.parametrize(
        "body", [b"Tsch\xc3\xbc\xc3\x9f\r\n", b"Tsch\xfc\xdf\r\n", b"x" * 1000 + b"\r\n", b"a\0b \r\n=3D"]
    )
    def test_is_encoded_where_the_whole_is_not_plain(self, body: bytes) -> None:
        of, content = claimed(ret="FULL"), CONTENT + body
        bounce = bounced(of=of, content=content)
        assert bounce is not None
        assert bounce.content.isascii()
        assert max(map(len, bounce.content.split(b"\r\n"))) <= 998
        _, encoded = bounce.content.split(b"Content-Type: message/global\r\n")
        head, _, rest = encoded.partition(b"\r\n\r\n")
        assert b"Content-Transfer-Encoding: quoted-printable" in head
        returned = quopri.decodestring(rest[: rest.rindex(b"\r\n--=_report_")])
        assert returned == content

    def test_is_the_header_where_the_whole_is_too_large(self) -> None:
        of, content = claimed(ret="FULL"), CONTENT + b"x" * MAX_RETURNED_OCTETS
        bounce = bounced(of=of, content=content)
        _, _, _, returned = parts_of(bounce)
        assert returned.get_content_type() == "text/rfc822-headers"
        assert bounce is not None
        assert bounce.content.isascii()

    @pytest.mark.parametrize(
        "refusal", [Reply(552, "3.4", "Too big"), Reply(552, "", "Message size exceeds fixed limit")]
    )
    def test_is_the_header_where_the_whole_was_too_large_for_the_server(self, refusal: Reply) -> None:
        of = claimed(ret="FULL")
        _, text, _, returned = parts_of(bounced(Fate(of.envelope.recipients[0], refusal, REMOTE), of=of))
        assert returned.get_content_type() == "text/rfc822-headers"
        assert "followed by the header of your message" in text

    def test_is_the_whole_message_where_a_mailbox_was_full(self) -> None:
        of, full = claimed(ret="FULL"), Reply(552, "2.2", "Mailbox full")
        _, _, _, returned = parts_of(bounced(Fate(of.envelope.recipients[0], full, REMOTE), of=of))
        assert returned.get_content_type() == "message/rfc822"

    def test_is_nothing_of_the_body_where_there_is_no_header(self) -> None:
        _, _, _, returned = parts_of(bounced(content=b"\r\nsecret\r\n"))
        assert "secret" not in str(returned)

    def test_is_cut_between_two_lines_where_the_header_is_very_long(self) -> None:
        header = b"X-Long: x\r\n" * 20_000
        _, _, _, returned = parts_of(bounced(content=header + b"\r\nbody"))
        octets = returned.get_payload(decode=True)
        assert isinstance(octets, bytes)
        assert len(octets) < 65_600
        assert octets.endswith(b"\r\n")
        assert octets == b"X-Long: x\r\n" * (len(octets) // 11)

    def test_is_encoded_where_the_header_is_not_ascii(self) -> None:
        header = "Subject: Tschüß\r\n".encode()
        bounce = bounced(content=header + b"\r\nbody")
        whole, _, _, returned = parts_of(bounce)
        assert returned.get_content_type() == "message/global-headers"
        assert bounce is not None
        assert bounce.content.isascii()
        assert whole.get_content_type() == "multipart/report"


class TestBeyondAscii:
    def test_a_recipient_is_reported_in_its_own_letters(self) -> None:
        bounce = bounced(of=claimed(recipients=["jürgen@münchen.example"], smtputf8=True))
        assert bounce is not None
        assert bounce.content.isascii()  # the sender may not be reachable with SMTPUTF8
        assert not bounce.envelope.smtputf8
        assert b"Content-Type: message/global-delivery-status\r\n" in bounce.content
        assert b"Content-Type: multipart/report; report-type=global-delivery-status;" in bounce.content
        assert b"utf-8; j=C3=BCrgen@m=C3=BCnchen.example" in bounce.content

    def test_a_sender_needs_smtputf8_to_be_told(self) -> None:
        bounce = bounced(of=claimed(sender="jürgen@münchen.example", smtputf8=True))
        assert bounce is not None
        assert bounce.envelope.smtputf8
        assert bounce.envelope.body is Body.EIGHT_BIT
        assert "To: <jürgen@münchen.example>\r\n".encode() in bounce.content
