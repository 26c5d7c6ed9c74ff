"""How to speak to each kind of upstream: TRANSPORTS is all of them.

`smtp` opens a connection, `pipeline` carries messages over it (with `dialogue` for the bytes,
`replies` and `parameters` for the words, `transaction` for who got which answer); `http` asks the
`services` that take mail over HTTP; `mx` finds each domain's own servers (`exchangers` by DNS,
`policies` by MTA-STS, `avoided` those that do not answer); `sandbox` keeps the mail here.
"""

from collections.abc import Mapping

from relay.delivery.transports.base import Transport
from relay.delivery.transports.http import Http
from relay.delivery.transports.mx import Mx
from relay.delivery.transports.sandbox import Sandbox
from relay.delivery.transports.smtp import Smtp
from relay.routing.upstreams import Kind

__all__ = ["TRANSPORTS"]

TRANSPORTS: Mapping[str, type[Transport]] = {
    Kind.SMTP: Smtp,
    Kind.MX: Mx,
    Kind.SANDBOX: Sandbox,
    **{kind: Http for kind in Kind if kind.is_http},
}
