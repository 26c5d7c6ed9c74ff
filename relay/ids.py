"""ULIDs: 26 characters, unique on every node, ordered by the time they were made.

The message's id is the queue id that the client is told, that stands in the Received field, the
log, the panel and the API (https://github.com/ulid/spec).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random, SystemRandom

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
_RANDOM_BITS = 80
_FORTY_BITS = (1 << 40) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def _written(milliseconds: int, randomness: int) -> str:
    """Write *milliseconds* since the epoch and 80 bits of *randomness* as a ULID."""
    time = f"{_PAIRS[milliseconds >> 40]}{_eight(milliseconds & _FORTY_BITS)}"
    return f"{time}{_eight(randomness >> 40)}{_eight(randomness & _FORTY_BITS)}"


def _eight(bits: int) -> str:
    """Forty *bits* as eight characters."""
    return f"{_PAIRS[bits >> 30]}{_PAIRS[bits >> 20 & 1023]}{_PAIRS[bits >> 10 & 1023]}{_PAIRS[bits & 1023]}"


def moment_of(name: str) -> datetime:
    """When the id *name* was made, to the millisecond.  Raises ValueError if it is no ULID."""
    if len(name) != 26:
        raise ValueError(f"not a ULID: {name!r}")
    milliseconds = 0
    for character in name[:10]:
        milliseconds = milliseconds << 5 | _CROCKFORD.index(character)
    return _EPOCH + timedelta(milliseconds=milliseconds)


def id_source(rng: Random | None = None) -> Callable[[datetime], str]:
    """Return a maker of ids that rise even within one millisecond.

    Ids made in the same millisecond (or while the clock stands or steps back) count up from the
    last one, so that an index on them is only ever appended to.
    """
    source = SystemRandom() if rng is None else rng
    last_moment, last_randomness = -1, 0  # in milliseconds

    def make(now: datetime) -> str:
        nonlocal last_moment, last_randomness
        moment = (now - _EPOCH) // _MILLISECOND
        if moment > last_moment:
            # One bit is left free, so that counting up cannot overflow within any real second.
            last_moment, last_randomness = moment, source.getrandbits(_RANDOM_BITS - 1)
        else:
            last_randomness += 1
        return _written(last_moment, last_randomness)

    return make
