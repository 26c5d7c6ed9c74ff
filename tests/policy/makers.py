"""A submission of nobody in particular, to be changed in the one point that a test is about."""

from dataclasses import replace
from typing import Any

from relay.mail.address import Address
from relay.mail.envelope import Envelope, Recipient
from relay.mail.header import scan
from relay.mail.session import Session
from relay.policy.grants import Grants, parse_patterns
from relay.policy.submission import Limits, Submission, User

ANN = User("01USER", "ann", Grants(parse_patterns("ann@example.com, mine.example, *.mine.example")))
SESSION = Session("s1", "submission", "192.0.2.7", user="ann", user_id="01USER")


def submission(
    *,
    sender: str = "ann@example.com",
    header: bytes | None = None,
    recipients: int = 1,
    user: dict[str, Any] | None = None,
    limits: Limits | None = None,
    octets: int = 0,
    **parameters: Any,
) -> Submission:
    """From *sender*, with *header* once there is one; *user* are changes to Ann's account."""
    return Submission(
        session=SESSION,
        envelope=Envelope(
            Address.parse_path(sender),
            tuple(Recipient(n, Address.parse(f"r{n}@example.net")) for n in range(1, recipients + 1)),
            **parameters,
        ),
        user=replace(ANN, **(user or {})),
        limits=limits or Limits(),
        header=None if header is None else scan(header),
        octets=octets,
    )
