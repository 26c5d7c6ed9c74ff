"""Texts above and below a letter: in each form of its text, in its own charset and encoding."""

from __future__ import annotations

import base64
import quopri
import time
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.mail.letterhead import LeftAlone, Texts, with_texts

FOOT = Texts(footer="Example Ltd, London")
BOTH = Texts(header="Read with care", footer="Grüße aus Köln – 日本")


def letter(body: bytes, *fields: str) -> bytes:
    return "\r\n".join(["From: ann@example.com", *fields, "", ""]).encode() + body


def parsed(content: bytes) -> EmailMessage:
    found = message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert not any(part.defects for part in found.walk())
    return found


def texts_of(message: Message) -> list[str]:
    return [
        part.get_content().replace("\r\n", "\n")  # type: ignore[attr-defined]
        for part in message.walk()
        if part.get_content_maintype() == "text" and not part.is_attachment()  # type: ignore[attr-defined]
    ]


def test_plain_text_gets_it_where_it_stands() -> None:
    assert with_texts(letter(b"At five?\r\n"), FOOT) == letter(b"At five?\r\n\r\nExample Ltd, London\r\n")
    assert with_texts(letter(b"At five?\r\n"), Texts(header="Hear!")) == letter(b"Hear!\r\n\r\nAt five?\r\n")


@pytest.mark.parametrize("body", [b"", b"no end of line"])
def test_a_body_without_an_end_gets_one(body: bytes) -> None:
    assert texts_of(parsed(with_texts(letter(body), FOOT)))[0].endswith("\nExample Ltd, London\n")
    bare = b"From: ann@example.com\r\n"
    assert with_texts(bare, FOOT) == bare + b"\r\n\r\nExample Ltd, London\r\n"


def test_an_ascii_text_that_needs_more_letters_is_relabelled() -> None:
    content = with_texts(letter(b"a = b\r\n"), BOTH)
    assert content.isascii()
    message = parsed(content)
    assert message["MIME-Version"] == "1.0"
    assert (message.get_content_charset(), message["Content-Transfer-Encoding"]) == (
        "utf-8",
        "quoted-printable",
    )
    assert texts_of(message) == ["Read with care\n\na = b\n\nGrüße aus Köln – 日本\n"]


def test_a_label_says_so_where_it_stood() -> None:
    given_ = letter(
        b"a\r\n", "MIME-Version: 1.0", 'Content-Type: text/plain; charset="US-ASCII"; format=flowed; x=y',
        "Content-Transfer-Encoding: 7bit", "Subject: tea",
    )  # fmt: skip
    content = with_texts(given_, BOTH)
    assert b"\r\nContent-Type: text/plain; charset=utf-8; format=flowed; x=y\r\n" in content
    assert b"\r\nContent-Transfer-Encoding: quoted-printable\r\nSubject: tea\r\n" in content


def test_letters_that_a_charset_has_stay_in_it_and_others_make_it_utf8() -> None:
    kind = "Content-Type: text/plain; charset=iso-8859-1"
    given_ = letter("schön\r\n".encode("latin-1"), kind, "Content-Transfer-Encoding: 8bit")
    german = with_texts(given_, Texts(footer="Grüße"))
    assert german == given_ + "\r\nGrüße\r\n".encode("latin-1")
    japanese = with_texts(given_, Texts(footer="日本"))
    assert japanese == given_.replace(b"iso-8859-1", b"utf-8").replace(b"\xf6", "ö".encode()) + (
        "\r\n日本\r\n".encode()
    )


def test_eight_bit_text_without_a_label_is_taken_as_utf8() -> None:
    content = with_texts(letter("schön\r\n".encode()), Texts(footer="Grüße"))
    assert content == letter("schön\r\n\r\nGrüße\r\n".encode())
    with pytest.raises(LeftAlone, match="charset that it says"):
        with_texts(letter("schön\r\n".encode("latin-1")), Texts(footer="Grüße"))


@pytest.mark.parametrize(
    "body",
    [
        b"caf=C3=A9\r\n",
        b"caf=C3=A9 \r\n",
        b"soft=\r\n break",
        b"soft at the end=\r\n",
        b"soft at the end=",
        b"",
    ],
)
def test_quoted_printable_is_gone_on_with(body: bytes) -> None:
    kind = ("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable")
    content = with_texts(letter(body, *kind), BOTH)
    assert body in content, "what was there stays octet for octet"
    had = quopri.decodestring(body).decode().replace("\r\n", "\n").rstrip("\n")
    (text,) = texts_of(parsed(content))
    assert text.removeprefix("Read with care\n\n").removesuffix("Grüße aus Köln – 日本\n").rstrip("\n") == had


def test_base64_is_encoded_anew() -> None:
    kind = ("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64")
    content = with_texts(letter(base64.encodebytes(b"Tee?\n").replace(b"\n", b"\r\n"), *kind), BOTH)
    assert texts_of(parsed(content)) == ["Read with care\n\nTee?\n\nGrüße aus Köln – 日本\n"]
    assert max(map(len, content.split(b"\r\n"))) <= 76


def test_html_full_of_tags_that_never_end_is_looked_through_once() -> None:
    content = letter(b"<body " * 2_000_000, "Content-Type: text/html")
    begun = time.process_time()
    made = with_texts(content, FOOT)
    assert time.process_time() - begun < 2, "a search from each of them takes five seconds"
    assert len(made) > len(content)


def test_html_gets_it_inside_its_body_and_in_any_charset() -> None:
    page = b'<html><head><title>x</title></head><BODY class="a">\r\n<p>Tea</p></body></html>\r\n'
    content = with_texts(letter(page, "Content-Type: text/html; charset=us-ascii"), BOTH)
    assert content == letter(
        b'<html><head><title>x</title></head><BODY class="a">\r\n<div>Read with care</div>\r\n'
        b"\r\n<p>Tea</p>\r\n"
        b"<div>Gr&#252;&#223;e aus K&#246;ln &#8211; &#26085;&#26412;</div>\r\n</body></html>\r\n",
        "Content-Type: text/html; charset=us-ascii",
    )
    own = Texts(footer="plain & simple", footer_html="<hr><b>Rich</b>")
    assert b"<hr><b>Rich</b>" in with_texts(letter(page, "Content-Type: text/html"), own)
    assert b"plain &amp; simple" in with_texts(
        letter(page, "Content-Type: text/html"), Texts(footer="plain & simple")
    )


def test_html_in_quoted_printable_is_found_behind_soft_breaks() -> None:
    body = b"<html><bo=\r\ndy style=3D'x'>Tea</bo=\r\ndy></html>\r\n"
    kind = ("Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: quoted-printable")
    (text,) = texts_of(parsed(with_texts(letter(body, *kind), BOTH)))
    assert text.replace("\n", "") == (
        "<html><body style='x'><div>Read with care</div>Tea<div>Grüße aus Köln – 日本</div></body></html>"
    )


def test_html_without_tags_gets_it_at_its_ends() -> None:
    content = with_texts(letter(b"<p>Tea", "Content-Type: text/html"), Texts(header="A", footer="B"))
    assert content.endswith(b"\r\n\r\n<div>A</div>\r\n<p>Tea\r\n<div>B</div>\r\n")


def full_message() -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = "ann@example.com"
    message["Subject"] = "Tea"
    message.set_content("Tee um fünf?\n")
    message.add_alternative("<html><body><p>Tee um <b>fünf</b>?</p></body></html>\n", subtype="html")
    message.add_attachment(b"%PDF\0\xff" * 50, maintype="application", subtype="pdf", filename="a.pdf")
    message.add_attachment("notes: not touched\n", filename="notes.txt")
    return message


def test_alternatives_all_get_it_and_attachments_do_not() -> None:
    given_ = bytes(full_message())
    message = parsed(with_texts(given_, BOTH))
    plain, page = texts_of(message)
    assert plain == "Read with care\n\nTee um fünf?\n\nGrüße aus Köln – 日本\n"
    assert page.count("Köln") + page.count("&#246;ln") == 1
    before, after = list(parsed(given_).iter_attachments()), list(message.iter_attachments())
    assert [bytes(part) for part in after] == [bytes(part) for part in before]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (letter(b"x\r\n", "DKIM-Signature: v=1"), "DKIM"),
        (
            letter(b"--b\r\n\r\nhi\r\n--b--\r\n", 'Content-Type: multipart/signed; boundary="b"'),
            "signed or encrypted",
        ),
        (letter(b"MII=\r\n", "Content-Type: application/pkcs7-mime"), "signed or encrypted"),
        (
            letter(b"--b\r\n\r\nhi\r\n--b--\r\n", "Content-Type: multipart/encrypted; boundary=b"),
            "signed or encrypted",
        ),
        (letter(b"-----BEGIN PGP SIGNED MESSAGE-----\r\nx\r\n"), "PGP"),
        (
            letter(
                base64.encodebytes(b"-----BEGIN PGP MESSAGE-----\r\n"), "Content-Transfer-Encoding: base64"
            ).replace(b"=\n", b"=\r\n"),
            "PGP",
        ),
        (
            letter(
                b"--b\r\nContent-Type: multipart/signed; boundary=c\r\n\r\n--c\r\n\r\n"
                b"hi\r\n--c--\r\n--b--\r\n",
                "Content-Type: multipart/mixed; boundary=b",
            ),
            "signed or encrypted",
        ),
        (letter(b"GIF\r\n", "Content-Type: image/gif"), "no text"),
        (letter(b"a,b\r\n", "Content-Type: text/csv"), "no text"),
        (letter(b"x\r\n", "Content-Disposition: attachment"), "no text"),
        (letter(b"--b\r\n\r\nhi\r\n", "Content-Type: multipart/mixed; boundary=b"), "do not end"),
        (letter(b"hi\r\n", "Content-Type: multipart/mixed"), "no boundary"),
        (letter(b"hi\r\n", f"Content-Type: multipart/mixed; boundary={'b' * 256}"), "too long"),
        (letter(b"hi\r\n", "Content-Type: text/plain; charset=nonsense"), "charset"),
        (letter(b"hi\r\n", "Content-Type: text/plain; charset=utf-7"), "charset"),
        (letter(b"hi\r\n", "Content-Type: text/plain", "Content-Type: text/html"), "twice"),
        (letter(b"hi\r\n", "Content-Transfer-Encoding: x-own"), "encoding"),
        (letter(b"!!!\r\n", "Content-Transfer-Encoding: base64"), "base64"),
        (letter(b"hi\r\n", "Content-MD5: Q2hlY2s="), "checksum"),
    ],
)
def test_what_would_break_is_left_alone(content: bytes, reason: str) -> None:
    with pytest.raises(LeftAlone, match=reason):
        with_texts(content, BOTH)


def test_parts_are_bounded_in_depth_and_number() -> None:
    nested = b"x\r\n"
    for level in range(25):
        mark = b"m%d" % level
        nested = b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n%b\r\n--%b--\r\n" % (
            mark, mark, nested if level else b"\r\nx", mark,
        )  # fmt: skip
    with pytest.raises(LeftAlone, match="deeply"):
        with_texts(b"From: a@b.example\r\n" + nested, FOOT)
    many = b"--b\r\nContent-Type: image/gif\r\n\r\nx\r\n" * 1000 + b"--b--\r\n"
    with pytest.raises(LeftAlone, match="many"):
        with_texts(letter(many, "Content-Type: multipart/mixed; boundary=b"), FOOT)


def test_flowed_text_flows_into_nothing_of_ours() -> None:
    texts = Texts(footer="> quoted? \n From me\n-- \nAnn ")
    content = with_texts(letter(b"a soft \r\nline \r\n", "Content-Type: text/plain; format=flowed"), texts)
    assert content.endswith(b"a soft \r\nline \r\n\r\n > quoted?\r\n  From me\r\n-- \r\nAnn\r\n")


def test_the_users_text_stands_within_the_upstreams() -> None:
    inner, outer = Texts(header="h1", footer="f1"), Texts(header="h2", footer="f2", footer_html="<i>f2</i>")
    both = outer.around(inner)
    assert with_texts(letter(b"x\r\n"), both) == letter(b"h2\r\n\r\nh1\r\n\r\nx\r\n\r\nf1\r\n\r\nf2\r\n")
    assert both.html_below == "<div>f1</div>\n\n<i>f2</i>"
    assert Texts().around(inner) == inner
    assert outer.around(Texts()) == outer


# --- whatever comes ------------------------------------------------------------------------------

CHARSETS = (
    "us-ascii",
    "utf-8",
    "iso-8859-1",
    "windows-1252",
    "iso-8859-15",
    "koi8-r",
    "gbk",
    "shift_jis",
    "utf-16",
)
WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=40)
TEXTS = st.builds(Texts, WORDS, WORDS, st.just(""), st.just("")).filter(bool)


@st.composite
def entities(draw: Any) -> tuple[bytes, bytes]:
    """A text as an entity, and the words in it."""
    charset, kind = draw(st.sampled_from(CHARSETS)), draw(st.sampled_from(("plain", "html")))
    words = "\r\n".join(draw(st.lists(WORDS, max_size=4))).encode(charset, "ignore").decode(charset)
    if "-----BEGIN PGP" in words:
        words = ""
    octets = words.encode(charset)
    encoding = draw(st.sampled_from(("8bit", "quoted-printable", "base64")))
    if charset == "utf-16":
        encoding = "base64"
    body = {
        "8bit": octets,
        "quoted-printable": quopri.encodestring(octets.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n"),
        "base64": base64.encodebytes(octets).replace(b"\n", b"\r\n"),
    }[encoding]
    head = f"Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body, octets


@example(
    made=(b"Content-Type: text/plain; charset=shift_jis\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", b""),
    texts=Texts("", "\u00a5", "", ""),  # which Shift JIS has in place of the backslash
    attached=b"",
    is_wrapped=False,
)
@given(entities(), TEXTS, st.binary(max_size=100), st.booleans())
def test_octets_outside_of_what_is_inserted_stay_the_same(
    made: tuple[bytes, bytes], texts: Texts, attached: bytes, is_wrapped: bool
) -> None:
    entity, _ = made
    attachment = (
        b"\r\n--=_b\r\nContent-Type: application/x\r\nX-Odd:  \t x\r\n\r\n"
        + attached
        + b"\r\n--=_b--\r\nepilogue"
    )
    content = entity
    if is_wrapped:
        content = (
            b'Content-Type: multipart/mixed; boundary="=_b"\r\n\r\npreamble\r\n--=_b\r\n'
            + entity
            + attachment
        )
    try:
        after = with_texts(content, texts)
    except LeftAlone:
        return
    if is_wrapped:
        assert after.startswith(content[: content.index(b"Content-Type: text")])
        assert after.endswith(attachment)
        after = after[content.index(b"Content-Type: text") : len(after) - len(attachment)]
    message = message_from_bytes(after)
    before = message_from_bytes(entity)
    octets, had = message.get_payload(decode=True), before.get_payload(decode=True)
    assert isinstance(octets, bytes)
    assert isinstance(had, bytes)
    text, words = (
        octets.decode(str(message.get_content_charset())),
        had.decode(str(before.get_content_charset())),
    )
    assert words.rstrip("\r\n") in text
    if message.get_content_subtype() == "plain":
        assert text.split() == [*texts.header.split(), *words.split(), *texts.footer.split()]


@given(st.binary(max_size=300), TEXTS)
def test_nothing_breaks_it(content: bytes, texts: Texts) -> None:
    try:
        after = with_texts(content, texts)
    except LeftAlone:
        return
    assert len(after) >= len(content)


WORDS_OF_MIME = (
    b"Content-Type: |multipart/mixed|multipart/alternative|text/html|text/plain|; boundary=b|; charset=|"
    b"utf-8|us-ascii|utf-16|gbk|unicode_escape|rot13|zlib|; format=flowed|Content-Transfer-Encoding: |base64|"
    b"quoted-printable|7bit|8bit|\r\n|\r\n|\r\n\r\n|\r\n--b\r\n|\r\n--b--|--b|=|=C3|\xc3\xbc|\xff|<body|>|"
    b'</body>|</html|QUJD| |\t|\\|"|;|From: a@b.example'
).split(b"|")
PIECES = st.lists(st.sampled_from(WORDS_OF_MIME), max_size=25).map(b"".join)


@settings(max_examples=300)
@given(PIECES, TEXTS)
def test_nothing_that_looks_like_mime_breaks_it(content: bytes, texts: Texts) -> None:
    try:
        after = with_texts(content, texts)
    except LeftAlone:
        return
    shown = texts.header or texts.footer
    assert after != content or not shown.strip()
