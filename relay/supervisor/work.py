"""What the children do: each joins the parent's words to a process of the layer below."""

from __future__ import annotations

import asyncio
import gc

from relay import log
from relay.service import Post, run_relay
from relay.supervisor.children import Orders, Word, Work
from relay.supervisor.preparation import Prepared

# Messages come and go without cycles; searching for those every 700 objects would cost a tenth of the time.
_GARBAGE_THRESHOLDS = (50_000, 20, 100)


def relay(prepared: Prepared, index: int) -> Work:
    """Return the work of the relay process number *index*: the whole road of a letter."""
    post = post_of(prepared, index)

    async def work(orders: Orders) -> None:
        _begin(prepared, node=post.owner, process=f"relay-{index}")
        stopping, renewing = asyncio.Event(), asyncio.Event()
        orders.obey({Word.STOP: stopping.set, Word.RENEW_CERTIFICATE: renewing.set})

        def ready() -> None:
            settle_garbage()
            orders.ready()

        await run_relay(post, ready=ready, stopping=stopping, renewing=renewing)

    return work


def admin(prepared: Prepared) -> Work:
    """Return the work of the admin process."""
    config = prepared.config

    async def work(orders: Orders) -> None:
        from relay.admin.house import Condition  # noqa: PLC0415  its libraries are no business of the others
        from relay.admin.server import run_admin  # noqa: PLC0415  likewise

        _begin(prepared, node=f"{config.node}/admin", process="admin")
        condition, stopping = Condition(), asyncio.Event()

        def mail_is(*, up: bool) -> None:
            condition.is_mail_up = up

        def drain() -> None:
            condition.is_draining = True

        orders.obey(
            {
                Word.STOP: stopping.set,
                Word.DRAINING: drain,
                Word.MAIL_IS_UP: lambda: mail_is(up=True),
                Word.MAIL_IS_DOWN: lambda: mail_is(up=False),
            }
        )

        def ready() -> None:
            settle_garbage()
            orders.ready()

        await run_admin(config, prepared.ports.admin, condition, ready=ready, stopping=stopping)

    return work


def post_of(prepared: Prepared, index: int, *, is_alone: bool = False) -> Post:
    """Return what the relay process number *index* is given."""
    return Post(
        owner=f"{prepared.config.node}/{index}",
        config=prepared.config,
        sockets=prepared.ports.listeners,
        certificates=prepared.certificates,
        run_directory=prepared.run_directory,
        is_alone=is_alone,
    )


def settle_garbage() -> None:
    """Leave what is there now out of every search for garbage, and search seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    gc.enable()


def _begin(prepared: Prepared, *, node: str, process: str) -> None:
    settings = prepared.config.log
    log.configure(style=settings.format, level=settings.level, node=node, process=process)
