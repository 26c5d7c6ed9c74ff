"""What services that take a message apart answer, and what it means, by the providers' documents."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from relay.clock import SystemClock
from relay.delivery.check_service import check_service
from relay.delivery.classify import Scope
from relay.delivery.oauth.tokens import OwnTokens
from relay.mail.address import Address
from relay.mail.reply import Reply
from relay.routing.upstreams import Kind
from tests.delivery.json_letters import PATHS, PLAIN_FROM, letter, send, upstream_of
from tests.kit.web import FakeWeb

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
