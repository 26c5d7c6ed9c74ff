"""Services that take a message apart, each against a server built from the provider's documented answers."""

import json

import pytest

from relay.routing.upstreams import Kind
from tests.delivery.json_letters import (
    CUP,
    FILE,
    LEAVES,
    PICTURE,
    PLAIN_FROM,
    every_kind,
    letter,
    refused,
    send,
    sent,
)
from tests.kit.web import FakeWeb

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
