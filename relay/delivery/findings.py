"""What is found on the way to an upstream, step by step."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from cryptography import x509

from relay.delivery.classify import Step, Trouble
from relay.delivery.hints import hint_for


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step brought: `detail` is what was found or said, `hint` what to do about it.

    `is_good` None: the step was not taken, so nobody knows.
    """

    step: Step
    is_good: bool | None
    seconds: float
    detail: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All steps that were taken, up to the first that failed, and the verdict in a sentence."""

    findings: tuple[Finding, ...]
    verdict: str

    @property
    def is_good(self) -> bool:
        """Whether nothing that was asked stands in the way of mail."""
        return all(finding.is_good is not False for finding in self.findings)

    @property
    def failed_at(self) -> Step | None:
        """The step at which it ended; None: at none."""
        return None if self.is_good else self.findings[-1].step


def failure(trouble: Trouble, seconds: float, port: int) -> Finding:
    """The step at which it ended with *trouble*, after so many *seconds*, and what to do about it."""
    told = str(trouble.reply)
    return Finding(trouble.step, False, seconds, told, hint_for(trouble.step, told, port))


def certificate_facts(der: bytes, host: str) -> str:
    """Whom a certificate is for, by whom, until when, and whether that is the *host* we called."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = [str(name.value) for name in extension.value]
    except (x509.ExtensionNotFound, ValueError):
        names = [certificate.subject.rfc4514_string()]
    until = certificate.not_valid_after_utc
    return (
        f"certificate for {', '.join(names[:5])}{' …' if len(names) > 5 else ''}, "
        f"by {certificate.issuer.rfc4514_string() or 'nobody in particular'}, until {until:%Y-%m-%d}; "
        f"{'the name fits' if any(is_named(name, host) for name in names) else 'the name does not fit'}"
    )


def is_named(name: str, host: str) -> bool:
    """Whether *name* in a certificate names *host*; a star stands for one label (RFC 9525 §6.3)."""
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    except ValueError:
        name, host = name.lower(), host.rstrip(".").lower()
        _, dot, parent = host.partition(".")
        return name == host or (name.startswith("*.") and bool(dot) and name[2:] == parent)
