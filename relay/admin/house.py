"""What the routes are given: the rooms that this process has, and how the node is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from relay.clock import Clock, SystemClock
from relay.config import Config
from relay.db.database import Database
from relay.db.storage import Storage
from relay.ids import id_source


@dataclass(slots=True)
class Condition:
    """How the node is: changed by whoever runs its processes, read by the health routes, on one loop."""

    is_mail_up: bool = False
    is_draining: bool = False


@dataclass(frozen=True, slots=True)
class House:
    """The rooms behind the windows."""

    config: Config
    db: Database
    condition: Condition = field(default_factory=Condition)
    clock: Clock = field(default_factory=SystemClock)
    new_id: Callable[[datetime], str] = field(default_factory=id_source)
    storage: Storage = field(default_factory=Storage)


def _of_request(request: Request) -> House:
    house: House = request.app.state.house
    return house


TheHouse = Annotated[House, Depends(_of_request)]
