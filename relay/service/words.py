"""What a relay process and its scribe speak of in every message: see `relay.db.language`.

A word that is missing here costs some microseconds a message, and nothing else.
"""

from datetime import UTC, datetime

from relay.mail.address import Address
from relay.mail.disposition import Disposition, Outcome
from relay.mail.envelope import Body, Envelope, Recipient
from relay.mail.priority import Priority
from relay.mail.reply import Reply
from relay.mail.session import Session
from relay.policy.limits import Limits
from relay.policy.quotas import Beyond, Quota, Unit, Window
from relay.queue.accept import accept
from relay.queue.items import (
    Acceptance,
    AttemptRecord,
    Claimed,
    DeliveryKey,
    Lease,
    Origin,
    Part,
    Settlement,
)
from relay.queue.metered import Metered, Metering, accept_metered
from relay.queue.settle import Settled, settle

_ACCEPTING = (accept, Acceptance, Origin, Envelope, Body, Address, Recipient, Priority, Part, Lease, Session)
_METERING = (accept_metered, Metered, Metering, Limits, Quota, Unit, Window, Beyond)
_SETTLING = (settle, Settlement, Claimed, DeliveryKey, AttemptRecord, Outcome, Disposition, Reply, Settled)

WORDS = (*_ACCEPTING, *_METERING, *_SETTLING, datetime, UTC)
