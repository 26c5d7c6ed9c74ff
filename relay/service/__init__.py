"""One relay process: the rooms it is built of, and how it lives and ends.

`house` is the composition root: it builds every room and joins them in one visible place; `running`
opens the house, and closes it in order; `watch` hears of changes; `upkeep` is what is done now and
then; `keep_alive` lets one task fail without the others.
"""

from relay.service.house import Post
from relay.service.running import run_relay

__all__ = ["Post", "run_relay"]
