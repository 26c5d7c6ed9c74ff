"""Large letters leave no holes behind that their memory never comes out of."""

import ctypes
import subprocess
import sys

import pytest

# Blocks as letters are: each freed but the last, which lies behind all others.
LETTERS = """
import sys
from relay.supervisor.memory import return_large_blocks

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

if sys.argv[1] == "returned":
    return_large_blocks()
del (first := [bytes(range(256)) * 16384])[0]
before = resident()
letters = [bytes(range(256)) * 16384 for _ in range(16)]
del letters[:-1]
print((resident() - before) // 1024)
"""


def megabytes_left(how: str) -> int:
    ran = subprocess.run([sys.executable, "-c", LETTERS, how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


@pytest.mark.skipif(
    not (sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")),
    reason="it is glibc that is told",
)
def test_the_memory_of_large_letters_goes_back_to_the_system() -> None:
    assert megabytes_left("returned") < 10
    assert megabytes_left("as usual") > 50, "or there is nothing left to mend"
