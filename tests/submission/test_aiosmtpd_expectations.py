"""What a program that knows aiosmtpd 1.4 may expect of our server, and where we decided otherwise.

Our server is an aiosmtpd server whose protocol is its own (see docs/decisions): so what that library's
documentation and behaviour promise about commands and their codes holds here, too, unless DIFFERENCES
says otherwise.  docs/aiosmtpd.md has the reasons.
"""

from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP

from relay.submission.server import Server
from tests.kit.converse import Client
from tests.kit.house import House

PAGE = Path(__file__).resolve().parents[2] / "docs/aiosmtpd.md"
LOGIN = "AUTH PLAIN AGFubgBjb3JyZWN0LWhvcnNl"
EHLO, HELO = ["EHLO laptop"], ["HELO laptop"]
IN = [*EHLO, LOGIN]
MAIL = [*IN, "MAIL FROM:<ann@example.com>"]
RCPT = [*MAIL, "RCPT TO:<bob@example.org>"]
LONG_ADDRESS = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.example"

# What was said before, the command, and the code that either server answers.
SAME: list[tuple[list[str], str, int]] = [
    # sessions
    ([], "HELO example.com", 250),
    ([], "EHLO example.com", 250),
    ([], "HELO", 501),
    ([], "EHLO", 501),
    (HELO, "HELO other", 250),
    (EHLO, "EHLO other", 250),
    (HELO, "EHLO laptop", 250),
    (EHLO, "HELO laptop", 250),
    ([], "NOOP", 250),
    ([], "NOOP ok", 250),
    ([], "QUIT", 221),
    ([], "QUIT oops", 501),
    ([], "RSET", 250),
    ([], "RSET FOO", 501),
    ([], "FOOBAR", 500),
    ([], "", 500),
    ([], "\x80FAIL", 500),
    ([], "\x80 FAIL", 500),
    ([], "noop", 250),
    # before EHLO, and before AUTH
    ([], "MAIL FROM:<ann@example.com>", 503),
    ([], "RCPT TO:<bob@example.org>", 503),
    ([], "DATA", 503),
    ([], "AUTH", 503),
    (EHLO, "MAIL FROM:<ann@example.com>", 530),
    (EHLO, "RCPT TO:<bob@example.org>", 530),
    (EHLO, "DATA", 530),
    (EHLO, "VRFY <bob@example.org>", 530),
    # AUTH
    (EHLO, "AUTH", 501),
    (EHLO, "AUTH XYZZY", 504),
    (EHLO, LOGIN, 235),
    (IN, "AUTH", 503),
    (IN, LOGIN, 503),
    (EHLO, "AUTH PLAIN", 334),
    (EHLO, "AUTH LOGIN", 334),
    (EHLO, "AUTH PLAIN not-b64", 501),
    (EHLO, "AUTH PLAIN AG9ubHlsb2dpbg==", 501),
    (EHLO, "AUTH PLAIN NONE NONE", 501),
    (EHLO, "AUTH PLAIN AGJhZABjb3JyZWN0LWhvcnNl", 535),
    (EHLO, "AUTH PLAIN AGFubgBiYWQ=", 535),
    (EHLO, "AUTH PLAIN =", 501),
    ([*EHLO, "AUTH PLAIN"], "AGFubgBjb3JyZWN0LWhvcnNl", 235),
    ([*EHLO, "AUTH PLAIN"], "AGFubgBiYWQ=", 535),
    ([*EHLO, "AUTH PLAIN"], "*", 501),
    ([*EHLO, "AUTH PLAIN"], "ab@%", 501),
    ([*EHLO, "AUTH LOGIN"], "*", 501),
    ([*EHLO, "AUTH LOGIN"], "YW5u", 334),
    ([*EHLO, "AUTH LOGIN", "YW5u"], "Y29ycmVjdC1ob3JzZQ==", 235),
    ([*EHLO, "AUTH LOGIN", "YW5u"], "YmFk", 535),
    ([*EHLO, "AUTH LOGIN", "YW5u"], "*", 501),
    ([*EHLO, "AUTH LOGIN"], "ab@%", 501),
    ([*IN, "RSET"], "MAIL FROM:<ann@example.com>", 250),
    ([*IN, "EHLO again"], "MAIL FROM:<ann@example.com>", 250),
    # MAIL
    (IN, "MAIL", 501),
    (IN, "MAIL <ann@example.com>", 501),
    (IN, "MAIL FROM:", 501),
    (IN, "MAIL FROM: Ann <ann@example.com>", 501),
    (IN, "MAIL FROM:<ann@example.com>", 250),
    (IN, "MAIL FROM: <ann@example.com>", 250),
    (IN, "MAIL FROM:  <ann@example.com>", 250),
    (IN, "MAIL FROM:<@example.org:ann@example.com>", 250),
    (IN, "MAIL FROM:<@example.net,@example.org:ann@example.com>", 250),
    (IN, "MAIL FROM: <ann@example.com> SIZE=10000", 250),
    (IN, "MAIL FROM: <ann@example.com>  SIZE=10000", 250),
    (IN, "MAIL FROM: <ann@example.com> SIZE=10000 ", 250),
    (IN, "MAIL FROM: <ann@example.com> size=10000 BODY=8BITMIME", 250),
    (IN, "MAIL FROM: <ann@example.com> SIZE", 501),
    (IN, "MAIL FROM: <ann@example.com> FOO=BAR", 555),
    (IN, "MAIL FROM: <ann@example.com> SIZE=99999999999", 552),
    (IN, "MAIL FROM: <ann@example.com> BODY=9BIT", 501),
    (IN, "MAIL FROM: <ann@example.com> SMTPUTF8", 250),
    (IN, "MAIL FROM: <ann@example.com> SMTPUTF8=YES", 501),
    (MAIL, "MAIL FROM: <ann@example.com>", 503),
    ([*MAIL, "RSET"], "MAIL FROM: <ann@example.com>", 250),
    ([*MAIL, "EHLO again"], "MAIL FROM: <ann@example.com>", 250),
    # RCPT
    (IN, "RCPT TO: <bob@example.org>", 503),
    (MAIL, "RCPT", 501),
    (MAIL, "RCPT <bob@example.org>", 501),
    (MAIL, "RCPT TO:", 501),
    (MAIL, "RCPT TO: bob <bob@example.org>", 501),
    (MAIL, "RCPT TO: <bob@example.org> FOOBAR", 555),
    (MAIL, "RCPT TO:<bob@example.org>", 250),
    (MAIL, "RCPT TO:  <bob@example.org>", 250),
    (MAIL, "RCPT TO:<bob.arthur@example.org>", 250),
    (MAIL, "RCPT TO:<bob+promo@example.org>", 250),
    (MAIL, "RCPT TO:<bob-arthur@example.org>", 250),
    (MAIL, "RCPT TO:<bob_arthur@example.org>", 250),
    (MAIL, "RCPT TO:<_@example.org>", 250),
    (MAIL, "RCPT TO:<bob@127.0.0.1>", 250),
    (MAIL, "RCPT TO:<bob@[127.0.0.1]>", 250),
    (MAIL, "RCPT TO:<bob@[IPv6:2001:db8::1]>", 250),
    (MAIL, 'RCPT TO:<"bob arthur"@example.org>', 250),
    (MAIL, 'RCPT TO:<"bob\\"arthur"@example.org>', 250),
    (MAIL, 'RCPT TO:<"bob>arthur"@example.org>', 250),
    (MAIL, 'RCPT TO:<""@example.org>', 250),
    (MAIL, f"RCPT TO:<{LONG_ADDRESS}>", 250),
    (MAIL, "RCPT TO:<@example.net:bob@example.org>", 250),
    # DATA, and the rest
    (IN, "DATA", 503),
    (MAIL, "DATA", 503),
    (RCPT, "DATA FOOBAR", 501),
    (RCPT, "DATA", 354),
    ([*RCPT, "RSET"], "DATA", 503),
    (IN, "VRFY <bob@example.org>", 252),
    (IN, "EXPN bob", 502),
]

# What was said before, the command, aiosmtpd's code, ours, and the row of docs/aiosmtpd.md that says why.
DIFFERENCES: list[tuple[list[str], str, int, int, str]] = [
    ([], "HELP", 250, 214, "HELP"),
    ([], "HELP MAIL", 250, 214, "HELP"),
    ([], "HELP me!", 501, 214, "HELP"),
    ([], "a" * 513, 500, 500, "Long commands"),
    ([], "a" * 20_000, 500, 500, "Long commands"),
    (HELO, "AUTH", 500, 501, "AUTH after HELO"),
    (IN, "MAIL FROM:ann@example.com", 250, 501, "Addresses without brackets"),
    (MAIL, "RCPT TO:bob@example.org", 250, 501, "Addresses without brackets"),
    (MAIL, "RCPT TO:<bob(comment)@example.org>", 250, 501, "Comments in addresses"),
    (MAIL, "RCPT TO:<bob@machine(comment). example>", 250, 501, "Comments in addresses"),
    (MAIL, f"RCPT TO:<{'b' * 490}@example.com>", 250, 501, "Long addresses"),
    (MAIL, "RCPT TO:<@example.com>", 553, 501, "Bad addresses"),
    (MAIL, "RCPT TO:<johnathon@>", 553, 501, "Bad addresses"),
    (IN, "MAIL FROM:<@example.com> SIZE=28113", 553, 501, "Bad addresses"),
    (MAIL, "RCPT TO:<bob@[IPv6::1]>", 250, 501, "Bad addresses"),
    (MAIL, "RCPT TO:<Postmaster>", 250, 501, "Postmaster without a domain"),
    ([*HELO, LOGIN], "MAIL FROM:<ann@example.com> SIZE=10000", 501, 555, "Parameters after HELO"),
    (IN, "MAIL FROM: <ann@example.com> SIZE 10000", 501, 501, "Parameters that are none"),
    (IN, "MAIL FROM: <ann@example.com> #$%=!@#", 501, 555, "Parameters that are none"),
    (IN, "MAIL FROM: <ann@example.com> SIZE = 10000", 501, 501, "Parameters that are none"),
    (MAIL, "RCPT TO: <bob@example.org> #$%=!@#", 501, 555, "Parameters that are none"),
    (IN, "VRFY", 501, 252, "VRFY"),
    (IN, "VRFY @@", 502, 252, "VRFY"),
    (IN, "MAIL FROM:<j\xfcrgen@example.com>", 250, 500, "Octets that are no UTF-8"),
]


@pytest.fixture
async def client(house: House) -> Client:
    client = await Client.connect(house.ports["clear"])
    assert (await client.reply()).startswith("220 ")
    return client


async def code_of(client: Client, before: list[str], command: str) -> int:
    for line in before:
        assert (await client.ask(line))[0] in "23", line
    await client.send(command.encode("latin-1") + b"\r\n")
    reply = await client.reply()
    await client.close()
    return int(reply[:3])


def named(row: tuple[object, ...]) -> str:
    before, command = row[:2]
    assert isinstance(before, list)
    return f"{len(before)}-{str(command)[:40]}"


@pytest.mark.parametrize(("before", "command", "code"), SAME, ids=map(named, SAME))
async def test_as_aiosmtpd_answers(client: Client, before: list[str], command: str, code: int) -> None:
    assert await code_of(client, before, command) == code


@pytest.mark.parametrize(
    ("before", "command", "theirs", "ours", "row"), DIFFERENCES, ids=map(named, DIFFERENCES)
)
async def test_otherwise_than_aiosmtpd_answers(
    client: Client, before: list[str], command: str, theirs: int, ours: int, row: str
) -> None:
    assert await code_of(client, before, command) == ours
    assert f"| {row} |" in PAGE.read_text("utf-8")


async def test_an_overlong_line_leaves_the_session_alive(client: Client) -> None:
    assert await code_of_line(client, "a" * 1_000_000) == 500
    assert await code_of_line(client, "NOOP") == 250
    await client.close()


async def code_of_line(client: Client, line: str) -> int:
    return int((await client.ask(line))[:3])


async def test_two_sessions_are_logged_in_each_for_itself(house: House) -> None:
    one, other = [await Client.connect(house.ports["clear"]) for _ in range(2)]
    for client in (one, other):
        await client.reply()
        await client.ask(EHLO[0])
    await one.ask(LOGIN)
    assert await code_of_line(one, "MAIL FROM:<ann@example.com>") == 250
    assert await code_of_line(other, "MAIL FROM:<ann@example.com>") == 530
    await one.close()
    await other.close()


async def test_a_client_that_vanishes_harms_nobody(house: House) -> None:
    for before in ([], EHLO, MAIL, [*RCPT, "DATA"]):
        client = await Client.connect(house.ports["clear"])
        await client.reply()
        for line in before:
            await client.ask(line)
        await client.send(b"half a li")
        client.writer.transport.abort()
    last = await Client.connect(house.ports["clear"])
    assert (await last.reply()).startswith("220 ")
    await last.close()


def test_it_is_an_aiosmtpd_server() -> None:
    assert issubclass(Server, SMTP)


def test_the_page_tells_how_many() -> None:
    assert f"{len(SAME)} answers are the same, {len(DIFFERENCES)} are not" in PAGE.read_text("utf-8")
