"""What is fuzzed: each target takes octets and fails, by an exception, where a promise does not hold.

They are plain functions: `test_targets.py` runs them on their seeds, `run.py` lets atheris look for more.
"""

from __future__ import annotations

import binascii
import contextlib
import email
import json
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping

from relay.accounts.proofs import Candidate, Proofs
from relay.accounts.scram import keys_of
from relay.accounts.tokens import BadKeys, BadToken, Key, key_id, read_keys, user_named_in
from relay.accounts.verifier import Verdict
from relay.delivery.transports.replies import ReplyReader
from relay.mail import entity
from relay.mail.address import Address, BadAddress
from relay.mail.bodies import DoesNotFit
from relay.mail.downgrade import CannotDowngrade, to_seven_bit
from relay.mail.dsn import ascii_orcpt, is_envid, is_orcpt
from relay.mail.header import BadHeader, scan
from relay.mail.lines import (
    dot_stuffed,
    dot_stuffed_pieces,
    dot_unstuffed,
    has_bare,
    has_longer,
    normalised,
)
from relay.mail.mailbox import BadMailbox, parse_mailbox_list
from relay.mail.pieces import take_apart
from relay.mail.reply import Reply
from relay.notify.report import Fate
from relay.submission.bearer import read_oauthbearer, read_xoauth2, text_of_pairs
from relay.submission.conversation import BadResponse, Circumstances, Inquiry, Token, Voucher
from relay.submission.framing import Content, Frame, Framer
from relay.submission.mechanisms import MECHANISMS
from relay.submission.path import split_path
from relay.submission.proxy import BadProxyHeader, read_header
from tests.kit.clock import NOON
from tests.kit.makers import make_envelope
from tests.kit.tokens import TERMS, b64url, document
from tests.mail.test_mailbox_properties import key_of, shown_by_others
from tests.notify.reports import bounced, claimed

_KEYS = keys_of("correct-horse", b"salt" * 4)
REPORT_HEAD = {
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "auto-submitted",
    "mime-version",
    "content-type",
}
STATUS_FIELDS = {"Final-Recipient", "Action", "Status", "Diagnostic-Code", "Last-Attempt-Date"}
TOKEN_KEYS = read_keys(document())
ANY_SIGNATURE = tuple(Key(None, name, lambda _said, _signed: True) for name in ("RS256", "ES256", "EdDSA"))
PROOFS = Proofs((Candidate(_KEYS, None, "nobody"),), 1)


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut *data* by what its first octets say."""
    cuts, data = data[:4], data[4:]
    position = 0
    for cut in cuts:
        yield data[position : position + cut % 16]
        position += cut % 16
    yield data[position:]


def framing(data: bytes) -> None:
    """Frames do not depend on the packets; a message ends at the first CRLF.CRLF and nowhere else."""

    def frames(chunks: list[bytes], *, content: bool) -> list[Frame]:
        framer, found = Framer(), []
        if content:
            framer.expect_content(1 << 20)
        for chunk in chunks:
            framer.feed(chunk)
            while (frame := framer.next()) is not None:
                found.append(frame)
        return found

    parts = list(pieces(data))
    whole = b"".join(parts)
    for content in (False, True):
        assert frames(parts, content=content) == frames([whole], content=content)
    end = (b"\r\n" + whole).find(b"\r\n.\r\n")
    found = frames(parts, content=True)
    if end < 0:
        assert not found
    else:
        assert isinstance(found[0], Content)
        assert found[0].octets == whole[:end]


def lines(data: bytes) -> None:
    """Dots go and come back; settled line ends stay settled; what leaves cannot end early."""
    content = normalised(data)
    assert not has_bare(content)
    assert normalised(content) == content
    stuffed = dot_stuffed(content)
    assert dot_unstuffed(stuffed) == content
    assert b"".join(dot_stuffed_pieces(content, 2 + len(data) % 7)) == stuffed
    assert b"\r\n.\r\n" not in b"\r\n" + stuffed


def addresses(data: bytes) -> None:
    """An address is one in any spelling, and has nothing in it that could leave its line."""
    with contextlib.suppress(UnicodeDecodeError, BadAddress):
        text = data.decode()
        address = Address.parse_path(text)
        assert "\r" not in str(address)
        assert "\n" not in str(address)
        assert Address.parse_path(str(address)) == address
        if address is not Address.NULL:
            assert Address.parse(f"{address.local}@{address.domain_key}").key == address.key


def paths(data: bytes) -> None:
    """What is split off stands in the line, and a path with brackets inside is quoted."""
    with contextlib.suppress(UnicodeDecodeError):
        found = split_path("FROM:", "FROM:" + data.decode())
        if found is not None:
            path, parameters = found
            assert path in data.decode()
            assert ">" not in path or '"' in path
            assert not any(" " in parameter for parameter in parameters)


def header(data: bytes) -> None:
    """Python's own parser finds no From field that we do not."""
    content = normalised(data)
    try:
        found = scan(content)
    except BadHeader:
        return
    assert found.end == len(content) or content[found.end : found.end + 2] == b"\r\n"
    theirs = email.message_from_bytes(content).get_all("From", [])
    assert len(theirs) <= len(found.all("from")), theirs


def mailboxes(data: bytes) -> None:
    """Where Python's parsers show an address, it is one that we saw, or the field is refused."""
    try:
        ours = {mailbox.address.key for mailbox in parse_mailbox_list(data)}
    except BadMailbox:
        return
    assert {key_of(address) for address in shown_by_others(data)} <= ours


def proxy(data: bytes) -> None:
    """A header is known by its own octets alone, however many follow, and no sooner."""
    try:
        found = read_header(data)
    except BadProxyHeader:
        return
    if found is not None:
        assert read_header(data[: found.length]) == found
        assert read_header(data[: found.length - 1]) is None


def sasl(data: bytes) -> None:
    """Whatever a client answers, a mechanism goes on, ends, or says that it is no answer."""
    for mechanism in MECHANISMS.values():
        conversation = mechanism.begin(Circumstances())
        with contextlib.suppress(BadResponse, StopIteration, binascii.Error):
            next(conversation)
            for line in data.split(b"\n"):
                asked = conversation.send(b64decode(line, validate=True) if data[:1] == b"=" else line)
                if isinstance(asked, Inquiry):
                    conversation.send(PROOFS)
                elif isinstance(asked, Token):
                    conversation.send(Voucher(asked.name, Verdict(None, "nobody")))


def bearer(data: bytes) -> None:
    """A response that is taken says the same when it is written again; its token names nobody."""
    for read, write in ((read_oauthbearer, "n,{},\1auth={}\1\1"), (read_xoauth2, "user={}\1auth={}\1\1")):
        with contextlib.suppress(BadResponse, BadToken):
            shown = read(text_of_pairs(data))
            assert "\1" not in shown.name + shown.text
            name = shown.name
            if read is read_oauthbearer:
                name = "a=" + name.replace("=", "=3D").replace(",", "=2C") if name else ""
            auth = f"Bearer {shown.text}" if shown.text else ""
            assert read(text_of_pairs(write.format(name, auth).encode())) == shown
            user_named_in(shown.text, TOKEN_KEYS, TERMS, NOON)


def tokens(data: bytes) -> None:
    """Whatever a token's header and claims say, without the issuer's signature it names nobody."""
    header, _, claims = data.partition(b"\n")
    for text in (data.decode("latin-1"), f"{b64url(header)}.{b64url(claims)}.{b64url(bytes(64))}"):
        with contextlib.suppress(BadToken):
            key_id(text)
            user_named_in(text, TOKEN_KEYS, TERMS, NOON)
            raise AssertionError(text)
    with contextlib.suppress(BadToken):  # what is in it is read in order, too, once it is signed
        user_named_in(f"{b64url(header)}.{b64url(claims)}.AA", ANY_SIGNATURE, TERMS, NOON)
    with contextlib.suppress(BadKeys):
        assert read_keys(data)


def replies(data: bytes) -> None:
    """What an upstream says means the same however it is cut, and none of it is kept without end."""

    def read(chunks: list[bytes]) -> tuple[list[object], bool]:
        reader = ReplyReader()
        found = [answer for chunk in chunks for answer in reader.feed(chunk)]
        return list(found), reader.fault is None

    parts = list(pieces(data))
    assert read(parts) == read([b"".join(parts)])


def orcpt(data: bytes) -> None:
    """An ORCPT that is taken can be told to an upstream in one word of ASCII."""
    with contextlib.suppress(UnicodeDecodeError):
        text = data.decode()
        if is_orcpt(text, smtputf8=True):
            told = ascii_orcpt(text)
            assert told.isascii()
            assert told.isprintable()
            assert " " not in told


def mime(data: bytes) -> None:
    """Parts lie within their whole, one after another; what is made 7-bit is so, and stays as it is then."""

    def walk(found: entity.Entity, level: int = 0) -> None:
        position = found.body - 2
        for part in found.parts() if found.kind[0] == b"multipart" and level < entity.MOST_LEVELS else ():
            assert position <= part.header_end <= part.body <= part.end <= found.end
            position = part.end
            walk(part, level + 1)

    content = normalised(data)
    with contextlib.suppress(entity.BadEntity):
        walk(entity.read(content))
    with contextlib.suppress(CannotDowngrade):
        told = to_seven_bit(content)
        assert told.isascii()
        assert not has_bare(told)
        assert to_seven_bit(told) == told
    with contextlib.suppress(DoesNotFit):
        apart = take_apart(content)
        assert apart.sender.address.local.isascii()
        json.dumps([apart.subject, apart.text, apart.html], ensure_ascii=False).encode()
        assert all(file.name.isprintable() for file in apart.files)


def reports(data: bytes) -> None:
    """Whatever the upstream said and the message was, the report is one that others read as it was meant."""
    words, _, content = data.partition(b"\n\n")
    said, remote, envid, orcpt = (words.decode("latin-1").split("\n") + [""] * 4)[:4]
    envelope = make_envelope(envid=envid if is_envid(envid) else None, ret="FULL")
    recipient = envelope.recipients[0]
    if is_orcpt(orcpt, smtputf8=True):
        recipient = recipient._replace(orcpt=orcpt)
    fate = Fate(recipient, Reply.parse(550, said.split("\r")), remote or None)
    report = bounced(fate, of=claimed(envelope=envelope), content=normalised(content))
    assert report is not None
    assert not has_bare(report.content)
    assert not has_longer(report.content, 998)
    assert {found.name for found in scan(report.content).fields} == REPORT_HEAD
    kinds = [part.get_content_type() for part in email.message_from_bytes(report.content).walk()]
    assert kinds[:3] == ["multipart/report", "text/plain", "message/delivery-status"]
    _, about, recipients, *_ = (
        part for part in email.message_from_bytes(report.content).walk() if not part.is_multipart()
    )
    assert set(about) <= {"Original-Envelope-Id", "Reporting-MTA", "Arrival-Date"}
    assert set(recipients) - {"Original-Recipient", "Remote-MTA"} == STATUS_FIELDS
    assert recipients["Final-Recipient"] == "rfc822; bob@example.net"
    assert recipients["Action"] == "failed"


_ALL = (framing, lines, addresses, paths, header, mailboxes, proxy, sasl, bearer, tokens, replies, orcpt)
TARGETS: Mapping[str, Callable[[bytes], None]] = {each.__name__: each for each in (*_ALL, mime, reports)}
SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "framing": (b"\1\2\3\4text\r\n.\r\nNOOP\r\n", b"\3\1\0\7\r\n..\r\n.\n.\r\n.\r\n", b"\0\0\0\1.\r\n"),
    "lines": (b".\r\n..\r\n.", b"\r.\r\n\n.\n", b"a\r\n.\r\nb"),
    "addresses": (b"ann@example.com", '"a b"@exämple.org'.encode(), b"@a,@b:c@d", b"x@[IPv6:::1]", b""),
    "paths": (b"<ann@example.com> SIZE=1", b'<"a>b"@c> BODY=8BITMIME', b"<>"),
    "header": (b"From: a@b\r\nfrom : c@d\r\n\r\nx", b"A: b\r\n c\r\n\td\r\n", b"\r\nFrom: x"),
    "mailboxes": (
        b'"Ann, Example" <ann@example.com>',
        b"=?utf-8?q?J=C3=B6?= (x) <j@x.y>",
        b"a@b, c@d",
        b"g: a@b;",
        b'"."@XX',
        b'"\\f F@"@X',
        b'=?ut"f-8?q?+=C3=B6?=""@X"<j@x.y>',
    ),
    "proxy": (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\nEHLO",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
        b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x27" + bytes(39),
    ),
    "sasl": (b"\0ann\0pw", b"ann\npw", b"n,,n=ann,r=abc\nc=biws,r=abc,p=AAAA", b"=AGFubgBwdw=="),
    "bearer": (
        b"n,a=ann,\1host=relay.test\1auth=Bearer a.b.c\1\1",
        b"y,,\1auth=\1\1",
        b"user=ann\1auth=bearer abc==\1\1",
    ),
    "tokens": (
        b'{"alg":"RS256"}\n{"iss":"https://login.example.com","aud":["relay"],"exp":1772452900,"email":"ann"}',
        b'{"alg":"RS256","kid":"RS256","typ":"at+jwt"}\n{"nbf":1772452700,"email_verified":true}',
        b'{"alg":"none","crit":["exp"]}\n{"exp":1e999}',
        b'{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","use":"sig","key_ops":["verify"]}]}',
        b'{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}',
    ),
    "replies": (
        b"\x01\x02\x03\x04250-a\r\n250 b\r\n",
        b"\0\0\0\x00220 x\r\n354\r\n",
        b"\1\1\1\x01550 5.1.1 no\n",
    ),
    "mime": (
        b"From: a@b\nSubject: =?utf-7?q?+2AA-?=\nContent-Type: text/plain; charset=utf-7\n\n+2AA-\n",
        b"Content-Type: multipart/mixed; boundary=x\n\n--x\n\n\xe4\n--x\nA: b\n\nc\n--x--\n",
        b'Content-Type: multipart/a; boundary="x y"\n\n--x y\nContent-Type: message/rfc822\n\nC: d\n\n\xff',
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + "ä\r\n".encode() * 40,
    ),
    "reports": (
        b"5.1.1 No such user\rtry again\nmx.example.net\nQQ+2B\nrfc822;bob+2Ba@c\n\nFrom: a@b\n\nx\n",
        b"\xff\n\nSubject: \xc3\xa4\n\n\xe4",
        b"--=_report\n\n--=_report--\n",
    ),
    "orcpt": (b"rfc822;bob@example.org", b"rfc822;a+2Bb@c", b"utf-8;\\x{F8}@x", "utf-8;bøb@x".encode()),
}
