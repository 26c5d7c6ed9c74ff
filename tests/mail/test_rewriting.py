"""Senders, answers and texts as an operator wants them; all else byte for byte."""

from email import message_from_bytes, policy
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.mail.address import Address
from relay.mail.header import scan
from relay.mail.letterhead import Texts
from relay.mail.mailbox import parse_mailbox
from relay.mail.rewriting import (
    NO_REWRITE,
    BadRewrite,
    Rewrite,
    checked,
    from_text,
    rewritten,
    to_members,
    to_text,
)

SHOP = Address.parse("shop@example.com")
SUPPORT = Address.parse("support@example.com")
LETTER = b"Subject: Tea\r\nFrom: Ann <ann@example.com>\r\nMessage-ID: <1@x>\r\n\r\nAt five?\r\n"
FOREIGN = LETTER.replace(b"ann@example.com", b"ann@elsewhere.example")


def field(content: bytes, name: str) -> str | None:
    value = message_from_bytes(content, policy=policy.default)[name]
    return None if value is None else str(value)


def test_nothing_asked_for_is_nothing_done() -> None:
    assert rewritten(LETTER, ()).content is LETTER
    assert not NO_REWRITE
    assert rewritten(LETTER, (NO_REWRITE,)).content is LETTER


def test_a_default_sender_is_for_other_domains() -> None:
    rule = Rewrite(from_address=SHOP)
    assert rewritten(LETTER, (rule,)).content is LETTER
    assert rewritten(FOREIGN, (rule,)).content == (
        b"Reply-To: Ann <ann@elsewhere.example>\r\nSubject: Tea\r\nFrom: Ann\r\n <shop@example.com>\r\n"
        b"Message-ID: <1@x>\r\n\r\nAt five?\r\n"
    )


def test_authors_who_are_all_at_the_domain_of_a_default_sender_stay() -> None:
    rule = Rewrite(from_address=SHOP, from_name="The Shop")
    both = LETTER.replace(b"Ann <ann@example.com>", b"Ann <ann@example.com>, bob@Example.com")
    assert rewritten(both, (rule,)).content is both
    forced = Rewrite(from_address=SHOP, is_forced=True)
    assert field(rewritten(both, (forced,)).content, "From") == "shop@example.com"
    one_foreign = rewritten(both.replace(b"bob@Example.com", b"bob@elsewhere.example"), (rule,)).content
    assert field(one_foreign, "From") == "The Shop <shop@example.com>"
    assert field(one_foreign, "Reply-To") == "Ann <ann@example.com>, bob@elsewhere.example"


def test_a_default_name_is_for_senders_without_one() -> None:
    rule = Rewrite(from_name="The Shop")
    assert rewritten(LETTER, (rule,)).content is LETTER
    bare = LETTER.replace(b"Ann <ann@example.com>", b"ann@example.com")
    assert field(rewritten(bare, (rule,)).content, "From") == "The Shop <ann@example.com>"


def test_a_forced_sender_is_for_all_and_nobody_else_is_named() -> None:
    rule = Rewrite(from_address=SHOP, from_name="The Shop", is_forced=True)
    content = rewritten(b"Sender: bob@example.com\r\n" + LETTER, (rule,)).content
    assert (field(content, "From"), field(content, "Sender")) == ("The Shop <shop@example.com>", None)
    assert field(content, "Reply-To") == "Ann <ann@example.com>"
    kept = rewritten(b"Reply-To: x@example.org\r\n" + LETTER, (rule,)).content
    assert field(kept, "Reply-To") == "x@example.org"


@pytest.mark.parametrize("name", ["", "Böll"])
def test_a_domain_beyond_ascii_bars_no_upstream_without_smtputf8(name: str) -> None:
    books = Address.parse("books@bücher.example")
    rule = Rewrite(from_address=books, from_name=name, is_forced=True, reply_to=books)
    content = rewritten(LETTER.replace(b"Ann ", b""), (rule,)).content
    assert content.isascii()
    assert str(field(content, "From")).endswith("books@xn--bcher-kva.example" + (">" if name else ""))
    assert field(content, "Reply-To") == "books@xn--bcher-kva.example"


def test_answers_go_where_the_operator_says() -> None:
    answering = b"Reply-To: x@example.org\r\nReply-To: y@example.org\r\n" + LETTER
    assert rewritten(answering, (Rewrite(reply_to=SUPPORT),)).content == (
        b"Reply-To: support@example.com\r\n" + LETTER
    )
    assert rewritten(answering, (Rewrite(answers_to_from=True),)).content == LETTER
    assert rewritten(LETTER, (Rewrite(answers_to_from=True),)).content is LETTER
    forced = Rewrite(from_address=SHOP, is_forced=True, answers_to_from=True)
    assert field(rewritten(LETTER, (forced,)).content, "Reply-To") is None


def test_the_users_rule_comes_first_then_the_upstreams() -> None:
    user = Rewrite(from_address=SHOP, from_name="Shop", is_forced=True, reply_to=SUPPORT)
    upstream = Rewrite(from_address=Address.parse("account@provider.example"), is_forced=True)
    content = rewritten(LETTER, (user, upstream)).content
    assert field(content, "From") == "Shop <account@provider.example>"
    assert field(content, "Reply-To") == "support@example.com"


@pytest.mark.parametrize(
    "name",
    ["Plain Name", 'With "quotes" \\ and, comma', "Grüße an alle Gäste " * 6, "日本" * 30, "=?utf-8?q?x?="],
)
def test_a_name_of_any_letters_is_read_as_it_was_meant(name: str) -> None:
    content = rewritten(LETTER, (Rewrite(from_name=name.strip(), is_forced=True),)).content
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) < 200
    # Python's own reader puts a space between two encoded words of a name, which RFC 2047 §6.2 forbids.
    raw = scan(content).all("from")[0].value
    assert raw.endswith(b" <ann@example.com>")
    if "=?" in name:
        assert b'"=?utf-8?q?x?="' in raw, "in quotes, where no reader decodes it"
    else:
        assert parse_mailbox(raw).name == name.strip()


def test_what_is_signed_by_dkim_keeps_its_sender_unless_forced() -> None:
    signed = b"DKIM-Signature: v=1\r\n" + FOREIGN
    found = rewritten(signed, (Rewrite(from_address=SHOP, texts=Texts(footer="x")),))
    assert found.content is signed
    assert found.left_alone == (
        "sender: a DKIM signature covers it; header and footer: a DKIM signature covers it"
    )
    forced = rewritten(signed, (Rewrite(from_address=SHOP, is_forced=True),))
    assert (field(forced.content, "From"), forced.left_alone) == ("Ann <shop@example.com>", None)


def test_a_sender_that_cannot_be_read_is_only_replaced_as_a_whole() -> None:
    odd = LETTER.replace(b"Ann <ann@example.com>", b"a@x.example, b@x.example")
    assert rewritten(odd, (Rewrite(from_name="N", is_forced=True),)).content is odd
    content = rewritten(odd, (Rewrite(from_address=SHOP, from_name="N"),)).content
    assert field(content, "From") == "N <shop@example.com>"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Rewrite(is_forced=True), "missing"),
        (Rewrite(from_name="a\r\nBcc: x"), "control"),
        (Rewrite(reply_to=SHOP, answers_to_from=True), "not both"),
        (Rewrite(texts=Texts(footer="x" * 901)), "900"),
        (Rewrite(texts=Texts(header="a\x00b")), "control"),
    ],
)
def test_what_makes_no_sense_is_refused(rule: Rewrite, reason: str) -> None:
    with pytest.raises(BadRewrite, match=reason):
        checked(rule)


NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=30).filter(
    str.isprintable
)
RULES = st.builds(
    Rewrite,
    from_name=NAMES,
    from_address=st.sampled_from([None, SHOP, Address.parse("a@other.example")]),
    is_forced=st.booleans(),
    reply_to=st.sampled_from([None, SUPPORT]),
    answers_to_from=st.booleans(),
    texts=st.builds(Texts, *[st.sampled_from(["", "Hello", "Grüße"])] * 4),
)


@given(RULES)
def test_a_rule_is_kept_as_it_is(rule: Rewrite) -> None:
    assert from_text(to_text(rule)) == rule
    assert from_text("{}") == NO_REWRITE
    assert from_text('{"from_the_future": 1}') == NO_REWRITE
    assert to_members(NO_REWRITE) == {}


KEPT_FIELDS = (
    b"Received: from\r\n\t a  b",
    b"Message-ID:<1@x>",
    b"X-Odd :   \t y ",
    b"subject:  \tTea",
    b"Date: now",
)
MESSAGES = [
    (fields, sender, body)
    for fields, sender, body in product(
        [KEPT_FIELDS, (*KEPT_FIELDS, b"Reply-To: q@example.org"), (*KEPT_FIELDS, b"DKIM-Signature: v=1")],
        [b"From: ann@example.com", b"from:\tAnn <ann@elsewhere.example>"],
        [
            b"",
            b"Tea?\r\n",
            "fünf\r\n".encode(),
            b"-----BEGIN PGP MESSAGE-----\r\n",
            b" odd  \r\n.\r\n\r\n\r\n",
        ],
    )
]


@settings(max_examples=300)
@given(st.sampled_from(MESSAGES), st.lists(RULES, max_size=2), st.booleans())
def test_whatever_is_asked_for_all_else_stays_byte_for_byte(
    message: tuple[tuple[bytes, ...], bytes, bytes], rules: list[Rewrite], with_letterhead: bool
) -> None:
    fields, sender, body = message
    head = b"".join(each + b"\r\n" for each in (*fields[:2], sender, *fields[2:]))
    content = rewritten(head + b"\r\n" + body, rules, with_letterhead=with_letterhead).content
    new_head, _, new_body = content.partition(b"\r\n\r\n")
    untouched = [each for each in KEPT_FIELDS if each + b"\r\n" in new_head + b"\r\n"]
    assert untouched == list(KEPT_FIELDS)
    left = (new_head + b"\r\n").replace(b"".join(each + b"\r\n" for each in KEPT_FIELDS[:2]), b"")
    for each in (*KEPT_FIELDS[2:], b"DKIM-Signature: v=1"):
        left = left.replace(each + b"\r\n", b"")
    names = {
        line.partition(b":")[0].strip().lower() for line in left.split(b"\r\n") if line[:1] not in b" \t"
    }
    may = {b"from", b"reply-to", b"mime-version", b"content-type", b"content-transfer-encoding", b""}
    assert names <= may
    is_signed = b"DKIM" in head or b"PGP" in body
    if is_signed or not with_letterhead or not any(rule.texts for rule in rules):
        assert new_body == body
    elif b"quoted-printable" not in left:
        assert body in new_body
