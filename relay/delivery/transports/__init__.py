"""How to speak to each kind of upstream: TRANSPORTS is all of them.

`smtp` opens a connection, `pipeline` carries messages over it (with `dialogue` for the bytes,
`replies` and `parameters` for the words, `transaction` for who got which answer); `http` asks the
`services` that take mail over HTTP; `sandbox` keeps the mail here.
"""

from collections.abc import Mapping

from relay.delivery.transports.base import Transport
from relay.delivery.transports.http import Http
from relay.delivery.transports.sandbox import Sandbox
from relay.delivery.transports.smtp import Smtp
from relay.routing.upstreams import Kind

__all__ = ["TRANSPORTS"]

TRANSPORTS: Mapping[str, type[Transport]] = {
    kind: Http if kind.is_http else Sandbox if kind is Kind.SANDBOX else Smtp for kind in Kind
}
