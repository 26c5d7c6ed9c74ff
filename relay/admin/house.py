"""What the routes are given: the rooms that this process has, and how the node is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from relay.config import Config
from relay.db.database import Database


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


def _of_request(request: Request) -> House:
    house: House = request.app.state.house
    return house


TheHouse = Annotated[House, Depends(_of_request)]
