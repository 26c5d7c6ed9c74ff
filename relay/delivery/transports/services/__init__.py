"""Services that take mail over HTTP, one file a provider: SERVICES is all of them.

A service only writes a request and reads an answer; `relay.delivery.transports.http` does the talking.
"""

from collections.abc import Mapping

from relay.delivery.transports.services.base import Service
from relay.delivery.transports.services.brevo import Brevo
from relay.delivery.transports.services.gmail import Gmail
from relay.delivery.transports.services.graph import Graph
from relay.delivery.transports.services.http_raw import HttpRaw
from relay.delivery.transports.services.mailgun import Mailgun
from relay.delivery.transports.services.postmark import Postmark
from relay.delivery.transports.services.resend import Resend
from relay.delivery.transports.services.sendgrid import SendGrid
from relay.delivery.transports.services.ses import Ses
from relay.routing.upstreams import Kind

__all__ = ["SERVICES"]

SERVICES: Mapping[Kind, Service] = {
    Kind.HTTP_RAW: HttpRaw(),
    Kind.GRAPH: Graph(),
    Kind.GMAIL: Gmail(),
    Kind.SES: Ses(),
    Kind.MAILGUN: Mailgun(),
    Kind.POSTMARK: Postmark(),
    Kind.SENDGRID: SendGrid(),
    Kind.RESEND: Resend(),
    Kind.BREVO: Brevo(),
}
