"""One message over one connection: what the upstream does, and what each recipient is then told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.clock import SystemClock
from relay.delivery.classify import Scope
from relay.delivery.oauth.tokens import OwnTokens
from relay.delivery.transports.base import Answers
from relay.delivery.transports.pipeline import Pipeline
from relay.delivery.transports.smtp import Smtp
from relay.mail.disposition import Disposition, disposition_of
from relay.mail.envelope import Envelope
from relay.mail.priority import Priority
from tests.delivery.makers import LETTER, envelope_to, upstream_at
from tests.delivery.office import eventually
from tests.kit.upstream import ALL, DROP, MUTE, FakeUpstream, later

WITHOUT_PIPELINING = tuple(offer for offer in ALL if offer != "PIPELINING")
D, F, L = Disposition.DELIVERED, Disposition.FAILED, Disposition.DEFERRED  # L: later


@pytest.fixture(params=[ALL, WITHOUT_PIPELINING], ids=["pipelined", "one by one"])
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[FakeUpstream]:
    async with FakeUpstream(request.param) as upstream:
        yield upstream


@asynccontextmanager
async def connected(upstream: FakeUpstream, seconds: float = 2) -> AsyncIterator[Pipeline]:
    connection = await Smtp(
        upstream_at(upstream.port, timeout=timedelta(seconds=10)),  # for the opening, however busy we are
        "relay.example",
        OwnTokens(SystemClock()),
    ).connect()
    connection._seconds = connection._dot_seconds = seconds
    yield connection
    await connection.close()


async def offer(
    upstream: FakeUpstream, envelope: Envelope, content: bytes = LETTER, *, seconds: float = 2
) -> Answers:
    async with connected(upstream, seconds) as connection:
        answers = await connection.deliver(envelope, content, Priority.NORMAL)
    assert set(answers.replies) == {r.number for r in envelope.recipients}
    return answers


def ends(answers: Answers) -> list[Disposition]:
    return [disposition_of(answers.replies[number]) for number in sorted(answers.replies)]


# --- it goes well ---------------------------------------------------------------------------------


async def test_a_letter_arrives_as_it_is(upstream: FakeUpstream) -> None:
    answers = await offer(upstream, envelope_to("bob", "cid"))
    (taken,) = upstream.taken
    assert taken.content == LETTER
    assert taken.mail == f"MAIL FROM:<ann@example.com> SIZE={len(LETTER)}"
    assert taken.rcpts == ["RCPT TO:<bob@example.net>", "RCPT TO:<cid@example.net>"]
    assert [str(reply) for reply in answers.replies.values()] == ["250 2.0.0 Taken"] * 2
    assert answers.trouble is None
    assert upstream.commands[-1] == "QUIT"


async def test_many_letters_go_over_one_connection(upstream: FakeUpstream) -> None:
    async with connected(upstream) as connection:
        for _ in range(5):
            answers = await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)
            assert ends(answers) == [D]
            assert connection.is_usable
    assert upstream.connections == 1
    assert len(upstream.taken) == 5


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11])
async def test_answers_may_come_in_pieces(size: int) -> None:
    async with FakeUpstream(split=size) as upstream:
        upstream.on("RCPT", "550-5.1.1 No\n550 5.1.1 such user", matching="bob")
        assert ends(await offer(upstream, envelope_to("ann", "bob", "cid"))) == [D, F, D]


async def test_pipelining_saves_the_waits_and_nothing_else() -> None:
    async with FakeUpstream() as upstream:
        upstream.on("CONNECT", "220 ready")
        await offer(upstream, envelope_to("bob"))
    assert [line.split()[0] for line in upstream.commands] == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]


# --- some are refused -----------------------------------------------------------------------------


async def test_each_recipient_gets_its_own_answer(upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
    upstream.on("RCPT", "450 4.2.1 Busy", matching="cid")
    answers = await offer(upstream, envelope_to("ann", "bob", "cid", "dan"))
    assert ends(answers) == [D, F, L, D]
    assert str(answers.replies[2]) == "550 5.1.1 No such user"
    assert str(answers.replies[3]) == "450 4.2.1 Busy"
    assert upstream.taken[0].rcpts == ["RCPT TO:<ann@example.net>", "RCPT TO:<dan@example.net>"]


async def test_nobody_is_accepted_and_the_next_letter_still_goes(upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
    async with connected(upstream) as connection:
        answers = await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)
        assert ends(answers) == [F]
        assert connection.is_usable
        assert ends(await connection.deliver(envelope_to("ann"), LETTER, Priority.NORMAL)) == [D]
    assert len(upstream.taken) == 1


async def test_an_upstream_that_waits_for_a_message_to_nobody_gets_a_lone_dot() -> None:
    async with FakeUpstream() as upstream:
        upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
        upstream.on("DATA", "354 Go ahead", times=1)
        upstream.on("DOT", "554 5.5.1 No valid recipients", times=1)
        async with connected(upstream) as connection:
            answers = await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)
            assert [str(r) for r in answers.replies.values()] == ["550 5.1.1 No such user"]
            assert ends(await connection.deliver(envelope_to("ann"), LETTER, Priority.NORMAL)) == [D]
        assert upstream.transactions[0].wire == b""


async def test_the_sender_is_refused(upstream: FakeUpstream) -> None:
    upstream.on("MAIL", "550 5.7.1 Not you", times=1)
    async with connected(upstream) as connection:
        answers = await connection.deliver(envelope_to("bob", "cid"), LETTER, Priority.NORMAL)
        assert [str(r) for r in answers.replies.values()] == ["550 5.7.1 Not you"] * 2
        assert ends(await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)) == [D]


@pytest.mark.parametrize(("answer", "end"), [("451 4.3.0 Later", L), ("554 5.7.1 Spam", F)])
async def test_data_is_refused(upstream: FakeUpstream, answer: str, end: Disposition) -> None:
    upstream.on("DATA", answer, times=1)
    async with connected(upstream) as connection:
        assert ends(await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)) == [end]
        assert ends(await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)) == [D]


@pytest.mark.parametrize(("answer", "end"), [("451 4.3.0 Later", L), ("554 5.7.1 Spam", F)])
async def test_the_message_is_refused_for_those_accepted(
    upstream: FakeUpstream, answer: str, end: Disposition
) -> None:
    upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
    upstream.on("DOT", answer)
    answers = await offer(upstream, envelope_to("ann", "bob"))
    assert ends(answers) == [end, F]
    assert answers.trouble is None


async def test_552_after_an_accepted_recipient_means_enough_for_now(upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "552 Too many recipients", matching="cid")
    assert ends(await offer(upstream, envelope_to("bob", "cid"))) == [D, L]
    assert ends(await offer(upstream, envelope_to("cid"))) == [F]


# --- the line breaks ------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["MAIL", "RCPT", "DATA"])
async def test_cut_off_before_the_message(upstream: FakeUpstream, moment: str) -> None:
    upstream.on(moment, DROP)
    answers = await offer(upstream, envelope_to("ann", "bob"))
    assert ends(answers) == [L, L]
    assert answers.trouble is not None
    assert answers.trouble.scope is Scope.CONNECTION
    assert answers.is_untried


@pytest.mark.parametrize("moment", ["BODY", "DOT"])
async def test_cut_off_in_the_message(upstream: FakeUpstream, moment: str) -> None:
    upstream.on(moment, DROP)
    answers = await offer(upstream, envelope_to("ann", "bob"))
    assert ends(answers) == [L, L]
    assert answers.trouble is not None
    assert answers.trouble.scope is Scope.CONNECTION
    assert not answers.is_untried


async def test_a_refusal_counts_although_the_line_broke_later(upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
    upstream.on("RCPT", DROP, matching="cid")
    assert ends(await offer(upstream, envelope_to("bob", "cid", "dan"))) == [F, L, L]


@pytest.mark.parametrize("moment", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_silence(upstream: FakeUpstream, moment: str) -> None:
    upstream.on(moment, MUTE)
    answers = await offer(upstream, envelope_to("bob"), seconds=0.1)
    assert ends(answers) == [L]
    assert "within 0.1 seconds" in answers.replies[1].text


@pytest.mark.parametrize("moment", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_421_ends_the_connection(upstream: FakeUpstream, moment: str) -> None:
    upstream.on(moment, "421 4.3.2 Closing")
    async with connected(upstream) as connection:
        answers = await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)
        assert not connection.is_usable
    assert ends(answers) == [L]
    assert answers.trouble is not None
    assert answers.trouble.scope is Scope.CONNECTION
    assert answers.is_untried == (moment != "DOT")


async def test_421_that_nobody_asked_for(upstream: FakeUpstream) -> None:
    upstream.on("DOT", b"250 2.0.0 Taken\r\n421 4.4.2 Idle for too long\r\n")
    async with connected(upstream) as connection:
        assert ends(await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)) == [D]
        assert not connection.is_usable


@pytest.mark.parametrize("refusal", ["530 5.7.0 Authentication required", "550 5.7.30 Basic auth is gone"])
async def test_what_is_about_our_login_fails_no_message(upstream: FakeUpstream, refusal: str) -> None:
    upstream.on("MAIL", refusal)
    answers = await offer(upstream, envelope_to("bob"))
    assert ends(answers) == [L]
    assert answers.trouble is not None
    assert answers.trouble.scope is Scope.UPSTREAM


# --- the protocol is broken -----------------------------------------------------------------------

NONSENSE = [
    b"hello\r\n",
    b"\r\n",
    b"250-Ok\r\n550 No\r\n",
    b"150 Wait\r\n",
    b"354 Go ahead\r\n",
    b"25\r\n",
]


@pytest.mark.parametrize("moment", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_nonsense_is_never_success_and_never_failure(
    upstream: FakeUpstream, moment: str, nonsense: bytes
) -> None:
    if moment == "DATA" and nonsense.startswith(b"354"):
        return
    upstream.on(moment, nonsense)
    answers = await offer(upstream, envelope_to("bob"))
    assert ends(answers) == [L]
    assert answers.trouble is not None


async def test_success_to_data_is_no_invitation(upstream: FakeUpstream) -> None:
    upstream.on("DATA", "250 2.0.0 Taken")
    answers = await offer(upstream, envelope_to("bob"))
    assert ends(answers) == [L]
    assert upstream.transactions == []


@pytest.mark.parametrize("moment", ["MAIL", "RCPT", "DATA"])
async def test_an_answer_too_many_is_not_taken_for_the_answer_to_the_dot(
    upstream: FakeUpstream, moment: str
) -> None:
    usual = b"354 Go ahead\r\n" if moment == "DATA" else b"250 2.1.0 Ok\r\n"
    upstream.on(moment, usual + b"250 2.0.0 Taken\r\n")
    upstream.on("DOT", "554 5.7.1 Spam")
    assert ends(await offer(upstream, envelope_to("bob"))) == [L]


@pytest.mark.parametrize("surplus", [b"250 2.1.5 Ok\r\n", b"354 Go ahead\r\n"])
async def test_an_answer_too_many_makes_the_refusal_of_one_no_refusal_of_another(
    upstream: FakeUpstream, surplus: bytes
) -> None:
    upstream.on("RCPT", b"250 2.1.5 Ok\r\n" + surplus, matching="ann")
    upstream.on("RCPT", "550 5.1.1 No such user", matching="bob")
    upstream.on("RCPT", "450 4.2.1 Busy", matching="cid")
    assert ends(await offer(upstream, envelope_to("ann", "bob", "cid", "dan"))) == [L, L, L, L]


async def test_a_refusal_counts_although_the_upstream_then_says_goodbye(upstream: FakeUpstream) -> None:
    upstream.on("RCPT", "550 5.1.1 No such user")
    upstream.on("DATA", b"554 5.5.1 No valid recipients\r\n421 4.7.0 Too many errors\r\n")
    assert ends(await offer(upstream, envelope_to("ann", "bob"))) == [F, F]


async def test_the_answer_to_quit_is_not_taken_for_the_answer_to_the_dot(upstream: FakeUpstream) -> None:
    upstream.on("DOT", MUTE)
    answers = await offer(upstream, envelope_to("bob"), seconds=0.1)
    assert ends(answers) == [L]
    assert "QUIT" not in upstream.commands


async def test_an_upstream_that_only_talks_is_hung_up_on(upstream: FakeUpstream) -> None:
    upstream.on("DOT", b"250 2.0.0 Taken\r\n" * 100_000)
    async with connected(upstream) as connection:
        assert ends(await connection.deliver(envelope_to("bob"), LETTER, Priority.NORMAL)) == [D]
        await eventually(connection._dialogue._transport.is_closing)
        assert len(connection._dialogue._answers) < 20_000


# --- bytes ----------------------------------------------------------------------------------------

lines = st.lists(
    st.one_of(st.sampled_from([b"", b".", b"..", b".x", b"x.", b"x"]), st.binary(max_size=20)), max_size=20
)


@settings(max_examples=60, deadline=None)
@given(lines)
async def test_what_is_sent_is_what_arrives(lines: list[bytes]) -> None:
    content = b"".join(line.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n" for line in lines)
    async with FakeUpstream() as upstream:
        assert ends(await offer(upstream, envelope_to("bob"), content)) == [D]
        assert upstream.taken[0].content == content
        assert upstream.octets.count(b"\r\n.\r\n") == 1


async def test_a_last_line_without_an_end_gets_one(upstream: FakeUpstream) -> None:
    await offer(upstream, envelope_to("bob"), b"Subject: x\r\n\r\n.")
    content = upstream.taken[0].content
    assert content == b"Subject: x\r\n\r\n.\r\n"
    assert f" SIZE={len(content)}" in upstream.taken[0].mail


async def test_a_large_letter_waits_for_a_slow_upstream_outside_of_the_socket(upstream: FakeUpstream) -> None:
    content = b"Subject: large\r\n\r\n" + b".234567890" * 7 + b"\r\n" + (b"x" * 70 + b"\r\n.\r\n") * 140_000
    upstream.on("BODY", later(0.2))
    async with connected(upstream, 5) as connection:
        transport, most = connection._dialogue._transport, 0
        drained = connection._dialogue.drained

        async def watched(*arguments: object) -> None:
            nonlocal most
            most = max(most, transport.get_write_buffer_size())
            await drained(*arguments)  # type: ignore[arg-type]

        connection._dialogue.drained = watched  # type: ignore[method-assign,assignment]
        assert ends(await connection.deliver(envelope_to("bob"), content, Priority.NORMAL)) == [D]
    assert upstream.taken[0].content == content
    assert 0 < most < 256 * 1024


async def test_an_early_refusal_of_a_large_letter_is_believed_and_an_early_success_is_not(
    upstream: FakeUpstream,
) -> None:
    content = (b"x" * 78 + b"\r\n") * 100_000
    for answer, end in (("552 5.3.4 Too large", F), ("250 2.0.0 Taken", L)):
        upstream.on("BODY", answer)
        upstream.on("DOT", MUTE)
        assert ends(await offer(upstream, envelope_to("bob"), content, seconds=1)) == [end]


# --- eight bits where only seven go -----------------------------------------------------------------

SEVEN_ONLY = ("PIPELINING", "SIZE 1000000")
GREETING = (
    "Subject: Tea\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    "At five, that is fünf?\r\n"
)


async def test_eight_bit_text_is_encoded_for_an_upstream_that_takes_only_seven() -> None:
    async with FakeUpstream(SEVEN_ONLY) as upstream:
        answers = await offer(upstream, envelope_to("bob"), GREETING.encode())
    assert ends(answers) == [D]
    (taken,) = upstream.taken
    assert "BODY=" not in taken.mail
    assert f"SIZE={len(taken.content)}" in taken.mail
    assert (
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\nAt five, that is f=C3=BCnf?\r\n" in taken.content
    )


async def test_signed_eight_bit_text_is_returned_by_an_upstream_that_takes_only_seven() -> None:
    async with FakeUpstream(SEVEN_ONLY) as upstream:
        answers = await offer(upstream, envelope_to("bob"), b"DKIM-Signature: v=1\r\n" + GREETING.encode())
        assert upstream.taken == []
    assert answers.replies[1].status == "5.6.3"


async def test_a_header_in_utf8_is_returned_by_an_upstream_that_takes_only_ascii() -> None:
    async with FakeUpstream(SEVEN_ONLY) as upstream:
        answers = await offer(
            upstream, envelope_to("bob", smtputf8=True), "Subject: Tée\r\n\r\nx\r\n".encode()
        )
        assert upstream.taken == []
    assert answers.replies[1].status == "5.6.7"
