"""Fields with parameters: what is long is read without taking much of the machine."""

import tracemalloc

from relay.mail.parametrised import Parametrised, read_parametrised


def test_a_very_long_value_takes_little_memory() -> None:
    value = b"x" * 1_000_000
    raw = b'text/plain; name="' + value + b'"'
    tracemalloc.start()
    read = read_parametrised(raw)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == Parametrised("text/plain", {"name": value.decode()})
    assert most < 10 * len(value)
