"""What one process bars, all of them bar: the guards of all processes and nodes share it by the database."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from relay.accounts.bars import Bar, bars_in_force, set_bars
from relay.submission.guard import By, Source

if TYPE_CHECKING:
    from relay.submission.listener import Door

READ_EVERY = timedelta(seconds=3)


def share(door: Door, source: Source) -> None:
    """Tell the others that *source* reached its limit; nobody waits for that."""
    until = door.office.clock.now() + door.office.settings.value.login_lockout
    door.handler.write_aside(set_bars, Bar(source.by.value, source.text, until))


async def follow(door: Door) -> None:
    """Bar what others bar, again and again."""
    while True:
        await read(door)
        await door.office.clock.sleep(READ_EVERY)


async def read(door: Door) -> None:
    """Bar what others bar at this moment.  Raises what the database raises.

    One that would last longer than any does was set when the clock was ahead, or by another setting: it is
    over.
    """
    now, longest = door.office.clock.now(), door.office.settings.value.login_lockout
    bars = [bar for bar in await door.office.db.read(bars_in_force, now) if bar.until - now <= longest]
    door.guard.adopt({Source(By(b.kind), b.source): (b.until - now).total_seconds() for b in bars})
