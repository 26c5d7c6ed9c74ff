"""How a relay process lives: it opens its house, keeps it, and closes it in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from relay import log, settings
from relay.bell import Bell
from relay.clock import SystemClock
from relay.db import nodes
from relay.db.revision import Subject
from relay.db.scribe import ScribeGone
from relay.delivery.stationery import load_stationery
from relay.queue.stops import load_stops
from relay.routing import routes
from relay.service import upkeep
from relay.service.house import House, Post, build
from relay.service.keep_alive import keep_alive
from relay.submission import bars
from relay.submission.recheck import recheck

_LOOK_AT_CERTIFICATES_SECONDS = 30.0


async def run_relay(
    post: Post, *, ready: Callable[[], None], stopping: asyncio.Event, renewing: asyncio.Event
) -> None:
    """Be one relay process, the whole road of a letter, until *stopping* is set.

    *ready* is called when the first client can be served; whenever *renewing* is set, the
    certificate is read anew.  Raises DBAPIError or OSError if the house cannot be opened, and ScribeGone
    when nothing can be written any more.
    """
    house = await build(post, SystemClock())
    await upkeep.take_back_own_leases(house)
    await upkeep.beat(house)
    tasks = [
        asyncio.create_task(keep_alive(name, work, house.clock), name=name)
        for name, work in _long_lived(house, renewing).items()
    ]
    bell = Bell(post.run_directory, post.owner.rpartition("/")[2], lambda: _rung(house))
    bell.hang()
    for listener in post.config.listeners:
        await house.door.listen(listener, post.sockets[listener.name])
    log.started(process="relay", owner=post.owner, pid=os.getpid())
    log.flush()
    ready()
    await _until(stopping, house)
    bell.take_down()
    await _close(house, tasks)


async def _until(stopping: asyncio.Event, house: House) -> None:
    """Wait until it is time to stop in order; without a scribe there is no order to stop in."""
    if house.scribe is None:
        await stopping.wait()
        return
    ends = [asyncio.create_task(event.wait()) for event in (stopping, house.scribe.gone)]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    if not stopping.is_set():
        raise ScribeGone("the writing process ended")


def _long_lived(house: House, renewing: asyncio.Event) -> dict[str, Callable[[], Awaitable[None]]]:
    """What runs as long as the process does; each lives on whatever becomes of the others."""
    return {
        "delivery": house.worker.run,
        "notices": house.dispatcher.run,
        "sweep": house.door.sweep,
        "bars": lambda: bars.follow(house.door),
        "refusals": house.door.handler.refusals.run,
        "watch": lambda: house.watch.run(_read_anew(house)),
        "heartbeat": lambda: upkeep.say_that_we_live(house),
        "orphans": lambda: upkeep.adopt_orphans(house),
        "expired": lambda: upkeep.send_away_the_expired(house),
        "checks": lambda: upkeep.check_upstreams(house),
        "purge": lambda: upkeep.forget_what_is_long_done(house),
        "log": lambda: upkeep.show_the_log(house),
        "certificate": lambda: _renew_certificates(house, renewing),
    }


def _rung(house: House) -> None:
    """Somebody changed something: a user, a route, what is held in the queue."""
    house.watch.ring()
    house.worker.wake()


def _read_anew(house: House) -> dict[Subject, Callable[[], Awaitable[None]]]:
    """What each subject's change makes us do."""

    async def read_settings() -> None:
        house.settings.value = await house.db.read(settings.load)

    async def read_routing() -> None:
        house.routing.value = await house.db.read(routes.load, house.sealer)

    async def read_stops() -> None:
        house.stops.value = await house.db.read(load_stops)
        house.worker.wake()

    async def read_stationery() -> None:
        house.stationery.value = await house.db.read(load_stationery, house.sealer)

    async def forget_accounts() -> None:
        house.verifier.forget()
        await read_stationery()
        await recheck(house.door)

    return {
        Subject.SETTINGS: read_settings,
        Subject.ROUTING: read_routing,
        Subject.CONTROL: read_stops,
        Subject.ACCOUNTS: forget_accounts,
        Subject.KEYS: read_stationery,
    }


async def _renew_certificates(house: House, renewing: asyncio.Event) -> None:
    """Show the certificates anew when we are told to, and when their files were replaced."""
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(renewing.wait(), _LOOK_AT_CERTIFICATES_SECONDS)
        if renewing.is_set() or house.showcase.has_changed():
            renewing.clear()
            house.showcase.reload()
            log.certificate_renewed(process="relay")


async def _close(house: House, tasks: list[asyncio.Task[None]]) -> None:
    """Stop in order; each step is one event.  What the grace cuts off, leases bring back."""
    grace = timedelta(seconds=house.post.config.processes.stop_seconds)
    until = house.clock.now() + grace
    _note("no new clients; messages that are arriving may end")
    await house.door.close(grace.total_seconds() / 2)
    _note("no new attempts; those that are running may end, the rest is given back")
    await house.worker.stop(max(until - house.clock.now(), timedelta(0)))
    _note("closing")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await house.db.write(nodes.leave, house.post.owner)
    await house.verifier.close()
    await house.db.close()
    _note("closed")


def _note(step: str) -> None:
    log.stopping(process="relay", step=step)
    log.flush()
