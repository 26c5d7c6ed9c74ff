"""Eight-bit bodies made seven-bit: whoever decodes the message reads the same."""

import tracemalloc
from email import message_from_bytes
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.downgrade import CannotDowngrade, to_seven_bit
from relay.mail.lines import normalised

HEAD = b"From: ann@example.com\r\nSubject: Tea\r\nMIME-Version: 1.0\r\n"
UTF8 = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
BODY = "\r\nGrüße,\r\n.\r\nFrom here   \r\n\r\n".encode()


def test_what_is_seven_bit_stays_as_it_is() -> None:
    content = HEAD + b"\r\nAt five.\r\n"
    assert to_seven_bit(content) is content


def test_text_becomes_quoted_printable_and_the_header_stays() -> None:
    made = to_seven_bit(HEAD + UTF8 + BODY)
    assert made == (
        HEAD
        + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        + b"\r\nGr=C3=BC=C3=9Fe,\r\n=2E\r\nFrom here  =20\r\n\r\n"
    )


def test_text_that_is_hardly_ascii_and_all_else_become_base64() -> None:
    made = to_seven_bit(HEAD + UTF8 + "\r\nお茶は五時です\r\n".encode())
    assert b"Content-Transfer-Encoding: base64\r\n" in made
    assert body_of(message_from_bytes(made)) == "お茶は五時です\r\n".encode()
    made = to_seven_bit(HEAD + b"Content-Type: image/png\r\n\r\n\x89PNG" + b"x" * 200)
    assert b"Content-Transfer-Encoding: base64\r\n" in made
    assert max(map(len, made.split(b"\r\n"))) <= 78


def test_text_without_a_word_about_its_kind_is_given_one() -> None:
    made = message_from_bytes(
        to_seven_bit(b"From: ann@example.com\r\n\r\nGr\xfc\xdfe and some more text\r\n")
    )
    assert made["MIME-Version"] == "1.0"
    assert made["Content-Type"] == "text/plain; charset=unknown-8bit"
    assert body_of(made) == b"Gr\xfc\xdfe and some more text\r\n"


MIXED = (
    HEAD + b'Content-Type: multipart/mixed;\r\n boundary="a b"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
    b"preamble\r\n--a b\r\n" + UTF8 + BODY + b"\r\n--a b  \r\nContent-Type: message/rfc822\r\n\r\n"
    b"Subject: within\r\n" + UTF8 + BODY + b"\r\n--a b\r\n\r\nplain\r\n--a b--\r\nepilogue"
)


def test_parts_are_encoded_each_in_its_place() -> None:
    made = to_seven_bit(MIXED)
    assert made.isascii()
    assert b"\r\nContent-Transfer-Encoding: 7bit\r\n\r\npreamble\r\n--a b\r\n" in made
    assert made.endswith(b"\r\n--a b\r\n\r\nplain\r\n--a b--\r\nepilogue")
    assert leaves(made) == leaves(MIXED)


SIGNED = b'Content-Type: multipart/signed; boundary=s; protocol="application/pkcs7-signature"\r\n\r\n'


@pytest.mark.parametrize(
    "content",
    [
        b"DKIM-Signature: v=1; b=x\r\n" + HEAD + UTF8 + BODY,
        HEAD + SIGNED + b"--s\r\n" + UTF8 + BODY + b"\r\n--s\r\n\r\nx\r\n--s--\r\n",
        HEAD + b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n"
        + SIGNED + b"--s\r\n" + UTF8 + BODY + b"\r\n--s--\r\n--m--\r\n",
        "Subject: Tée\r\n\r\nx".encode(),
        HEAD + b"Content-Transfer-Encoding: base64\r\n" + BODY,
        HEAD + b"Content-Transfer-Encoding: 8bit\r\n" * 2 + BODY,
        HEAD + b"Content-Type: multipart/mixed\r\n" + BODY,
        HEAD + b"Content-Type: multipart/mixed; boundary=m\r\n" + BODY,
        HEAD + b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + UTF8 + BODY,
        HEAD + b"Content-Type: multipart/mixed; boundary=m\r\n" + BODY + b"\r\n--m\r\n\r\nx\r\n--m--\r\n",
        HEAD + b"Content-Type: multipart/mixed; boundary=" + b"m" * 256 + b"\r\n\r\n--" + b"m" * 256 + BODY,
        HEAD + b"Content-Type: message/global\r\n" + BODY,
        HEAD + b"Content-Type: nonsense\r\n" + BODY,
        b"\xff\r\n",
    ],
)  # fmt: skip
def test_what_cannot_be_done_rightly_is_not_done(content: bytes) -> None:
    with pytest.raises(CannotDowngrade):
        to_seven_bit(content)


def test_a_signature_over_a_part_that_is_seven_bit_is_kept() -> None:
    signed = SIGNED + b"--s\r\n\r\nAt five.\r\n--s--\r\n"
    content = HEAD + b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + UTF8 + BODY
    content += b"\r\n--m\r\n" + signed + b"\r\n--m--\r\n"
    assert signed in to_seven_bit(content)


def test_what_does_not_say_its_type_in_a_digest_is_a_message() -> None:
    digest = b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\n"
    made = to_seven_bit(HEAD + digest + HEAD + UTF8 + BODY + b"\r\n--d--\r\n")
    _, part, inner = message_from_bytes(made).walk()
    assert part.get_content_type() == "message/rfc822"
    assert "content-transfer-encoding" not in part, "a message is never encoded as a whole (RFC 2046 §5.2.1)"
    assert body_of(inner) == BODY.removeprefix(b"\r\n")


def test_parts_within_parts_without_end_are_given_up() -> None:
    content = UTF8 + BODY
    for _ in range(200):
        content = b"Content-Type: message/rfc822\r\n\r\n" + content
    with pytest.raises(CannotDowngrade):
        to_seven_bit(content)


bodies = st.binary(max_size=300).map(normalised)
kinds = st.sampled_from([b"text/plain; charset=latin-1", b"text/html", b"image/png", b"application/x"])


@st.composite
def entities(draw: st.DrawFn, depth: int = 2) -> bytes:
    if depth and draw(st.booleans()):
        mark = b"=_%d.%d" % (depth, draw(st.integers(0, 9)))
        parts = draw(st.lists(entities(depth=depth - 1), min_size=1, max_size=3))
        inside = b"".join(b"--%b\r\n%b\r\n" % (mark, part) for part in parts)
        return b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\n%b--%b--\r\n' % (mark, inside, mark)
    return b"Content-Type: %b\r\n\r\n%b" % (draw(kinds), draw(bodies))


@given(entities())
def test_both_decode_to_the_same(entity: bytes) -> None:
    content = HEAD + entity
    made = to_seven_bit(content)
    assert made.isascii()
    assert leaves(made) == leaves(content)
    assert to_seven_bit(made) is made


@given(st.binary(max_size=400).map(normalised))
def test_whatever_it_is_given_it_answers_or_gives_up(content: bytes) -> None:
    try:
        assert to_seven_bit(content).isascii()
    except CannotDowngrade:
        assert not content.isascii()


def leaves(content: bytes) -> list[tuple[str, bytes]]:
    """Kind and decoded body of each part, as Python's own parser reads them."""
    whole = message_from_bytes(content)
    return [(part.get_content_type(), body_of(part)) for part in whole.walk() if not part.is_multipart()]


def body_of(part: Message) -> bytes:
    body = part.get_payload(decode=True)
    assert isinstance(body, bytes)
    return body


def test_a_part_with_a_very_long_field_takes_little_memory() -> None:
    field = b"X-Long: " + (b"x" * 998 + b"\r\n ") * 1000 + b"\r\n"
    part = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + field + BODY + b"--b--\r\n"
    tracemalloc.start()
    assert field in to_seven_bit(part)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10 * len(field)
