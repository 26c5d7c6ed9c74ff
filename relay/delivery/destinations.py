"""Which domains a delivery goes to, where each has servers of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from relay.mail.envelope import Envelope


def destinations_of(envelope: Envelope) -> Mapping[str, Sequence[int]]:
    """The domains of an envelope's recipients, in ASCII, and who is there, by number."""
    found = defaultdict[str, list[int]](list)
    for recipient in envelope.recipients:
        found[recipient.address.domain_key].append(recipient.number)
    return found
