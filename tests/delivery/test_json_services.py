"""Services that take a message apart, each against a server built from the provider's documented answers."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from relay.clock import SystemClock
from relay.delivery.check_service import check_service
from relay.delivery.classify import Scope
from relay.delivery.oauth.tokens import OwnTokens
from relay.delivery.transports.base import Answers
from relay.delivery.transports.http import Http
from relay.mail.address import Address
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.routing.options import Options
from relay.routing.upstreams import Kind, Password, Upstream
from relay.sealing import Sealer
from tests.delivery.makers import envelope_to, upstream_at
from tests.kit.web import FakeWeb

SEALER = Sealer([Fernet.generate_key()])
PATHS = {
    Kind.POSTMARK: "/email",
    Kind.SENDGRID: "/v3/mail/send",
    Kind.RESEND: "/emails",
    Kind.BREVO: "/v3/smtp/email",
}
CUP = base64.b64encode(b"cup").decode()
LEAVES = base64.b64encode(b"leaves").decode()
every_kind = pytest.mark.parametrize("kind", PATHS)


def letter(header: str = "", *, html: bool = True, files: str = "") -> bytes:
    """A letter to Bob, with a copy to Cho, as most programs would write it."""
    alternatives = (
        "--a\nContent-Type: text/plain; charset=utf-8\n\nTea für zwei\n"
        + ('--a\nContent-Type: text/html; charset=utf-8\n\n<p>Tea</p><img src="cid:cup@x">\n' if html else "")
        + "--a--\n"
    )
    return (
        'From: "Ann, of Tea" <ann@example.com>\nTo: Bob <bob@example.net>\nCc: cho@example.net\n'
        "Reply-To: desk@example.com\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMessage-ID: <1@example.com>\n"
        "Date: Mon, 2 Mar 2026 12:00:00 +0000\nX-Priority: 1\nMIME-Version: 1.0\n"
        f'{header}Content-Type: multipart/mixed; boundary="m"\n\n'
        f'--m\nContent-Type: multipart/alternative; boundary="a"\n\n{alternatives}\n{files}--m--\n'
    ).replace("\n", "\r\n").encode()  # fmt: skip


FILE = (
    "--m\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n"
    f"Content-Disposition: attachment; filename=tea.pdf\n\n{LEAVES}\n"
)
PICTURE = (
    "--m\nContent-Type: image/png\nContent-Transfer-Encoding: base64\nContent-ID: <cup@x>\n"
    f"Content-Disposition: inline; filename=cup.png\n\n{CUP}\n"
)
PLAIN_FROM = letter(files=FILE).replace(b'"Ann, of Tea"', b"Ann")


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    async with FakeWeb() as web:
        yield web


def upstream_of(kind: Kind, web: FakeWeb) -> Upstream:
    password = Password(SEALER.seal("key"), SEALER)
    return upstream_at(0, host="", kind=kind, password=password, options=Options(url=web.url))


async def send(
    kind: Kind, web: FakeWeb, content: bytes, *to: str, sender: str = "bounces@example.com"
) -> Answers:
    connection = await Http(upstream_of(kind, web), "relay.example", OwnTokens(SystemClock())).connect()
    try:
        envelope = envelope_to(*(to or ("bob", "cho")), sender=sender)
        return await connection.deliver(envelope, content, Priority.NORMAL)
    finally:
        await connection.close()


async def sent(kind: Kind, web: FakeWeb, content: bytes, *to: str) -> Any:
    """The document that was posted for *content*."""
    web.on(f"POST {PATHS[kind]}", 200)
    answers = await send(kind, web, content, *to)
    assert all(reply.is_success for reply in answers.replies.values()), answers
    return web.asked[-1].json


async def refused(kind: Kind, web: FakeWeb, content: bytes, *to: str) -> str:
    """Why *content* was refused to everybody, without asking."""
    answers = await send(kind, web, content, *to)
    assert answers.trouble is None
    assert web.asked == []
    assert len(answers.replies) == len(to or ("bob", "cho"))
    (reply,) = set(answers.replies.values())
    assert reply.is_permanent
    return f"{reply.status} {reply.text}"


# What is asked ---------------------------------------------------------------------------------------


async def test_postmark_is_sent_fields(web: FakeWeb) -> None:
    tagged = letter("X-PM-Tag: teas\n", files=PICTURE + FILE)
    assert await sent(Kind.POSTMARK, web, tagged, "bob", "cho", "eve") == {
        "From": '"Ann, of Tea" <ann@example.com>',
        "To": "Bob <bob@example.net>",
        "Cc": "cho@example.net",
        "Bcc": "eve@example.net",
        "ReplyTo": "desk@example.com",
        "Subject": "Grüße",
        "Tag": "teas",
        "TextBody": "Tea für zwei",
        "HtmlBody": '<p>Tea</p><img src="cid:cup@x">',
        "Headers": [
            {"Name": "X-Priority", "Value": "1"},
            {"Name": "Message-ID", "Value": "<1@example.com>"},
            {"Name": "X-PM-KeepID", "Value": "true"},
        ],
        "Attachments": [
            {"Name": "cup.png", "Content": CUP, "ContentType": "image/png", "ContentID": "cid:cup@x"},
            {"Name": "tea.pdf", "Content": LEAVES, "ContentType": "application/pdf"},
        ],
    }
    assert web.asked[0].headers["x-postmark-server-token"] == "key"


async def test_sendgrid_is_sent_one_personalization(web: FakeWeb) -> None:
    content = letter(files=PICTURE + FILE).replace(b"To: Bob", b'To: "Bob, B."')
    assert await sent(Kind.SENDGRID, web, content, "bob", "cho", "eve") == {
        "personalizations": [
            {
                "to": [{"email": "bob@example.net", "name": '"Bob, B."'}],
                "cc": [{"email": "cho@example.net"}],
                "bcc": [{"email": "eve@example.net"}],
            }
        ],
        "from": {"email": "ann@example.com", "name": "Ann, of Tea"},
        "reply_to_list": [{"email": "desk@example.com"}],
        "subject": "Grüße",
        "content": [
            {"type": "text/plain", "value": "Tea für zwei"},
            {"type": "text/html", "value": '<p>Tea</p><img src="cid:cup@x">'},
        ],
        "attachments": [
            {
                "content": CUP, "type": "image/png", "filename": "cup.png",
                "disposition": "inline", "content_id": "cup@x",
            },
            {
                "content": LEAVES, "type": "application/pdf", "filename": "tea.pdf",
                "disposition": "attachment",
            },
        ],
        "headers": {"X-Priority": "1", "Message-ID": "<1@example.com>"},
    }  # fmt: skip
    assert web.asked[0].headers["authorization"] == "Bearer key"


async def test_resend_is_sent_fields(web: FakeWeb) -> None:
    content = letter(files=PICTURE + FILE).replace(b'"Ann, of Tea"', b"Ann B. Tea")
    content = content.replace(b"Bob <", b'"Bob, B." <')
    assert await sent(Kind.RESEND, web, content, "bob", "cho", "eve") == {
        "from": "Ann B. Tea <ann@example.com>",
        "to": ["=?utf-8?b?Qm9iLCBCLg==?= <bob@example.net>"],
        "cc": ["cho@example.net"],
        "bcc": ["eve@example.net"],
        "reply_to": ["desk@example.com"],
        "subject": "Grüße",
        "text": "Tea für zwei",
        "html": '<p>Tea</p><img src="cid:cup@x">',
        "headers": {"X-Priority": "1"},
        "attachments": [
            {"filename": "cup.png", "content": CUP, "content_type": "image/png", "content_id": "cup@x"},
            {"filename": "tea.pdf", "content": LEAVES, "content_type": "application/pdf"},
        ],
    }
    assert web.asked[0].headers["authorization"] == "Bearer key"


async def test_resend_knows_again_what_is_tried_again_and_makes_no_text_of_html(web: FakeWeb) -> None:
    html = letter().replace(b'multipart/alternative; boundary="a"\r\n\r\n--a', b"text/html\r\n\r\n<p>")
    html = html.replace(b"f\xc3\xbcr", b"for")
    for content in (html, html, html.replace(b"<1@example.com>", b"<2@example.com>")):
        assert (await sent(Kind.RESEND, web, content.replace(b'"Ann, of Tea"', b"Ann")))["text"] == ""
    first, again, other = (asked.headers["idempotency-key"] for asked in web.asked)
    assert first == again != other


async def test_brevo_is_sent_fields(web: FakeWeb) -> None:
    content = (
        letter(files=FILE)
        .replace(b"Bob <", "Zoë, B. <".encode())
        .replace("Zoë, B.".encode(), b'"Zo\xc3\xab, B."')
    )
    assert await sent(Kind.BREVO, web, content, "bob", "cho", "eve") == {
        "sender": {"email": "ann@example.com", "name": "Ann, of Tea"},
        "to": [{"email": "bob@example.net", "name": "=?utf-8?b?Wm/DqywgQi4=?="}],
        "cc": [{"email": "cho@example.net"}],
        "bcc": [{"email": "eve@example.net"}],
        "replyTo": {"email": "desk@example.com"},
        "subject": "Grüße",
        "textContent": "Tea für zwei",
        "htmlContent": '<p>Tea</p><img src="cid:cup@x">',
        "headers": {"X-Priority": "1"},
        "attachment": [{"name": "tea.pdf", "content": LEAVES}],
    }
    assert web.asked[0].headers["api-key"] == "key"


async def test_postmark_needs_nobody_in_to(web: FakeWeb) -> None:
    hidden = letter().replace(b"To: Bob <bob@example.net>\r\nCc: cho@example.net\r\n", b"")
    document = await sent(Kind.POSTMARK, web, hidden)
    assert "To" not in document
    assert document["Bcc"] == "bob@example.net, cho@example.net"
    assert "To names nobody" in await refused(Kind.SENDGRID, FakeWeb(), hidden)


@every_kind
async def test_a_domain_is_told_in_the_form_that_all_know(web: FakeWeb, kind: Kind) -> None:
    content = PLAIN_FROM.replace(b"Cc: cho@example.net", b"Cc: cho@xn--bcher-kva.example")
    document = await sent(kind, web, content, "bob", "cho@bücher.example", "eve@bücher.example")
    assert json.dumps(document).count("@xn--bcher-kva.example") == 2


# What does not fit -----------------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        (b"From:", b"DKIM-Signature: v=1\r\nFrom:", "it is signed (DKIM)"),
        (b"text/plain", b"text/calendar", "text/calendar stands where its text should be"),
        (b"Cc: cho", b"Cc: bob", "5.6.3 To and Cc name somebody twice"),
        (b"X-Priority: 1", b"X-One: \xfc", "the field X-One is not printable ASCII"),
    ],
)  # fmt: skip
async def test_what_does_not_fit_is_refused_to_everybody(
    web: FakeWeb, kind: Kind, was: bytes, now: bytes, why: str
) -> None:
    told = await refused(kind, web, letter().replace(was, now))
    assert told.startswith("5.6.3 ")
    assert why.removeprefix("5.6.3 ") in told
    assert told.endswith("It needs an upstream of another kind")


@every_kind
async def test_nobody_gets_it_who_is_no_recipient(web: FakeWeb, kind: Kind) -> None:
    assert "is not for all of them" in await refused(kind, web, letter(), "bob")


@every_kind
async def test_what_goes_to_many_goes_in_one_request_or_not_at_all(web: FakeWeb, kind: Kind) -> None:
    many = [f"r{number}" for number in range(1100)]
    assert "5.5.3" in await refused(kind, web, letter(), "bob", "cho", *many)


@every_kind
async def test_reports_are_refused(web: FakeWeb, kind: Kind) -> None:
    answers = await send(kind, web, letter(), sender="")
    assert answers.replies[1].status == "5.6.3"
    assert web.asked == []


@every_kind
async def test_an_address_that_is_not_ascii_is_refused_by_itself(web: FakeWeb, kind: Kind) -> None:
    web.on("POST", 200)
    answers = await send(kind, web, PLAIN_FROM, "bob", "cho", "zoë@example.net")
    assert [answers.replies[number].status for number in (1, 2, 3)] == ["2.0.0", "2.0.0", "5.6.7"]


CSV = FILE.replace("application/pdf", "text/csv").replace("tea.pdf", "tea.csv")


@pytest.mark.parametrize(
    ("kind", "content", "why"),
    [
        (Kind.POSTMARK, letter("X-PM-Bounce-Type: x\n"), "the field X-Pm-Bounce-Type is the provider's own"),
        (Kind.SENDGRID, letter("X-SMTPAPI: {}\n"), "the field X-Smtpapi is the provider's own"),
        (Kind.SENDGRID, letter("X-Priority: 2\n"), "the field X-Priority is there twice"),
        (Kind.SENDGRID, letter().replace(b"Subject:", b"X-Subject:"), "it has no Subject"),
        (Kind.SENDGRID, letter(files=CSV.replace(LEAVES, "/////w==")), "a text among its files is not ASCII"),
        (Kind.SENDGRID, letter(files=FILE.replace(LEAVES, "")), "one of its files is empty"),
        (Kind.RESEND, letter(), "the name in From holds a comma or the like"),
        (Kind.RESEND, PLAIN_FROM.replace(b"tea.pdf", b"tea.txt"), "nobody could tell by the name of tea.txt"),
        (Kind.BREVO, letter(html=False), "it has no HTML"),
        (Kind.BREVO, letter(files=PICTURE), "its HTML shows a picture that comes with it"),
        (Kind.BREVO, PLAIN_FROM.replace(b"tea.pdf", b"tea.exe"), "tea.exe has an ending that Brevo"),
        (Kind.BREVO, PLAIN_FROM.replace(b"tea.pdf", b"tea.png"), "nobody could tell by the name of tea.png"),
        (Kind.BREVO, PLAIN_FROM.replace(b"tea.pdf", b'"t\xc3\xa9.pdf"'), "the name of a file is not ASCII"),
        (Kind.BREVO, letter().replace(b"<p>Tea", b"<p>{{tea}}"), "it holds {{ or {%"),
        (Kind.BREVO, letter().replace(b"desk@", b"a@example.com, desk@"), "Reply-To names more than one"),
        (Kind.BREVO, letter().replace(b"desk@example.com", b"\xc3\x84 <d@x.example>"), "Reply-To is not"),
    ],
)  # fmt: skip
async def test_what_only_this_one_cannot_say(web: FakeWeb, kind: Kind, content: bytes, why: str) -> None:
    assert why in await refused(kind, web, content)


# What is answered ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "body", "headers", "name"),
    [
        (Kind.POSTMARK, 200, {"ErrorCode": 0, "Message": "OK", "MessageID": "b7bc"}, {}, "b7bc"),
        (Kind.SENDGRID, 202, b"", {"X-Message-Id": "14c5"}, "14c5"),
        (Kind.RESEND, 200, {"id": "49a3"}, {}, "49a3"),
        (Kind.BREVO, 201, {"messageId": "<2026@relay.brevo>"}, {}, "<2026@relay.brevo>"),
    ],
)
async def test_taken(
    web: FakeWeb, kind: Kind, status: int, body: Any, headers: dict[str, str], name: str
) -> None:
    web.on(f"POST {PATHS[kind]}", status, body, headers=headers)
    answers = await send(kind, web, PLAIN_FROM)
    assert answers.replies[2] == Reply(250, "0.0", f"Taken by {kind} as {name}")


async def test_postmark_leaves_out_who_is_inactive(web: FakeWeb) -> None:
    words = (
        "Message OK, but will not deliver to these inactive addresses: bob@example.net. "
        "Inactive recipients are ones that have generated a hard bounce or a spam complaint."
    )
    web.on("POST", 200, {"ErrorCode": 0, "Message": words, "MessageID": "b7bc"})
    answers = await send(Kind.POSTMARK, web, letter())
    assert (answers.replies[1].status, answers.replies[2].status) == ("5.2.1", "2.0.0")
    web.on("POST", 422, {"ErrorCode": 406, "Message": "You tried to send to inactive recipients."})
    answers = await send(Kind.POSTMARK, web, letter())
    assert {reply.status for reply in answers.replies.values()} == {"5.2.1"}
    assert "(ErrorCode 406)" in answers.replies[1].text


NO_SENDER = {"errors": [{"message": "The from address is not verified", "field": "from", "help": None}]}


@pytest.mark.parametrize(
    ("kind", "status", "body", "verdict"),
    [
        (Kind.POSTMARK, 422, {"ErrorCode": 300, "Message": "Invalid 'To' address."}, "554 5.6.0"),
        (Kind.POSTMARK, 200, {"ErrorCode": 300, "Message": "Invalid 'To' address."}, "554 5.6.0"),
        (Kind.POSTMARK, 422, {"ErrorCode": 400, "Message": "No such sender signature."}, "554 5.6.0"),
        (Kind.POSTMARK, 413, {"ErrorCode": 0, "Message": "Too large."}, "552 5.3.4"),
        (Kind.POSTMARK, 401, {"ErrorCode": 10, "Message": "No valid token."}, "upstream 4.7.8"),
        (Kind.POSTMARK, 422, {"ErrorCode": 405, "Message": "You ran out of credits."}, "upstream 4.4.5"),
        (Kind.POSTMARK, 422, {"ErrorCode": 412, "Message": "Account is pending."}, "upstream 4.7.0"),
        (Kind.POSTMARK, 403, b"<html>Forbidden</html>", "upstream 4.7.0"),
        (Kind.POSTMARK, 500, {"ErrorCode": 0, "Message": "Internal."}, "451 4.3.0"),
        (Kind.SENDGRID, 400, {"errors": [{"message": "Bad.", "field": "content"}]}, "554 5.6.0"),
        (Kind.SENDGRID, 403, NO_SENDER, "554 5.6.0"),
        (Kind.SENDGRID, 403, {"errors": [{"message": "access forbidden"}]}, "upstream 4.7.0"),
        (Kind.SENDGRID, 401, {"errors": [{"message": "Maximum credits exceeded"}]}, "upstream 4.4.5"),
        (Kind.SENDGRID, 401, {"errors": [{"message": "The provided authorization"}]}, "upstream 4.7.8"),
        (Kind.SENDGRID, 451, {"errors": [{"message": "Elsewhere"}]}, "upstream 4.3.5"),
        (Kind.RESEND, 422, {"name": "invalid_attachment", "message": "No content."}, "554 5.6.0"),
        (Kind.RESEND, 403, {"name": "validation_error", "message": "Not verified."}, "554 5.6.0"),
        (Kind.RESEND, 451, {"name": "security_error", "message": "Bad letters."}, "554 5.6.0"),
        (Kind.RESEND, 401, {"name": "validation_error", "message": "API key is invalid"}, "upstream 4.7.8"),
        (Kind.RESEND, 403, {"name": "suspended_api_key", "message": "Suspended"}, "upstream 4.7.0"),
        (Kind.RESEND, 401, {"name": "restricted_api_key", "message": "Only send"}, "upstream 4.7.8"),
        (Kind.RESEND, 429, {"name": "daily_quota_exceeded", "message": "Tomorrow."}, "upstream 4.4.5"),
        (Kind.RESEND, 409, {"name": "concurrent_idempotent_requests", "message": "Now."}, "451 4.3.0"),
        (Kind.BREVO, 400, {"code": "invalid_parameter", "message": "sender not valid"}, "554 5.6.0"),
        (Kind.BREVO, 401, {"code": "unauthorized", "message": "Key not found"}, "upstream 4.7.8"),
        (Kind.BREVO, 402, {"code": "not_enough_credits", "message": "No credits"}, "upstream 4.4.5"),
        (Kind.BREVO, 403, {"code": "account_under_validation", "message": "Wait"}, "upstream 4.7.0"),
        (Kind.BREVO, 503, b"", "upstream 4.3.2"),
    ],
)
async def test_refusals(web: FakeWeb, kind: Kind, status: int, body: Any, verdict: str) -> None:
    web.on("POST", status, body)
    answers = await send(kind, web, PLAIN_FROM)
    (reply,) = set(answers.replies.values())
    if verdict.startswith("upstream"):
        assert answers.trouble is not None
        assert answers.trouble.scope is Scope.UPSTREAM
        assert f"upstream {reply.status}" == verdict
    else:
        assert answers.trouble is None
        assert f"{reply.code} {reply.status}" == verdict
    assert f"HTTP {status}" in reply.text


@pytest.mark.parametrize(
    ("kind", "headers", "pause"),
    [
        (Kind.POSTMARK, {}, None),
        (Kind.SENDGRID, {"X-RateLimit-Reset": "1"}, timedelta(0)),
        (Kind.SENDGRID, {"Retry-After": "7", "X-RateLimit-Reset": "1"}, timedelta(seconds=7)),
        (Kind.RESEND, {"retry-after": "1"}, timedelta(seconds=1)),
        (Kind.BREVO, {"x-sib-ratelimit-reset": "30"}, timedelta(seconds=30)),
    ],
)
async def test_who_asks_too_often_waits_as_long_as_he_is_told(
    web: FakeWeb, kind: Kind, headers: dict[str, str], pause: timedelta | None
) -> None:
    web.on("POST", 429, headers=headers)
    trouble = (await send(kind, web, PLAIN_FROM)).trouble
    assert trouble is not None
    assert trouble.pause == pause


# The test --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path", "status", "body", "is_good"),
    [
        (Kind.POSTMARK, "/server", 200, {"ID": 1}, True),
        (Kind.POSTMARK, "/server", 401, {"ErrorCode": 10, "Message": "No valid token."}, False),
        (Kind.SENDGRID, "/v3/scopes", 200, {"scopes": ["mail.send"]}, True),
        (Kind.RESEND, "/domains", 200, {"data": []}, True),
        (Kind.RESEND, "/domains", 401, {"name": "restricted_api_key", "message": "Only send"}, True),
        (Kind.RESEND, "/domains", 400, {"name": "validation_error", "message": "API key is invalid"}, False),
        (Kind.BREVO, "/v3/account", 200, {"email": "x"}, True),
        (Kind.BREVO, "/v3/account", 401, {"code": "unauthorized", "message": "Key not found"}, False),
    ],
)
async def test_a_test_asks_what_changes_nothing(
    web: FakeWeb, kind: Kind, path: str, status: int, body: Any, is_good: bool
) -> None:
    web.on(f"GET {path}", status, body)
    upstream = replace(upstream_of(kind, web), sender_address=Address.parse("ann@example.com"))
    report = await check_service(
        upstream, hostname="relay.example", whom=None, letter=None, tokens=OwnTokens(SystemClock())
    )
    assert report.findings[-1].is_good == is_good
    assert [asked.method for asked in web.asked] == ["GET"]
