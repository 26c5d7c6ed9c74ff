from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from relay.mail.address import Address
from relay.mail.envelope import Body, Envelope, Recipient
from relay.queue.envelopes import address_of, envelope_of, options_of
from tests.kit.clock import NOON
from tests.kit.makers import make_acceptance, make_envelope
from tests.queue.steps import claim_one, keep

words = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_characters='@"'), min_size=1)
local_parts = words | words.map(lambda word: f'"{word} @ {word}"')
addresses = st.builds(Address, local_parts, words) | st.just(Address.NULL)
moments = st.none() | st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001  the zone is given beside it
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001  likewise
    timezones=st.just(UTC),
)
maybe_words = st.none() | words
recipients = st.lists(st.tuples(addresses, maybe_words, maybe_words), min_size=1, max_size=4).map(
    lambda rows: tuple(
        Recipient(number, address, notify, orcpt) for number, (address, notify, orcpt) in enumerate(rows, 1)
    )
)
envelopes = st.builds(
    Envelope,
    sender=addresses,
    recipients=recipients,
    body=st.sampled_from(Body),
    size_declared=st.none(),
    smtputf8=st.booleans(),
    ret=maybe_words,
    envid=maybe_words,
    mt_priority=st.none() | st.integers(-9, 9),
    hold_until=moments,
    deliver_by=moments,
    by_mode=maybe_words,
    by_seconds=st.none(),
    require_tls=st.booleans(),
    auth=maybe_words,
)


@given(envelopes)
def test_an_envelope_is_read_back_as_it_was_kept(envelope: Envelope) -> None:
    read = envelope_of(
        sender=str(envelope.sender),
        body=envelope.body.value,
        smtputf8=envelope.smtputf8,
        options=options_of(envelope),
        recipients=[
            Recipient(one.number, address_of(str(one.address)), one.notify, one.orcpt)
            for one in envelope.recipients
        ],
    )
    assert read == envelope


def test_what_few_ask_for_costs_the_others_nothing() -> None:
    assert options_of(make_envelope(body=Body.EIGHT_BIT, smtputf8=True, size_declared=1000)) is None


def test_an_envelope_comes_through_the_tables_unchanged(engine: Engine) -> None:
    envelope = Envelope(
        sender=Address('"ann @ home"', "example.com"),
        recipients=(
            Recipient(1, Address("bob", "example.net"), "SUCCESS,DELAY", "rfc822;Bob+40example.net"),
            Recipient(2, Address("δοκιμή", "παράδειγμα.example"), "NEVER"),
        ),
        body=Body.BINARY,
        smtputf8=True,
        ret="HDRS",
        envid="QQ314159",
        mt_priority=-3,
        hold_until=NOON,
        deliver_by=NOON,
        by_mode="R",
        require_tls=True,
        auth="<>",
    )
    keep(engine, make_acceptance(envelope=envelope))
    assert claim_one(engine).envelope == envelope


def test_who_first_handed_it_in_is_not_shown_by_chance() -> None:
    shown = repr(make_envelope(auth="ann+2Bsecret@example.com", ret="FULL"))
    assert "secret" not in shown
    assert "ret='FULL'" in shown
