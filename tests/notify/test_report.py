"""The report of what failed for good."""

import email
import quopri
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import Address
from relay.mail.envelope import Body, Envelope, Recipient
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.notify import templates
from relay.notify.report import MAX_RETURNED_OCTETS, Action, Fate, compose_report
from relay.queue.items import Acceptance, Claimed, DeliveryKey, Lease, Origin
from relay.settings import Settings
from tests.kit.clock import NOON
from tests.kit.makers import CONTENT, make_envelope, new_id

NO_SUCH_USER = Reply(550, "1.1", "No such user here")
REMOTE = "mx.example.net [192.0.2.25]:25"


def claimed(**facts: Any) -> Claimed:
    envelope = facts.pop("envelope", None) or make_envelope(**facts)
    accepted = NOON - timedelta(hours=3)
    return Claimed(
        key=DeliveryKey("01MESSAGE", 1),
        number=1,
        route_id="default",
        priority=Priority.NORMAL,
        rank_at=accepted,
        accepted_at=accepted,
        expires_at=accepted + timedelta(days=4),
        lease=Lease("node/0", NOON),
        origin=Origin.SUBMISSION,
        user_id="01USER",
        octets=len(CONTENT),
        envelope=envelope,
    )


def bounced(
    *fates: Fate, action: Action = Action.FAILED, of: Claimed | None = None, content: bytes = CONTENT
) -> Acceptance | None:
    def route_of(envelope: Envelope, user_id: str | None) -> Mapping[str, tuple[int, ...]]:
        assert user_id == "01USER"
        return {"way-back": tuple(recipient.number for recipient in envelope.recipients)}

    of = of or claimed()
    return compose_report(
        of,
        fates or [Fate(of.envelope.recipients[0], NO_SUCH_USER, REMOTE)],
        action=action,
        content=content,
        hostname="mx.example.com",
        now=NOON,
        new_id=new_id,
        settings=Settings(),
        route_of=route_of,
    )


def parts_of(bounce: Acceptance | None) -> tuple[EmailMessage, str, list[EmailMessage], EmailMessage]:
    """The report: the whole of it, its text, its groups of fields, what came back."""
    assert bounce is not None
    whole = email.message_from_bytes(bounce.content, policy=default)
    assert isinstance(whole, EmailMessage)
    assert not whole.defects
    text, status, returned = whole.iter_parts()
    assert isinstance(returned, EmailMessage)
    groups = status.get_payload()
    return whole, text.get_content(), list(groups), returned


def test_it_goes_to_the_sender_from_nobody() -> None:
    bounce = bounced()
    assert bounce is not None
    assert bounce.envelope.sender is Address.NULL
    assert [str(recipient.address) for recipient in bounce.envelope.recipients] == ["ann@example.com"]
    assert bounce.envelope.recipients[0].notify == "NEVER"
    assert bounce.origin is Origin.BOUNCE
    assert bounce.expires_at == NOON + timedelta(days=4)
    assert [(part.route_id, part.recipients, part.due_at) for part in bounce.parts] == [
        ("way-back", (1,), NOON)
    ]
    assert bounce.subject == "Not delivered: your message to bob@example.net"
    assert (bounce.envelope.body, bounce.envelope.smtputf8) == (Body.SEVEN_BIT, False)


def test_it_is_a_report_that_no_machine_answers() -> None:
    whole, _, _, _ = parts_of(bounced())
    assert whole.get_content_type() == "multipart/report"
    assert whole.get_param("report-type") == "delivery-status"
    assert whole["Auto-Submitted"] == "auto-replied"
    assert whole["From"].addresses[0].addr_spec == "postmaster@mx.example.com"
    assert whole["To"] == "ann@example.com" or whole["To"] == "<ann@example.com>"
    assert [part.get_content_type() for part in whole.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]


def test_a_message_that_was_held_as_its_sender_asked_is_said_to_be_one() -> None:
    held = make_envelope(hold_until=NOON - timedelta(hours=1))
    _, _, (message, _), _ = parts_of(bounced(of=claimed(envelope=held)))
    assert message["Future-Release-Request"] == "until;2026-03-02T11:00:00Z"


def test_its_fields_say_what_became_of_the_recipient() -> None:
    envelope = Envelope(
        Address.parse("ann@example.com"),
        (Recipient(1, Address.parse("bob@example.net"), orcpt="rfc822;Bob+2Bx@example.org"),),
        envid="QQ+2B1",
    )
    _, _, (message, recipient), _ = parts_of(bounced(of=claimed(envelope=envelope)))
    assert dict(message.items()) == {
        "Original-Envelope-Id": "QQ+1",
        "Reporting-MTA": "dns; mx.example.com",
        "Arrival-Date": "Mon, 02 Mar 2026 09:00:00 +0000",
    }
    assert dict(recipient.items()) == {
        "Original-Recipient": "rfc822; Bob+x@example.org",
        "Final-Recipient": "rfc822; bob@example.net",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": f"dns; {REMOTE}",
        "Diagnostic-Code": "smtp; 550 5.1.1 No such user here",
        "Last-Attempt-Date": "Mon, 02 Mar 2026 12:00:00 +0000",
    }


def test_recipients_share_one_report() -> None:
    of = claimed(recipients=["bob@example.net", "carol@example.org"])
    bob, carol = of.envelope.recipients
    bounce = bounced(Fate(bob, NO_SUCH_USER, REMOTE), Fate(carol, Reply(552, "2.2", "Full"), REMOTE), of=of)
    _, text, groups, _ = parts_of(bounce)
    assert [group["Final-Recipient"] for group in groups[1:]] == [
        "rfc822; bob@example.net",
        "rfc822; carol@example.org",
    ]
    assert "these 2 addresses" in text
    assert bounce is not None
    assert bounce.subject == "Not delivered: your message to bob@example.net and 1 more"


def test_what_we_said_ourselves_is_not_put_into_a_servers_mouth() -> None:
    of = claimed()
    ours = Fate(of.envelope.recipients[0], Reply(554, "4.6", "It goes in circles"))
    _, text, groups, _ = parts_of(bounced(ours, of=of))
    assert groups[1]["Diagnostic-Code"] == "x-relay; 554 5.4.6 It goes in circles"
    assert groups[1]["Remote-MTA"] is None
    assert "What we noted: 554 5.4.6" in text


def test_a_message_whose_time_is_over_says_so_and_what_was_said_last() -> None:
    of = claimed()
    expired = Fate(of.envelope.recipients[0], Reply(451, "3.0", "Not now"), REMOTE, is_expired=True)
    _, text, groups, _ = parts_of(bounced(expired, of=of))
    assert groups[1]["Status"] == "4.4.7"
    assert groups[1]["Diagnostic-Code"] == "smtp; 451 4.3.0 Not now"
    assert "until the time for this message was over" in text
    assert f"The last answer, of {REMOTE}: 451 4.3.0 Not now" in text


def test_a_message_that_was_never_sent_is_not_said_to_have_been_tried() -> None:
    of = claimed()
    never = Fate(of.envelope.recipients[0], Reply(451, "4.7", "Down"), is_expired=True, is_untried=True)
    _, text, groups, _ = parts_of(bounced(never, of=of))
    assert "could not be sent to any server until its time was over" in text
    assert "we tried" not in text
    assert groups[1]["Last-Attempt-Date"] is None


def test_a_message_that_an_operator_gave_up_is_not_blamed_on_a_server() -> None:
    of = claimed()
    ours = Fate(of.envelope.recipients[0], Reply(554, "0.0", "Called off"), by_operator=True)
    _, text, _, _ = parts_of(bounced(ours, of=of))
    assert "whoever runs this mail server took the message out of the queue" in text
    assert "The reason given: 554 5.0.0 Called off" in text
    assert "recipient" not in text


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("mx.example.net", "mx.example.net"),
        ("192.0.2.25", "[192.0.2.25]"),
        ("2001:db8::25", "[IPv6:2001:db8::25]"),
    ],
)
def test_a_server_known_only_by_its_address_is_named_by_an_address_literal(remote: str, told: str) -> None:
    of = claimed()
    _, _, groups, _ = parts_of(bounced(Fate(of.envelope.recipients[0], NO_SUCH_USER, remote), of=of))
    assert groups[1]["Remote-MTA"] == f"dns; {told}"


def test_the_text_says_what_happened_why_and_what_to_do() -> None:
    _, text, _, _ = parts_of(bounced())
    assert text.replace("\r\n", "\n").strip() == (
        "This is the mail server mx.example.com.\n\n"
        "Your message could not be delivered to this address. We will not try again.\n\n"
        "Sent: Mon, 02 Mar 2026 09:00:00 +0000\n"
        "Its number here: 01MESSAGE\n\n"
        "bob@example.net\n"
        "    What happened: there is no such mailbox at the recipient's server.\n"
        f"    The server {REMOTE} said: 550 5.1.1 No such user here\n"
        "    What to do: Check the spelling before the @, or ask the recipient for the right address.\n\n"
        "The report below is for mail programs. It is followed by the header of your message."
    )


class TestNobodyIsTold:
    def test_about_a_message_from_nobody(self) -> None:
        assert bounced(of=claimed(sender="")) is None

    @pytest.mark.parametrize("notify", ["NEVER", "never", "SUCCESS", "DELAY", "SUCCESS,DELAY"])
    def test_about_a_recipient_whose_failure_was_not_asked_for(self, notify: str) -> None:
        assert bounced(of=claimed(envelope=with_notify(notify))) is None

    def test_about_no_failure(self) -> None:
        of = claimed()
        told = compose_report(
            of, [], action=Action.FAILED, content=CONTENT, hostname="x", now=NOON, new_id=new_id,
            settings=Settings(), route_of=lambda _envelope, _user: {},
        )  # fmt: skip
        assert told is None

    def test_of_the_others_only_those_who_asked(self) -> None:
        of = claimed(recipients=["bob@example.net", "carol@example.org"])
        bob, carol = of.envelope.recipients
        silent = Fate(replace(bob, notify="NEVER"), NO_SUCH_USER)
        _, _, groups, _ = parts_of(bounced(silent, Fate(carol, NO_SUCH_USER), of=of))
        assert [group["Final-Recipient"] for group in groups[1:]] == ["rfc822; carol@example.org"]


class TestOtherNews:
    """What is not a failure: told only to those who asked, and never with the whole message."""

    @pytest.mark.parametrize(
        ("action", "asked", "subject", "status"),
        [
            (Action.RELAYED, "SUCCESS", "Passed on: your message to bob@example.net", "2.0.0"),
            (Action.DELAYED, "failure,delay", "Delayed: your message to bob@example.net", "4.3.0"),
        ],
    )
    def test_is_told_as_what_it_is(self, action: Action, asked: str, subject: str, status: str) -> None:
        of = claimed(envelope=replace(with_notify(asked), ret="FULL"))
        said = Reply(250, "0.0", "Ok") if action is Action.RELAYED else Reply(451, "3.0", "Later")
        report = bounced(Fate(of.envelope.recipients[0], said, REMOTE), action=action, of=of)
        whole, text, groups, returned = parts_of(report)
        assert whole["Subject"] == subject
        assert (groups[1]["Action"], groups[1]["Status"]) == (action.value, status)
        assert ("Will-Retry-Until" in groups[1]) == (action is Action.DELAYED)
        assert str(said) in text
        assert returned.get_content_type() == "text/rfc822-headers"
        assert report is not None
        assert report.envelope.sender is Address.NULL

    @pytest.mark.parametrize("notify", [None, "NEVER", "FAILURE"])
    @pytest.mark.parametrize("action", [Action.RELAYED, Action.DELAYED])
    def test_is_not_told_unasked(self, action: Action, notify: str | None) -> None:
        assert bounced(of=claimed(envelope=with_notify(notify)), action=action) is None

    @pytest.mark.parametrize(("notify", "is_told"), [(None, True), ("FAILURE", True), ("NEVER", False)])
    def test_of_a_time_that_the_sender_set_is_owed_to_all_but_the_silent(
        self, notify: str | None, is_told: bool
    ) -> None:
        of = claimed(envelope=replace(with_notify(notify), by_mode="N", deliver_by=NOON))
        late = Fate(of.envelope.recipients[0], Reply(451, "3.0", "Later"), REMOTE, is_due=True)
        report = bounced(late, action=Action.DELAYED, of=of)
        assert (report is not None) == is_told
        if report is not None:
            assert b"Deliver-By-Date: Mon, 02 Mar 2026 12:00:00 +0000\r\n" in report.content


def test_a_message_that_was_to_be_returned_by_now_failed_for_good() -> None:
    of = claimed(envelope=replace(with_notify(None), by_mode="R", deliver_by=NOON))
    expired = Fate(of.envelope.recipients[0], Reply(451, "3.0", "Not now"), is_expired=True)
    _, _, groups, _ = parts_of(bounced(expired, of=of))
    assert groups[1]["Status"] == "5.4.7"


def test_nothing_comes_back_of_a_message_that_must_not_go_unencrypted() -> None:
    report = bounced(of=claimed(envelope=replace(with_notify(None), require_tls=True, ret="FULL")))
    assert report is not None
    assert b"Subject: Tea" not in report.content
    assert b"followed by nothing of your message" in report.content


def with_notify(notify: str | None) -> Envelope:
    return Envelope(
        Address.parse("ann@example.com"), (Recipient(1, Address.parse("bob@example.net"), notify),)
    )


@pytest.mark.parametrize("notify", [None, "FAILURE", "failure", "SUCCESS,FAILURE", "FAILURE,DELAY"])
def test_failure_is_told_unless_the_client_chose_otherwise(notify: str | None) -> None:
    assert bounced(of=claimed(envelope=with_notify(notify))) is not None


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
        assert b"message/global-delivery-status" in bounce.content
        assert b"utf-8; j=C3=BCrgen@m=C3=BCnchen.example" in bounce.content

    def test_a_sender_needs_smtputf8_to_be_told(self) -> None:
        bounce = bounced(of=claimed(sender="jürgen@münchen.example", smtputf8=True))
        assert bounce is not None
        assert bounce.envelope.smtputf8
        assert bounce.envelope.body is Body.EIGHT_BIT
        assert "To: <jürgen@münchen.example>\r\n".encode() in bounce.content


@given(st.text(max_size=3000), st.text(max_size=80), st.integers(500, 599))
def test_nothing_a_server_says_can_forge_a_field_or_a_part(said: str, remote: str, code: int) -> None:
    of = claimed()
    failure = Fate(of.envelope.recipients[0], Reply.parse(code, said.split("\n")), remote or None)
    bounce = bounced(failure, of=of)
    whole, _, groups, _ = parts_of(bounce)
    assert len(list(whole.iter_parts())) == 3
    assert len(groups) == 2
    assert len(groups[1].keys()) == 6 if remote else 5
    assert bounce is not None
    assert max(map(len, bounce.content.split(b"\r\n"))) <= 998
    assert bounce.content.isascii()


@pytest.mark.parametrize(
    "enhanced", ["", "1.1", "2.2", "2.9", "4.9", "9.9", "7.1", "6.7", "0.0", *templates.WHY]
)
def test_every_reply_has_a_meaning_and_advice(enhanced: str) -> None:
    why, advice = templates.meaning(Reply(550, enhanced, "x"))
    assert why.endswith(".")
    assert why[0].islower()
    assert advice.endswith(".")
    assert advice[0].isupper()
