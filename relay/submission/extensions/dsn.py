"""DSN (RFC 3461): what the sender wants to hear of each recipient, and how much of the message comes back.

What is asked for is passed on where the upstream takes it; elsewhere the reports are ours to make
(see `relay.notify.report`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relay.mail import dsn
from relay.submission import replies
from relay.submission.extensions.base import BadParameter, Extension

if TYPE_CHECKING:
    from relay.submission.server import Server


def _ret(_server: Server, value: str) -> Mapping[str, Any]:
    if not dsn.is_ret(value):
        raise BadParameter(replies.BAD_PARAMETER.saying("RET is FULL or HDRS"))
    return {"ret": value}


def _envid(_server: Server, value: str) -> Mapping[str, Any]:
    if not dsn.is_envid(value):
        raise BadParameter(replies.BAD_PARAMETER.saying("ENVID is at most 100 characters of xtext"))
    return {"envid": value}


def _notify(_server: Server, value: str) -> Mapping[str, Any]:
    if not dsn.is_notify(value):
        raise BadParameter(
            replies.BAD_PARAMETER.saying("NOTIFY is NEVER, or a list of SUCCESS, FAILURE and DELAY")
        )
    return {"notify": value}


def _orcpt(server: Server, value: str) -> Mapping[str, Any]:
    if not dsn.is_orcpt(value, smtputf8=bool(server.envelope.parameters.get("smtputf8"))):
        raise BadParameter(
            replies.BAD_PARAMETER.saying("ORCPT is an address type, a semicolon and the address in xtext")
        )
    return {"orcpt": value}


DSN = Extension(
    lambda _greeting: "DSN",
    mail_parameters={"RET": _ret, "ENVID": _envid},
    rcpt_parameters={"NOTIFY": _notify, "ORCPT": _orcpt},
)
