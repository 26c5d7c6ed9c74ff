"""What `relay queue stop` and `relay queue start` do, and how stops are shown."""

from __future__ import annotations

import shlex
from typing import Any

from relay.accounts.users import find
from relay.cli.desk import Desk
from relay.cli.faults import FAILED, USAGE, Failed
from relay.cli.printing import moment
from relay.cli.shown import Cell, Shown, Tone
from relay.queue.stops import EVERYTHING, Reach, StartMail, Stop, StopMail, load_stops, start_mail, stop_mail
from relay.routing.upstreams import find_upstream


def stop(desk: Desk, *, user: str | None, upstream: str | None, reason: str) -> Shown:
    """Stop what is named, or everything.  Raises NoSuchUser or NoSuchUpstream."""
    reach, name = _reach(desk, user, upstream)
    desk.write(stop_mail, StopMail(desk.author, reach, name, reason))
    made = next(each for each in desk.read(load_stops).all if each.reach == reach)
    told = f'{made.sentence}. What is being sent may finish; the rest waits for "{_ended_by(made)}".'
    return Shown(document(made), (told,))


def start(desk: Desk, *, user: str | None, upstream: str | None) -> Shown:
    """End the stop of what is named, or that of everything.  Raises NoSuchUser or NoSuchUpstream."""
    reach, name = _reach(desk, user, upstream)
    was_stopped = desk.write(start_mail, StartMail(desk.author, reach, name))
    others = desk.read(load_stops).all
    told = "It moves again." if was_stopped else "That was not stopped."
    return Shown(
        {"started": was_stopped, "stops": [document(each) for each in others]},
        (told, *map(line, others)),
        exit_code=0 if was_stopped else FAILED,
    )


def line(stop: Stop) -> Cell:
    """A stop as a line that nobody overlooks."""
    return Cell(f'{stop.sentence} ({moment(stop.at)}); end that with "{_ended_by(stop)}"', Tone.BAD)


def _ended_by(stop: Stop) -> str:
    """The very command that ends this stop, and no other."""
    if stop.reach == EVERYTHING:
        return "relay queue start"
    whose = "--upstream" if stop.reach.upstream_id else "--user"
    return shlex.join(["relay", "queue", "start", whose, stop.name])


def document(stop: Stop) -> dict[str, Any]:
    """A stop as --json shows it."""
    return {
        "upstream": stop.name if stop.reach.upstream_id else None,
        "user": stop.name if stop.reach.user_id else None,
        "reason": stop.reason,
        "by": stop.by,
        "at": stop.at,
    }


def _reach(desk: Desk, user: str | None, upstream: str | None) -> tuple[Reach, str]:
    if user is not None and upstream is not None:
        raise Failed("Stop and start one thing at a time: either --user or --upstream.", USAGE)
    if user is not None:
        found = desk.read(find, user)
        return Reach(user_id=found.id), found.name
    if upstream is not None:
        leading = desk.read(find_upstream, upstream, desk.sealer)
        return Reach(upstream_id=leading.id), leading.name
    return EVERYTHING, ""
