"""Large letters leave no holes behind that their memory never comes out of; others have a place at once."""

import ctypes
import subprocess
import sys

import pytest

# Blocks as letters are: each freed but the last, which lies behind all others.
LETTERS = """
import sys
from relay.supervisor.memory import settle_memory

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

if sys.argv[1] == "settled":
    settle_memory()
del (first := [bytes(range(256)) * 16384])[0]
before = resident()
letters = [bytes(range(256)) * 16384 for _ in range(16)]
del letters[:-1]
print((resident() - before) // 1024)
"""

# One block after the other at the end of the heap.
MESSAGES = """
import resource
from relay.supervisor.memory import settle_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

settle_memory()
message = bytearray(300_000)
before = faults()
for _ in range(1000):
    bytes(message)
print((faults() - before) // 1000)
"""

pytestmark = pytest.mark.skipif(
    not (sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")),
    reason="it is glibc that is told",
)


def figure(program: str, *how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", program, *how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


def test_the_memory_of_large_letters_goes_back_to_the_system() -> None:
    assert figure(LETTERS, "settled") < 10
    assert figure(LETTERS, "as usual") > 50, "or there is nothing left to mend"


def test_a_block_that_comes_again_and_again_is_not_asked_of_the_system_each_time() -> None:
    assert figure(MESSAGES) == 0
