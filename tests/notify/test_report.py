"""The report of what failed for good."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import Address
from relay.mail.envelope import Body, Envelope, Recipient
from relay.mail.reply import Reply
from relay.notify import templates
from relay.notify.report import Action, Fate, compose_report
from relay.queue.items import Origin
from relay.settings import Settings
from tests.kit.clock import NOON
from tests.kit.makers import CONTENT, make_envelope, new_id
from tests.notify.reports import NO_SUCH_USER, REMOTE, bounced, claimed, parts_of


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


def test_a_sender_whose_domain_alone_is_beyond_ascii_is_reached_over_any_upstream() -> None:
    bounce = bounced(of=claimed(envelope=make_envelope("ann@bücher.example", smtputf8=True)))
    assert bounce is not None
    assert str(bounce.envelope.recipients[0].address) == "ann@bücher.example"
    assert (bounce.envelope.body, bounce.envelope.smtputf8) == (Body.SEVEN_BIT, False)
    assert b"To: <ann@xn--bcher-kva.example>\r\n" in bounce.content


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


def test_what_the_sender_called_the_message_and_the_recipient_comes_back_as_it_was() -> None:
    envelope = Envelope(
        Address.parse("ann@example.com"),
        (Recipient(1, Address.parse("bob@example.net"), orcpt=r"rfc822;b\x{FC}@example.org"),),
        envid=r"a\x{FC}b",
    )
    _, _, (message, recipient), _ = parts_of(bounced(of=claimed(envelope=envelope)))
    assert message["Original-Envelope-Id"] == r"a\x{FC}b"
    assert recipient["Original-Recipient"] == r"rfc822; b\x{FC}@example.org"


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
        silent = Fate(bob._replace(notify="NEVER"), NO_SUCH_USER)
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
        of = claimed(envelope=with_notify(asked)._replace(ret="FULL"))
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
        of = claimed(envelope=with_notify(notify)._replace(by_mode="N", deliver_by=NOON))
        late = Fate(of.envelope.recipients[0], Reply(451, "3.0", "Later"), REMOTE, is_due=True)
        report = bounced(late, action=Action.DELAYED, of=of)
        assert (report is not None) == is_told
        if report is not None:
            assert b"Deliver-By-Date: Mon, 02 Mar 2026 12:00:00 +0000\r\n" in report.content


def test_a_message_that_was_to_be_returned_by_now_failed_for_good() -> None:
    of = claimed(envelope=with_notify(None)._replace(by_mode="R", deliver_by=NOON))
    expired = Fate(of.envelope.recipients[0], Reply(451, "3.0", "Not now"), is_expired=True)
    _, _, groups, _ = parts_of(bounced(expired, of=of))
    assert groups[1]["Status"] == "5.4.7"


def test_nothing_comes_back_of_a_message_that_must_not_go_unencrypted() -> None:
    report = bounced(of=claimed(envelope=with_notify(None)._replace(require_tls=True, ret="FULL")))
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
