"""Where the issuer's keys come from, and what becomes of logins while they cannot be had."""

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from relay.accounts.issuer import MAX_OCTETS, Issuer, KeysUnavailable, fetch, issuer_of
from relay.accounts.tokens import BadToken
from relay.config import OAuthSection
from tests.kit.tokens import TERMS, document, jwks, published, token


class Ticks:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def named(issuer: Issuer, text: str) -> str:
    return await issuer.user_named_in(text, datetime.now(UTC))


async def test_without_an_issuer_there_is_none() -> None:
    assert issuer_of(OAuthSection()) is None


async def test_keys_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(document())
    issuer = issuer_of(OAuthSection(issuer=TERMS.issuer, audience=TERMS.audience, jwks=str(path)))
    assert issuer is not None
    assert await named(issuer, token()) == "ann"


async def test_keys_are_fetched_once_for_all_who_come_at_the_same_moment() -> None:
    with published() as publisher:
        section = OAuthSection(issuer=TERMS.issuer, audience=TERMS.audience, jwks=publisher.url)
        issuer = issuer_of(section)
        assert issuer is not None
        assert await asyncio.gather(*(named(issuer, token()) for _ in range(20))) == ["ann"] * 20
        assert publisher.asked == 1


async def test_a_new_key_is_known_at_once_and_invented_ones_do_not_hammer_the_issuer() -> None:
    ticks = Ticks()
    with published() as publisher:
        publisher.document = document(jwks()[:1])
        issuer = Issuer(TERMS, partial(fetch, publisher.url), ticks=ticks)
        assert await named(issuer, token()) == "ann"
        publisher.document = document()
        ticks.seconds = 31
        assert await named(issuer, token(algorithm="ES256")) == "ann"
        for _ in range(10):
            with pytest.raises(BadToken):
                await named(issuer, token(header={"kid": "invented"}))
        assert publisher.asked == 2


async def test_a_withdrawn_key_is_good_for_nothing_after_ten_minutes() -> None:
    ticks = Ticks()
    with published() as publisher:
        issuer = Issuer(TERMS, partial(fetch, publisher.url), ticks=ticks)
        assert await named(issuer, token()) == "ann"
        publisher.document = document(jwks()[1:])
        ticks.seconds = 601
        with pytest.raises(BadToken):
            await named(issuer, token())


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, document()), (302, document()), (200, b"<html>"), (200, b" " * (MAX_OCTETS + 1))],
)
async def test_while_the_issuer_is_away_its_keys_are_believed_for_a_day(status: int, said: bytes) -> None:
    ticks = Ticks()
    with published() as publisher:
        issuer = Issuer(TERMS, partial(fetch, publisher.url), ticks=ticks)
        good, publisher.status, publisher.document = publisher.document, status, said
        with pytest.raises(KeysUnavailable):
            await named(issuer, token())
        publisher.status, publisher.document = 200, good
        ticks.seconds = 31
        assert await named(issuer, token()) == "ann"
        publisher.status, publisher.document = status, said
        ticks.seconds = 23 * 3600
        assert await named(issuer, token()) == "ann"
        ticks.seconds = 25 * 3600
        with pytest.raises(KeysUnavailable):
            await named(issuer, token())


async def test_an_issuer_that_does_not_answer_is_none() -> None:
    with published() as publisher:
        url = publisher.url
    with pytest.raises(KeysUnavailable):
        await named(Issuer(TERMS, partial(fetch, url)), token())
