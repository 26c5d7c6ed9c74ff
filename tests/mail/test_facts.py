"""What is remembered of a header, besides what policy asks."""

from relay.mail.facts import facts_of
from relay.mail.header import scan
from relay.mail.priority import Priority


def test_a_header_in_a_few_words() -> None:
    facts = facts_of(
        scan(
            b"From: Ann <ann@example.com>\r\nSubject: Tea\r\n at five\r\nMessage-ID: <1@example.com>\r\n"
            b"X-Relay-Tag: tea\r\nX-Priority: 1\r\nImportance: low\r\nX-Mailer: x\r\n\r\n"
        )
    )
    assert facts.header_from == "Ann <ann@example.com>"
    assert facts.subject == "Tea at five"
    assert facts.message_id == "<1@example.com>"
    assert facts.tag == "tea"
    assert set(facts.priorities.values()) == {Priority.VERY_HIGH, Priority.LOW}


def test_of_two_fields_the_first_counts() -> None:
    assert facts_of(scan(b"Subject: one\r\nSubject: two\r\n\r\n")).subject == "one"


def test_of_two_priorities_the_higher_counts() -> None:
    facts = facts_of(scan(b"X-Priority: 5\r\nX-Priority: 2\r\nX-Priority: high\r\n\r\n"))
    assert facts.priorities == {"x-priority": Priority.HIGH}


def test_an_empty_header_has_no_facts() -> None:
    facts = facts_of(scan(b"\r\n"))
    assert (facts.header_from, facts.subject, facts.message_id, facts.tag) == (None, None, None, None)
    assert facts.priorities == {}


def test_a_fact_is_as_long_as_its_column_at_most() -> None:
    assert facts_of(scan(b"Subject: " + b"x" * 1000 + b"\r\n\r\n")).subject == "x" * 255


def test_of_several_tags_ours_counts_wherever_it_stands() -> None:
    assert facts_of(scan(b"X-PM-Tag: theirs\r\nX-Relay-Tag: ours\r\n\r\n")).tag == "ours"
    assert facts_of(scan(b"X-PM-Tag: theirs\r\nX-Mailer: x\r\n\r\n")).tag == "theirs"
