"""One number that bounds what a process holds in memory: octets of messages in flight."""


class Budget:
    """Octets that may be held at once; whoever holds a message has taken its size and gives it back.

    A single message larger than the whole budget is let through when nothing else is held, or it
    could never be sent.
    """

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, octets: int) -> bool:
        """Take *octets* if they fit; say whether they did."""
        if self.used and self.used + octets > self.limit:
            return False
        self.used += octets
        return True

    def give_back(self, octets: int) -> None:
        """Return what was taken."""
        self.used -= octets
