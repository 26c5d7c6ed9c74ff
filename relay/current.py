"""A frozen snapshot that is replaced whole when what it was read from changes."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Current(Generic[T]):
    """Holds the snapshot in force now: readers take `.value` anew each time they need it.

    Settings, routes and the like are read once from the database into a frozen value; whoever
    watches for changes puts the next value in, and nobody ever sees half of a change.
    """

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value
