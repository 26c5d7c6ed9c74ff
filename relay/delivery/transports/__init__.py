"""How to speak to each kind of upstream: TRANSPORTS is all of them.

`smtp` opens a connection, `pipeline` carries messages over it (with `dialogue` for the bytes,
`replies` and `parameters` for the words, `transaction` for who got which answer); `sandbox` keeps
the mail here.
"""

from collections.abc import Mapping

from relay.delivery.transports.base import Transport
from relay.delivery.transports.sandbox import Sandbox
from relay.delivery.transports.smtp import Smtp

__all__ = ["TRANSPORTS"]

TRANSPORTS: Mapping[str, type[Transport]] = {"smtp": Smtp, "sandbox": Sandbox}
