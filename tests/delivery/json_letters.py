"""Letters for services that take a message apart, and how to send them to such a service."""

import base64
from typing import Any

import pytest
from cryptography.fernet import Fernet

from relay.clock import SystemClock
from relay.delivery.oauth.tokens import OwnTokens
from relay.delivery.transports.base import Answers
from relay.delivery.transports.http import Http
from relay.mail.priority import Priority
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
    assert answers.unfit == set(answers.replies), "another upstream may take it"
    (reply,) = set(answers.replies.values())
    assert reply.is_permanent
    return f"{reply.status} {reply.text}"
