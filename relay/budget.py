"""One number that bounds what a process holds in memory: octets of messages in flight."""


class Budget:
    """Octets that may be held at once; whoever holds a message has taken its size and gives it back.

    A single message larger than the whole budget is let through when nothing else is held, however
    it comes, or it could never be sent.
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


class Reservation:
    """What one connection has taken of a budget: it grows as a message arrives, and is given back whole."""

    __slots__ = ("_budget", "octets")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.octets = 0

    def grow_to(self, octets: int) -> bool:
        """Hold at least *octets*; say whether that was possible."""
        more = octets - self.octets
        if more <= 0:
            return True
        if self._budget.used == self.octets:  # nobody else holds anything
            self._budget.used += more
        elif not self._budget.take(more):
            return False
        self.octets = octets
        return True

    def release(self) -> None:
        """Give everything back."""
        self._budget.used -= self.octets
        self.octets = 0
