"""The bell between processes: a hint, wherever the folder lies, and silence where there is none."""

import asyncio
import socket
from pathlib import Path

import pytest

from relay.bell import Bell, ring


@pytest.mark.parametrize("depth", [0, 5], ids=["short", "longer than a socket's address"])
async def test_a_ring_is_heard_by_every_bell(tmp_path: Path, depth: int) -> None:
    directory = tmp_path.joinpath(*["a-folder-with-a-long-name"] * depth)
    directory.mkdir(parents=True, exist_ok=True)
    heard = [asyncio.Event(), asyncio.Event()]
    bells = [Bell(directory, str(number), event.set) for number, event in enumerate(heard)]
    for bell in bells:
        bell.hang()
    ring(directory)
    await asyncio.gather(*(event.wait() for event in heard))
    for bell in bells:
        bell.take_down()


async def test_rings_that_come_together_are_heard_once(tmp_path: Path) -> None:
    heard: list[None] = []
    bell = Bell(tmp_path, "0", lambda: heard.append(None))
    bell.hang()
    for _ in range(20):
        ring(tmp_path)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(heard) == 1
    bell.take_down()


async def test_the_successor_of_a_dead_process_is_heard(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "0.bell"))
    heard = asyncio.Event()
    successor = Bell(tmp_path, "0", heard.set)
    successor.hang()
    ring(tmp_path)
    await heard.wait()
    successor.take_down()


def test_nobody_there_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "0.bell").write_text("not even a socket")
    ring(tmp_path)
    ring(tmp_path / "nowhere")


async def test_where_no_bell_can_hang_there_is_none(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "nowhere", "0", lambda: None)
    bell.hang()
    bell.take_down()
