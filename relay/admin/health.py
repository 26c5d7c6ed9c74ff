"""/livez and /readyz: what a balancer or an orchestrator asks, every few seconds, without a login.

They answer in a few words that name no version, address or database: anybody may ask.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse
from sqlalchemy.exc import SQLAlchemyError

from relay.admin.house import House, TheHouse
from relay.db.migrate import head, revision_of

router = APIRouter()

_DATABASE_SECONDS = 2.0  # whoever asks seldom waits longer than three


@router.get("/livez")
async def livez() -> PlainTextResponse:
    """Whether the process lives: it answers, and nothing else is asked."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def readyz(house: TheHouse) -> PlainTextResponse:
    """New mail is welcome here: the doors are open, and what they need answers."""
    obstacle = await _obstacle(house)
    return PlainTextResponse(f"{obstacle or 'ready'}\n", status_code=503 if obstacle else 200)


async def _obstacle(house: House) -> str | None:
    """What keeps this node from taking mail; None: nothing."""
    if house.condition.is_draining:
        return "draining"
    if not house.condition.is_mail_up:
        return "the relay process is down"
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            found = await house.db.read(revision_of)
    except (TimeoutError, SQLAlchemyError):
        return "the database does not answer"
    if found != head():
        return "the database schema is not the one this version needs"
    try:
        return None if house.storage.has_room_for(0) else "the disk is full"
    except OSError:  # its folder is gone, or the disk is broken
        return "the disk does not answer"
