"""The `with` keyword of a session, as RFC 3848 registers them."""

import pytest

from relay.mail.session import Session


@pytest.mark.parametrize(
    ("is_esmtp", "tls", "user", "protocol"),
    [
        (False, None, None, "SMTP"),
        (True, None, None, "ESMTP"),
        (True, "TLSv1.3 X", None, "ESMTPS"),
        (True, None, "ann", "ESMTPA"),
        (True, "TLSv1.3 X", "ann", "ESMTPSA"),
    ],
)
def test_protocol(is_esmtp: bool, tls: str | None, user: str | None, protocol: str) -> None:
    assert Session("s", "l", "192.0.2.7", is_esmtp=is_esmtp, tls=tls, user=user).protocol == protocol
