"""Services over HTTP, each against a server built from the provider's documented requests and answers."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from relay.db.database import Database
from relay.delivery.classify import Scope, Step
from relay.delivery.classify_http import said
from relay.delivery.transports.services.mailgun import form_of
from relay.delivery.transports.services.sigv4 import Keys, signed_headers
from relay.mail.reply import Reply
from relay.routing.options import Options
from relay.routing.upstreams import Kind, Password
from relay.sealing import Sealer
from tests.delivery.makers import LETTER, upstream_at
from tests.delivery.office import Office, eventually
from tests.delivery.web_services import SEALER, Given, codes, send, service, with_tokens
from tests.kit.web import Asked, FakeWeb

ADDRESSED = b"From: ann@example.com\r\nTo: Bob <bob@example.net>\r\nSubject: Tea\r\n\r\nAt five?\r\n"


# http-raw -------------------------------------------------------------------------------------------


async def test_http_raw_posts_the_message_as_it_is_and_signs_it(web: FakeWeb) -> None:
    web.on("POST /in", 202)
    answers = await send(service(Kind.HTTP_RAW, web, url=f"{web.url}/in"), "bob", "zoë@example.net")
    assert codes(answers) == {1: "250 2.0.0", 2: "250 2.0.0"}
    (asked,) = web.asked
    assert asked.body == LETTER
    assert asked.headers["content-type"] == "message/rfc822"
    assert asked.headers["relay-priority"] == "2"
    envelope = asked.headers["relay-envelope"]
    assert json.loads(envelope) == {"from": "ann@example.com", "to": ["bob@example.net", "zoë@example.net"]}
    signed = f"{asked.headers['relay-timestamp']}\n{envelope}\n".encode() + asked.body
    assert asked.headers["relay-signature"] == "v1=" + hmac.new(b"key", signed, hashlib.sha256).hexdigest()


async def test_http_raw_names_a_message_the_same_at_each_try(web: FakeWeb) -> None:
    web.on("POST", 204)
    upstream = service(Kind.HTTP_RAW, web)
    for to in ("bob", "bob", "cho"):
        await send(upstream, to)
    first, second, other = (asked.headers["relay-delivery"] for asked in web.asked)
    assert first == second != other


async def test_http_raw_may_refuse_some(web: FakeWeb) -> None:
    refused = {
        "bob@example.net": "550 5.1.1 No such user",
        "cho@example.net": "full",
        "x@example.net": "550 no",
    }
    web.on("POST", 200, {"refused": refused})
    answers = await send(service(Kind.HTTP_RAW, web), "ann", "bob", "cho")
    assert codes(answers) == {1: "250 2.0.0", 2: "550 5.1.1", 3: "451 4.0.0"}


async def test_more_recipients_than_fit_go_at_once_behind_the_first(web: FakeWeb) -> None:
    web.on("POST", 200)
    answers = await send(service(Kind.HTTP_RAW, web), *(f"r{number}" for number in range(130)))
    assert sum(reply.is_success for reply in answers.replies.values()) == 100
    assert answers.replies[130] == Reply(452, "5.3", "The service takes only so many recipients at once")


# Microsoft Graph ------------------------------------------------------------------------------------


async def test_graph_is_sent_mime_in_base64(web: FakeWeb) -> None:
    web.on("POST /v1.0/users/ann@example.com/sendMail", 202)
    upstream = with_tokens(Kind.GRAPH, web)
    upstream = upstream_at(
        0,
        host="",
        kind=Kind.GRAPH,
        username="ann@example.com",
        options=Options(url=f"{web.url}/v1.0", oauth=upstream.options.oauth),
    )
    answers = await send(upstream, "bob", "cho", content=ADDRESSED, tokens=Given("t1"))
    assert codes(answers) == {1: "250 2.0.0", 2: "250 2.0.0"}
    (asked,) = web.asked
    assert asked.headers["content-type"] == "text/plain"
    assert asked.headers["authorization"] == "Bearer t1"
    message = message_from_bytes(base64.b64decode(asked.body))
    assert (message["To"], message["Bcc"]) == ("Bob <bob@example.net>", "cho@example.net")
    assert base64.b64decode(asked.body).endswith(ADDRESSED)


async def test_graph_a_message_that_would_go_to_others_is_refused(web: FakeWeb) -> None:
    answers = await send(with_tokens(Kind.GRAPH, web), "cho", content=ADDRESSED, tokens=Given("t1"))
    assert codes(answers) == {1: "554 5.6.3"}
    assert answers.trouble is None
    assert web.asked == []
    odd = ADDRESSED.replace(b"Bob <bob@example.net>", b"bob@example.net <eve@example.net>")
    answers = await send(with_tokens(Kind.GRAPH, web), content=odd, tokens=Given("t1"))
    assert codes(answers) == {1: "554 5.6.3"}


async def test_graph_hidden_recipients_are_in_the_bcc_alone(web: FakeWeb) -> None:
    web.on("POST", 202)
    content = b"From: ann@example.com\r\nTo: undisclosed-recipients:;\r\nBcc: eve@example.net\r\n\r\nHi\r\n"
    await send(with_tokens(Kind.GRAPH, web), "bob", content=content, tokens=Given("t1"))
    message = message_from_bytes(base64.b64decode(web.asked[0].body))
    assert message.get_all("Bcc") == ["bob@example.net"]


async def test_graph_what_names_anybody_goes_in_one_request_or_not_at_all(
    web: FakeWeb,
) -> None:
    web.on("POST", 202)
    many = [f"r{number}" for number in range(600)]
    answers = await send(with_tokens(Kind.GRAPH, web), "bob", *many, content=ADDRESSED, tokens=Given("t1"))
    assert set(codes(answers).values()) == {"554 5.5.3"}
    assert web.asked == []
    hidden = ADDRESSED.replace(b"Bob <bob@example.net>", b"undisclosed-recipients:;")
    answers = await send(with_tokens(Kind.GRAPH, web), *many, content=hidden, tokens=Given("t1"))
    assert list(codes(answers).values()).count("452 4.5.3") == 100
    message = message_from_bytes(base64.b64decode(web.asked[0].body))
    assert str(message["Bcc"]).count("@") == 500


async def test_graph_reports_cannot_be_sent(web: FakeWeb) -> None:
    answers = await send(with_tokens(Kind.GRAPH, web), content=ADDRESSED, tokens=Given("t1"), sender="")
    assert codes(answers) == {1: "550 5.6.3"}


async def test_graph_refusals(web: FakeWeb) -> None:
    upstream = with_tokens(Kind.GRAPH, web)
    web.on("POST", 403, {"error": {"code": "ErrorSendAsDenied", "message": "Not allowed to send as ann."}})
    answers = await send(upstream, content=ADDRESSED, tokens=Given("t1"))
    assert answers.replies[1] == Reply(554, "6.0", "HTTP 403: Not allowed to send as ann.")
    web.on("POST", 403, {"error": {"code": "ErrorAccessDenied", "message": "Access is denied."}})
    answers = await send(upstream, content=ADDRESSED, tokens=Given("t1"))
    assert answers.trouble is not None
    assert (answers.trouble.scope, answers.trouble.reply.is_permanent) == (Scope.UPSTREAM, False)


async def test_a_token_that_is_refused_is_replaced_once(web: FakeWeb) -> None:
    web.on("POST", 202)
    web.on("POST", 401, {"error": {"code": "InvalidAuthenticationToken", "message": "Expired."}}, times=1)
    answers = await send(with_tokens(Kind.GRAPH, web), content=ADDRESSED, tokens=Given("t1", "t2"))
    assert answers.replies[1].is_success
    assert [asked.headers["authorization"] for asked in web.asked] == ["Bearer t1", "Bearer t2"]
    web.on("POST", 401, {"error": {"message": "Expired."}})
    answers = await send(with_tokens(Kind.GRAPH, web), content=ADDRESSED, tokens=Given("t1", "t2", "t3"))
    assert answers.trouble is not None
    assert answers.trouble.scope is Scope.UPSTREAM
    assert len(web.asked) == 4


# Gmail ----------------------------------------------------------------------------------------------


async def test_gmail_is_sent_an_upload(web: FakeWeb) -> None:
    web.on(
        "POST /upload/gmail/v1/users/me/messages/send?uploadType=media", 200, {"id": "18c", "threadId": "18c"}
    )
    answers = await send(with_tokens(Kind.GMAIL, web), content=ADDRESSED, tokens=Given("t1"))
    assert answers.replies[1] == Reply(250, "0.0", "Taken by gmail as 18c")
    assert web.asked[0].body == ADDRESSED
    assert web.asked[0].headers["content-type"] == "message/rfc822"


async def test_gmail_too_fast_is_the_upstreams_trouble(web: FakeWeb) -> None:
    error = {"code": 403, "message": "Too fast", "errors": [{"reason": "userRateLimitExceeded"}]}
    web.on("POST", 403, {"error": error}, headers={"Retry-After": "30"})
    answers = await send(with_tokens(Kind.GMAIL, web), content=ADDRESSED, tokens=Given("t1"))
    assert answers.trouble is not None
    assert answers.trouble.pause == timedelta(seconds=30)
    assert answers.trouble.reply == Reply(451, "4.5", "HTTP 403: Too fast")


# Amazon SES -----------------------------------------------------------------------------------------


async def test_ses_is_sent_the_raw_message_signed(web: FakeWeb) -> None:
    web.on("POST /v2/email/outbound-emails", 200, {"MessageId": "010f"})
    answers = await send(service(Kind.SES, web, region="eu-west-1"), "bob", "cho")
    assert answers.replies[2] == Reply(250, "0.0", "Taken by ses as 010f")
    (asked,) = web.asked
    assert asked.json == {
        "FromEmailAddress": "ann@example.com",
        "Destination": {"ToAddresses": ["bob@example.net", "cho@example.net"]},
        "Content": {"Raw": {"Data": base64.b64encode(LETTER).decode()}},
    }
    assert asked.headers["authorization"] == signed_again(asked, web)["Authorization"]


def signed_again(asked: Asked, web: FakeWeb) -> dict[str, str]:
    moment = datetime.strptime(asked.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return signed_headers(
        asked.method,
        web.url + asked.target,
        {"Content-Type": "application/json"},
        asked.body,
        keys=Keys("AKID", "key"),
        region="eu-west-1",
        service="ses",
        now=moment,
    )


@pytest.mark.parametrize(
    ("status", "kind", "scope"),
    [
        (400, "MessageRejected", None),
        (400, "SendingPausedException:http://x/", Scope.UPSTREAM),
        (400, "LimitExceededException", Scope.UPSTREAM),
        (429, "TooManyRequestsException", Scope.UPSTREAM),
        (403, "SignatureDoesNotMatch", Scope.UPSTREAM),
        (500, "InternalFailure", None),
    ],
)
async def test_ses_errors(web: FakeWeb, status: int, kind: str, scope: Scope | None) -> None:
    web.on("POST", status, {"message": "Words."}, headers={"x-amzn-ErrorType": kind})
    answers = await send(service(Kind.SES, web, region="eu-west-1"))
    assert (answers.trouble and answers.trouble.scope) == scope
    assert answers.replies[1].is_permanent == (kind == "MessageRejected")
    assert "Words." in answers.replies[1].text


@pytest.mark.parametrize("kind", [Kind.GRAPH, Kind.GMAIL, Kind.SES, Kind.MAILGUN])
async def test_a_domain_beyond_ascii_is_named_in_ascii(web: FakeWeb, kind: Kind) -> None:
    web.on("POST", 200)
    is_by_token = kind in {Kind.GRAPH, Kind.GMAIL}
    upstream = (
        with_tokens(kind, web) if is_by_token else service(kind, web, region="eu", domain="example.com")
    )
    to, sender = ("bob", "eve@bücher.example"), "ann@bücher.example"
    await send(upstream, *to, content=ADDRESSED, sender=sender, tokens=Given("t1"))
    body = web.asked[0].body
    body = base64.b64decode(body) if kind is Kind.GRAPH else body
    assert b"eve@xn--bcher-kva.example" in body
    assert body.isascii()


# Mailgun --------------------------------------------------------------------------------------------


async def test_mailgun_is_sent_a_form(web: FakeWeb) -> None:
    web.on("POST /v3/mg.example.com/messages.mime", 200, {"id": "<1@mg>", "message": "Queued. Thank you."})
    answers = await send(service(Kind.MAILGUN, web, domain="mg.example.com"), "bob", "cho")
    assert answers.replies[1] == Reply(250, "0.0", "Taken by mailgun as <1@mg>")
    (asked,) = web.asked
    assert base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")) == b"api:key"
    form = message_from_bytes(f"Content-Type: {asked.headers['content-type']}\r\n\r\n".encode() + asked.body)
    parts = [part for part in form.walk() if part.get("Content-Disposition")]
    named = [(part.get_param("name", header="content-disposition"), part.get_payload()) for part in parts]
    assert named[:2] == [("to", "bob@example.net"), ("to", "cho@example.net")]
    assert named[2][0] == "message"
    assert LETTER in asked.body


async def test_mailgun_says_what_is_wrong(web: FakeWeb) -> None:
    web.on("POST", 400, {"message": "to parameter is not a valid address. please check documentation"})
    answers = await send(service(Kind.MAILGUN, web, domain="mg.example.com"))
    assert answers.replies[1].is_permanent
    web.on("POST", 401, b"Forbidden")
    answers = await send(service(Kind.MAILGUN, web, domain="mg.example.com"))
    assert answers.trouble is not None
    assert answers.trouble.reply == Reply(451, "7.8", "HTTP 401: Forbidden")


@given(st.binary(max_size=300))
def test_a_form_holds_the_message_as_it_is(content: bytes) -> None:
    form, boundary = form_of(["a@b"], content)
    assert form.count(f"--{boundary}".encode()) == 3
    assert form.endswith(content + f"\r\n--{boundary}--\r\n".encode())


# What is common to all ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_heard(web: FakeWeb, status: int) -> None:
    web.on("POST", status, headers={"Retry-After": "120"})
    answers = await send(service(Kind.HTTP_RAW, web))
    assert answers.trouble is not None
    assert (answers.trouble.pause, answers.trouble.step) == (timedelta(seconds=120), Step.MAIL)
    web.on("POST", status, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})
    trouble = (await send(service(Kind.HTTP_RAW, web))).trouble
    assert trouble is not None
    assert trouble.pause == timedelta(0)


async def test_nobody_there(web: FakeWeb) -> None:
    await web.__aexit__(None, None, None)
    answers = await send(service(Kind.HTTP_RAW, web))
    assert answers.trouble is not None
    assert (answers.trouble.scope, answers.is_untried) == (Scope.UPSTREAM, True)
    assert not answers.perhaps_delivered


async def test_an_answer_that_does_not_come_leaves_it_open_whether_it_was_taken(web: FakeWeb) -> None:
    web.on("POST", 0)
    answers = await send(service(Kind.HTTP_RAW, web))
    assert answers.perhaps_delivered
    assert not answers.is_untried
    assert not answers.replies[1].is_permanent


async def test_a_refusal_stands_also_where_its_words_cannot_be_read(web: FakeWeb) -> None:
    web.on("POST", 413, b"no gzip", headers={"Content-Encoding": "gzip"})
    answers = await send(service(Kind.HTTP_RAW, web))
    assert answers.replies[1].is_permanent
    assert not answers.perhaps_delivered
    web.on("POST", 200, b"no gzip", headers={"Content-Encoding": "gzip"})
    assert (await send(service(Kind.HTTP_RAW, web))).perhaps_delivered, "some may be refused in it"


async def test_an_answer_without_end_is_read_to_its_beginning_only(web: FakeWeb) -> None:
    web.on("POST", 400, b"no " * 1_000_000)
    answers = await send(service(Kind.HTTP_RAW, web))
    assert answers.replies[1].is_permanent
    assert len(answers.replies[1].text) <= 2000


@pytest.mark.parametrize("status", [200, 400])
async def test_an_answer_too_deep_to_be_read_says_what_its_status_says(web: FakeWeb, status: int) -> None:
    web.on("POST", status, b'{"refused":' * 50_000)
    answers = await send(service(Kind.HTTP_RAW, web))
    assert answers.replies[1].is_success == (status == 200)
    assert answers.replies[1].is_permanent == (status == 400)


async def test_a_key_that_cannot_be_opened_is_our_trouble(web: FakeWeb) -> None:
    lost = Password(Sealer([Fernet.generate_key()]).seal("key"), SEALER)
    answers = await send(replace(service(Kind.HTTP_RAW, web), password=lost))
    assert answers.trouble is not None
    assert (answers.trouble.scope, answers.trouble.step) == (Scope.UPSTREAM, Step.AUTH)
    assert web.asked == []


@given(st.integers(100, 999).filter(lambda status: not 200 <= status < 300), st.text(max_size=50))
def test_only_a_refusal_of_the_message_is_ever_permanent(status: int, words: str) -> None:
    verdict = said(status, words)
    if isinstance(verdict, Reply):
        assert verdict.is_permanent == (status in {400, 413, 415, 422})
    else:
        assert not verdict.reply.is_permanent


async def test_mail_goes_out_by_a_service_which_is_left_alone_as_long_as_it_asks_for(
    db: Database, web: FakeWeb
) -> None:
    web.on("POST", 200)
    web.on("POST", 429, headers={"Retry-After": "3600"}, times=1)
    async with Office(db, service(Kind.HTTP_RAW, web)).open() as office:
        message = await office.submit("bob")
        await eventually(lambda: not office.worker.accepts("R1"))
        await office.until_state(message, "queued")
        assert await office.attempts(message) == []
        await office.turn(timedelta(minutes=59))
        assert len(web.asked) == 1
        await office.turn(timedelta(minutes=15))
        await office.until_state(message, "done")
        (attempt,) = await office.attempts(message)
        assert attempt.reply == "250 2.0.0 Taken by http-raw"
