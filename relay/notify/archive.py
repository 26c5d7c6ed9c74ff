"""The notification that an archive did not get its copy: nobody else would ever hear of it."""

from __future__ import annotations

from datetime import timedelta

from relay.queue.items import Notice

KIND = "archive_failed"
_INTERVAL = timedelta(days=1)


def archive_notice(archive: str, *, original: str, copy: str, reply: str, notice_id: str) -> Notice:
    """Note that the *copy* of the message *original* failed for good; told once a day for each archive."""
    return Notice(
        id=notice_id,
        kind=KIND,
        user_id=None,
        facts={"archive": archive, "original": original, "copy": copy, "reply": reply[:500]},
        key=f"{KIND}:{archive.lower()}"[:512],
        interval=_INTERVAL,
    )
