"""Services over HTTP as upstreams, and how to send a letter to one."""

from typing import Any

from cryptography.fernet import Fernet

from relay.clock import SystemClock
from relay.delivery.oauth.tokens import OwnTokens
from relay.delivery.transports.base import Answers
from relay.delivery.transports.http import Http
from relay.mail.priority import Priority
from relay.routing.options import Grant, OAuth, Options
from relay.routing.upstreams import Kind, Password, Upstream
from relay.sealing import Sealer
from tests.delivery.makers import LETTER, envelope_to, upstream_at
from tests.kit.web import FakeWeb

SEALER = Sealer([Fernet.generate_key()])


class Given:
    """A token source with a row of tokens, the next one given when one is refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    async def get(self, upstream: Upstream, *, refused: str | None = None) -> str:
        if refused is not None:
            assert self.tokens.pop(0) == refused
        return self.tokens[0]


def service(kind: Kind, web: FakeWeb, **options: Any) -> Upstream:
    facts: dict[str, Any] = {"host": "", "username": "AKID", "password": Password(SEALER.seal("key"), SEALER)}
    return upstream_at(0, kind=kind, options=Options(**({"url": web.url} | options)), **facts)


def with_tokens(kind: Kind, web: FakeWeb) -> Upstream:
    return service(kind, web, oauth=OAuth(Grant.CLIENT_CREDENTIALS, f"{web.url}/token", "app"))


async def send(
    upstream: Upstream, *to: str, content: bytes = LETTER, tokens: Any = None, sender: str = "ann@example.com"
) -> Answers:
    connection = await Http(upstream, "relay.example", tokens or OwnTokens(SystemClock())).connect()
    try:
        return await connection.deliver(envelope_to(*(to or ("bob",)), sender=sender), content, Priority.HIGH)
    finally:
        await connection.close()


def codes(answers: Answers) -> dict[int, str]:
    return {number: f"{reply.code} {reply.status}" for number, reply in answers.replies.items()}
