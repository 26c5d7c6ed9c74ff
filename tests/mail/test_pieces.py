"""Messages taken apart: what comes out, and what is refused because it has no place."""

from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.bodies import DoesNotFit, File
from relay.mail.pieces import Pieces, take_apart

HEAD = b"From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject: Tea\r\n"
PLAIN = HEAD + b"\r\nAt five?\r\n"


def whole(header: str = "", body: str = "At five?\n") -> bytes:
    """A letter with more in its header, and this body."""
    return HEAD + f"{header}\n{body}".replace("\n", "\r\n").encode()


def mixed(*parts: str, kind: str = "mixed") -> bytes:
    """A multipart of these parts, each with its own header."""
    body = "".join(f"--b\n{part}\n" for part in parts) + "--b--\n"
    return whole(f'MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary="b"\n', body)


TEXT = "Content-Type: text/plain\n\nAt five?\n"
HTML = "Content-Type: text/html; charset=utf-8\n\n<p>Tea</p><img src='cid:cup@x'>\n"
FILE = "Content-Type: application/pdf\nContent-Disposition: attachment; filename=tea.pdf\n\nleaves"
CUP = (
    "Content-Type: image/png\nContent-ID: <cup@x>\nContent-Transfer-Encoding: base64\n"
    "Content-Disposition: inline; filename=cup.png\n\nY3Vw"
)


def reason(content: bytes) -> str:
    with pytest.raises(DoesNotFit) as refusal:
        take_apart(content)
    return str(refusal.value)


def test_a_plain_letter() -> None:
    pieces = take_apart(
        whole("Message-ID: <1@x>\nCc: cho@x.example, Di <di@x.example>\nX-Priority: 1\nImportance: high\n")
    )
    assert (pieces.sender.name, str(pieces.sender.address)) == ("Ann", "ann@example.com")
    assert [str(each.address) for each in pieces.to + pieces.cc] == [
        "bob@example.net", "cho@x.example", "di@x.example",
    ]  # fmt: skip
    assert (pieces.subject, pieces.text, pieces.html) == ("Tea", "At five?\r\n", None)
    assert pieces.message_id == "<1@x>"
    assert pieces.fields == (("X-Priority", "1"), ("Importance", "high"))


def test_what_others_make_anew_is_left_out_and_all_else_is_kept_in_order() -> None:
    pieces = take_apart(
        whole(
            "Received: from a by b\nReturn-Path: <x@y>\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n"
            "MIME-Version: 1.0\nBcc: eve@x.example\nX-One: a\n b\nContent-Language: en\nX-One: c\n"
        )
    )
    assert pieces.fields == (("X-One", "a b"), ("Content-Language", "en"), ("X-One", "c"))


def test_names_subjects_and_texts_are_read_in_their_charsets() -> None:
    content = (
        b"From: =?iso-8859-1?q?Z=F6e?= <zoe@example.com>\r\nTo: bob@example.net\r\n"
        b"Subject: =?utf-8?b?R3LDvMOfZQ==?= aus =?utf-8?q?K=C3=B6ln?=\r\n"
        b"Content-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        b"\r\nF=FCnf =80\r\n"
    )
    pieces = take_apart(content)
    assert (pieces.sender.name, pieces.subject, pieces.text) == ("Zöe", "Grüße aus Köln", "Fünf €\r\n")


def test_text_html_pictures_and_files_as_programs_build_them() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@example.com", "bob@example.net", "Tea"
    message.set_content("At five?")
    message.add_alternative("<img src='cid:cup'>", subtype="html")
    html = message.get_payload()[1]  # type: ignore[index]
    html.add_related(b"cup", "image", "png", cid="<cup>", filename="cup.png")  # type: ignore[union-attr]
    message.add_attachment(b"leaves", "application", "pdf", filename="Grüner Tee.pdf")
    message.add_attachment("a,b\n", "csv", filename="tea.csv")
    pieces = take_apart(message.as_bytes(policy=SMTP))
    assert (pieces.text, pieces.html) == ("At five?\r\n", "<img src='cid:cup'>\r\n")
    assert pieces.files == (
        File("cup.png", "image/png", b"cup", "cup"),
        File("Grüner Tee.pdf", "application/pdf", b"leaves"),
        File("tea.csv", "text/csv", b"a,b\r\n"),
    )


@pytest.mark.parametrize(
    "content",
    [
        mixed(TEXT, FILE),
        mixed(HTML, FILE),
        mixed(TEXT, HTML, kind="alternative"),
        mixed(HTML, CUP, kind="related"),
        mixed(HTML, CUP),  # the HTML names it: it is shown there all the same
        mixed(TEXT),
        whole("Content-Disposition: inline\n"),
        whole("Content-Type: text/plain; format=flowed\n", "Short\n-- \nAnn\n"),
        whole("Sender: ann@EXAMPLE.com\nTo: undisclosed-recipients:;\n").replace(
            b"To: bob@example.net\r\n", b""
        ),
    ],
)
def test_what_fits(content: bytes) -> None:
    assert take_apart(content).sender.address.local == "ann"


@pytest.mark.parametrize("picture", [CUP, CUP.replace("; filename=cup.png", "")])
def test_a_picture_is_known_by_its_id(picture: str) -> None:
    (file,) = take_apart(mixed(HTML, picture, kind="related")).files
    assert (file.content_id, file.octets) == ("cup@x", b"cup")
    assert file.name in {"cup.png", "cup@x"}


def test_an_id_that_nobody_names_makes_no_picture() -> None:
    (file,) = take_apart(mixed(TEXT, CUP.replace("inline", "attachment"))).files
    assert (file.name, file.content_id) == ("cup.png", "")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('filename="a b.pdf"', "a b.pdf"),
        ("filename*=utf-8''T%C3%A9.pdf", "Té.pdf"),
        ('filename*0="long "; filename*1=name.pdf', "long name.pdf"),
        ("filename*0*=utf-8''l%C3%A4n; filename*1*=g.pdf", "läng.pdf"),
        ('filename="=?utf-8?q?T=C3=A9?=.pdf"', "Té.pdf"),
        ('filename="q\\"q.pdf"; size=6', 'q"q.pdf'),
    ],
)
def test_names_of_files(disposition: str, name: str) -> None:
    part = f"Content-Type: application/pdf\nContent-Disposition: attachment; {disposition}\n\nleaves"
    (file,) = take_apart(mixed(TEXT, part)).files
    assert file.name == name


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"DKIM-Signature: v=1\r\n" + PLAIN, "it is signed (DKIM)"),
        (mixed(TEXT, "Content-Type: application/pgp-signature\n\nx", kind="signed"), "it is signed or"),
        (whole("Content-Type: application/pkcs7-mime\n"), "it is signed or encrypted"),
        (whole("", "-----BEGIN PGP MESSAGE-----\n"), "it is signed or encrypted"),
        (mixed(TEXT, "Content-Type: message/delivery-status\n\n", kind="report"), "multipart/report stands"),
        (mixed(TEXT, "Content-Type: message/rfc822\n\nFrom: x@y\n\n"), "message/rfc822 is among its files"),
        (mixed(TEXT, TEXT), "it has more than one text"),
        (mixed(TEXT, TEXT, kind="alternative"), "its alternatives are others"),
        (mixed(HTML, TEXT, kind="alternative"), "its alternatives are others"),
        (
            mixed(TEXT, "Content-Type: text/calendar; method=REQUEST\n\nBEGIN\n", kind="alternative"),
            "its alternatives are others",
        ),
        (
            mixed(TEXT, "Content-Type: text/calendar; method=REQUEST; name=a.ics\n"
                        "Content-Disposition: attachment\n\nx"),
            "a part of it has the parameter method",
        ),
        (mixed(TEXT, f"Content-MD5: x\n{FILE}"), "a part has the field Content-Md5"),
        (mixed(FILE), "application/pdf stands where its text should be"),
        (mixed(TEXT, FILE.replace("; filename=tea.pdf", "")), "one of its files has no name"),
        (mixed(TEXT, CUP), "a picture is to be shown that its HTML does not name"),
        (mixed(HTML, CUP.replace("Content-ID: <cup@x>\n", ""), kind="related"), "its HTML does not name"),
        (whole("Content-Type: text/plain; charset=no-such\n"), "its charset 'no-such' is not known"),
        (whole("Content-Type: text/plain; charset=utf-7\n", "+2AA-\n"), "it is not in the charset"),
        (HEAD + b"\r\nf\xfcnf\r\n", "it is not in the charset that it says"),
        (whole("Content-Transfer-Encoding: x-uuencode\n"), "its encoding is not known"),
        (whole("Content-Type: text/plain; format=flowed\n", "soft \nbreak\n"), "format=flowed"),
        (whole("", " \n"), "it has no text"),
        (whole("To: cho@example.net\n"), "the field To is there twice"),
        (whole("Sender: eve@example.com\n"), "Sender is another than From"),
        (whole("Resent-From: eve@example.com\n"), "sent again"),
        (whole("X-One: Grüße\n"), "the field X-One is not printable ASCII"),
        (whole(f"References: {'<a@b> ' * 200}\n"), "the field References is too long"),
        (whole("Content-MD5: x\n"), "it has the field Content-Md5"),
        (whole("Cc: Friends: cho@example.net;\n"), "Cc cannot be understood"),
        (whole("Cc: =?no-such?q?Cho?= <cho@example.net>\n"), "its charset 'no-such' is not known"),
        (whole("Reply-To: zoë@example.net\n"), "Reply-To has an address that is not ASCII"),
        (PLAIN.replace(b"Ann <ann@example.com>", b"ann@example.com, bob@example.com"), "From names nobody"),
        (PLAIN.replace(b"Tea", b"=?utf-8?q?=FF?="), "it is not in the charset that it says"),
        (PLAIN.replace(b"Tea", b"T\xfe"), "Subject is neither ASCII nor UTF-8"),
    ],
)  # fmt: skip
def test_what_does_not_fit(content: bytes, why: str) -> None:
    assert why in reason(content)


@given(st.binary(max_size=300))
def test_whatever_comes_is_taken_apart_or_refused(octets: bytes) -> None:
    for content in (HEAD + octets, mixed(TEXT, FILE).replace(b"application/pdf", octets[:40] or b"x/y")):
        try:
            pieces = take_apart(content)
        except DoesNotFit:
            continue
        assert isinstance(pieces, Pieces)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip), st.binary())
def test_what_was_put_together_comes_apart_again(text: str, octets: bytes) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "ann@example.com", "bob@example.net"
    message.set_content(text, cte="base64")
    message.add_attachment(octets, "application", "octet-stream", filename="x.bin")
    pieces = take_apart(message.as_bytes(policy=SMTP))
    assert pieces.text is not None
    assert pieces.text.splitlines() == text.splitlines()
    assert pieces.files == (File("x.bin", "application/octet-stream", octets),)
