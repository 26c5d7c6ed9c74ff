"""What a relay process does now and then, beside the mail: says that it lives, forgets what is long done."""

from __future__ import annotations

from datetime import timedelta

from relay import log
from relay.accounts.attempts import purge_attempts
from relay.accounts.bars import purge_bars
from relay.accounts.credentials import has_expired
from relay.db import nodes
from relay.delivery.rounds import check_those_due
from relay.queue.claim import TakeBack, take_back
from relay.queue.events import AT_MOST as EVENTS_AT_MOST
from relay.queue.events import purge_events
from relay.queue.janitor import AT_MOST, purge
from relay.routing import changes
from relay.routing.standing import forget_stands
from relay.service.house import House
from relay.submission.recheck import recheck

_FLUSH_EVERY = timedelta(milliseconds=250)
_LOOK_FOR_ORPHANS_EVERY = timedelta(seconds=30)
_LOOK_FOR_EXPIRED_EVERY = timedelta(seconds=10)
_LOOK_FOR_CHECKS_EVERY = timedelta(minutes=1)
_PURGE_EVERY = timedelta(minutes=10)
_BETWEEN_PURGES = timedelta(milliseconds=200)  # so that mail need not wait for a long row of them


async def take_back_own_leases(house: House) -> None:
    """Free what a predecessor of our name still had in its hands: it is dead, or we would not be here.

    How upstreams stood with it is forgotten, too.
    """
    order = TakeBack(house.clock.now(), house.post.owner)
    total = 0
    while freed := await house.db.write(take_back, order):
        total += freed
    if total:
        log.leases_taken_back(deliveries=total, why="the process that had them died")
    await house.db.write(forget_stands, house.post.owner)


async def say_that_we_live(house: House) -> None:
    """Note in the database that this process lives, and learn how many do."""
    while True:
        await beat(house)
        await house.clock.sleep(nodes.HEARTBEAT)


async def beat(house: House) -> None:
    """Note it once."""
    sign = nodes.Beat(house.post.owner, house.started_at, house.clock.now())
    house.processes.value = await house.db.write(nodes.beat, sign)


async def adopt_orphans(house: House) -> None:
    """Send by the default route what another process accepted for a route that was gone by then."""
    while True:
        await house.clock.sleep(_LOOK_FOR_ORPHANS_EVERY)
        if await house.db.read(changes.has_orphans):
            await house.db.write(changes.adopt_orphans, None)


async def send_away_the_expired(house: House) -> None:
    """End the sessions of credentials whose time is over."""
    looked_at = house.clock.now()
    while True:
        await house.clock.sleep(_LOOK_FOR_EXPIRED_EVERY)
        now = house.clock.now()
        if await house.db.read(has_expired, looked_at, now):
            await recheck(house.door)
        looked_at = now


async def forget_what_is_long_done(house: House) -> None:
    """Delete the records of messages finished longer ago than the setting says."""
    while True:
        await house.clock.sleep(_PURGE_EVERY)
        before = house.clock.now() - house.settings.value.message_retention
        total = 0
        while (gone := await house.db.write(purge, before)) == AT_MOST:
            total += gone
            await house.clock.sleep(_BETWEEN_PURGES)
        if total + gone:
            log.purged(messages=total + gone)
        oldest = house.clock.now() - house.settings.value.login_retention
        await house.db.write(purge_attempts, oldest)
        await house.db.write(purge_bars, house.clock.now())
        before = house.clock.now() - house.settings.value.event_retention
        while await house.db.write(purge_events, before) == EVENTS_AT_MOST:
            await house.clock.sleep(_BETWEEN_PURGES)


async def check_upstreams(house: House) -> None:
    """Test the upstreams step by step now and then, each by one process."""
    while True:
        await house.clock.sleep(_LOOK_FOR_CHECKS_EVERY)
        if every := house.settings.value.upstream_check_every:
            await check_those_due(
                house.db,
                house.clock,
                table=house.routing.value,
                tokens=house.tokens,
                hostname=house.post.config.hostname,
                every=every,
            )


async def show_the_log(house: House) -> None:
    """Write out what was logged, a few times a second."""
    while True:
        log.flush()
        await house.clock.sleep(_FLUSH_EVERY)
