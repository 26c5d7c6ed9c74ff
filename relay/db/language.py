"""How a relay process and its scribe put values into octets: pickled, in frames.

The words that they use most (the classes and functions of what is written) both know beforehand, by
number.  Else the pickler looked each of them up by its name, once a frame and on either side, and that took
longer than all the rest.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum, EnumType
from functools import partial
from io import BytesIO
from operator import attrgetter
from typing import Any

# From 4 on, what was said before is numbered by the order of its being read, which leaves no room for words
# known beforehand.
_PROTOCOL = 3
_LENGTH = struct.Struct("!Q")  # before each frame


class Language:
    """What both ends know, made before they part.  Other values can be told as well, only at more cost.

    Of an enum among *words* its members are known, too.
    """

    def __init__(self, words: Iterable[Any] = ()) -> None:
        known = BytesIO()
        self._writer = _pickler(known)
        self._writer.dump([*_with_members(words)])
        self._reader = pickle.Unpickler(BytesIO(known.getvalue()))  # noqa: S301  ours
        self._reader.load()

    def framed(self, values: Sequence[Any]) -> bytes:
        """Return *values* as a frame, its length first.  Raises what pickling them raises."""
        frame = BytesIO()
        frame.write(bytes(_LENGTH.size))
        pickler = _pickler(frame)
        pickler.memo = self._writer.memo
        pickler.dump(values)
        _LENGTH.pack_into(frame.getbuffer(), 0, frame.tell() - _LENGTH.size)
        return frame.getvalue()

    def read(self, frame: bytes) -> list[Any]:
        """Return the values of a frame that was cut off what arrived."""
        unpickler = pickle.Unpickler(BytesIO(frame))  # noqa: S301  ours
        unpickler.memo = self._reader.memo
        values: list[Any] = unpickler.load()
        return values


def cut(arrived: bytearray) -> list[bytes]:
    """Take the whole frames off the front of what *arrived*."""
    frames: list[bytes] = []
    start = 0
    while len(arrived) - start >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(arrived, start)
        begin, end = start + _LENGTH.size, start + _LENGTH.size + length
        if len(arrived) < end:
            break
        frames.append(bytes(memoryview(arrived)[begin:end]))
        start = end
    del arrived[:start]
    return frames


def _with_members(words: Iterable[Any]) -> Iterator[Any]:
    for word in words:
        yield word
        if isinstance(word, EnumType):
            yield from word


def _pickler(frame: BytesIO) -> pickle.Pickler:
    pickler = pickle.Pickler(frame, _PROTOCOL)
    pickler.dispatch_table = _REDUCERS
    return pickler


class _Reducers(dict[type, Callable[[Any], Any]]):
    """How values are pickled: a dataclass as its class and its fields, which takes half of the time."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        if issubclass(kind, type):
            raise KeyError(kind)  # a class is pickled by its name
        reduce: Callable[[Any], Any] = _as_usual
        if is_dataclass(kind) and (known := fields(kind)) and all(field.init for field in known):
            reduce = _by_fields(kind, [field.name for field in known])
        elif issubclass(kind, tuple) and hasattr(kind, "_make"):
            reduce = partial(_as_tuple, kind)
        elif kind is datetime:
            reduce = datetime.__reduce__
        elif issubclass(kind, Enum):
            reduce = partial(_by_value, kind)
        self[kind] = reduce
        return reduce


def _as_usual(value: Any) -> Any:
    return value.__reduce_ex__(_PROTOCOL)


def _as_tuple(kind: type, value: Any) -> Any:
    return kind, tuple(value)


def _by_value(kind: type, value: Any) -> Any:
    return kind, (value._value_,)  # `value` is a property, written in Python


def _by_fields(kind: type, names: Sequence[str]) -> Callable[[Any], Any]:
    if len(names) == 1:
        return lambda value: (kind, (getattr(value, names[0]),))
    read = attrgetter(*names)
    return lambda value: (kind, read(value))


_REDUCERS = _Reducers()
