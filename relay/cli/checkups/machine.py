"""Checkups of the machine: names, files, disk and certificate."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from relay.certificates import CertificatePaths
from relay.cli.checkups.finding import Finding, ok, problem, warning
from relay.cli.desk import Desk
from relay.sealing import exposed, exposed_tls_key, load_or_make
from relay.supervisor.cannot_start import CannotStart
from relay.supervisor.preparation import usable

_SOON = timedelta(days=14)
_SCARCE, _TOO_LITTLE = 1 << 30, 100 << 20  # octets free on the disk


def host_name(desk: Desk) -> Iterator[Finding]:
    """A name that other mail servers believe."""
    name = desk.config.hostname
    if "." not in name or name.startswith("localhost"):
        yield warning(
            "host name",
            f'The relay calls itself "{name}"; some upstreams refuse that. Set "hostname" to its full name.',
        )
    else:
        yield ok("host name", name)


def data_directory(desk: Desk) -> Iterator[Finding]:
    """Ours, and nobody else's."""
    path = desk.config.data_dir
    if not path.exists():
        yield warning("data directory", f"{path} is not there yet; the first start makes it.")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield problem("data directory", f"{path} cannot be written by this user.")
    elif mode & 0o077:
        yield warning("data directory", f"{path} is open to others (mode {mode:o}): chmod 700 {path}")
    else:
        yield ok("data directory", f"{path}, open to nobody else")


def disk_space(desk: Desk) -> Iterator[Finding]:
    """Enough for the mail to come."""
    path = desk.config.data_dir
    while not path.exists():
        path = path.absolute().parent
    free = shutil.disk_usage(path).free
    told = f"{free / (1 << 30):.1f} GB free"
    if free < _TOO_LITTLE:
        yield problem("disk space", f"Only {told}: soon no more mail can be taken.")
    elif free < _SCARCE:
        yield warning("disk space", f"Only {told}.")
    else:
        yield ok("disk space", told)


def key_file(desk: Desk) -> Iterator[Finding]:
    """Readable, and by nobody else."""
    path = desk.config.key_path
    if not path.exists():
        yield warning("key file", f"{path} is not there yet; the first start makes it.")
        return
    try:
        load_or_make(path)
    except ValueError as fault:
        yield problem("key file", f"{path} cannot be used: {fault}")
        return
    if sentence := exposed(path):
        yield problem("key file", sentence)
    else:
        yield ok("key file", f"{path}, readable by nobody else")


def certificate(desk: Desk) -> Iterator[Finding]:
    """There, fitting their keys, which others cannot read, and valid for a while yet."""
    given = desk.config.tls
    directory = desk.config.data_dir
    paths = CertificatePaths(
        given.certificate or directory / "certificate.pem", given.key or directory / "certificate.key"
    )
    if given.certificate is None and not paths.certificate.exists():
        yield warning("certificate", "None yet; the first start makes a self-signed one.")
    else:
        yield from _judged(desk, paths, None if given.certificate is None else "tls")
    for place, more in enumerate(given.certificates):
        paths = CertificatePaths(more.certificate, more.key)
        yield from _judged(desk, paths, f"tls.certificates.{place}")


def _judged(desk: Desk, paths: CertificatePaths, section: str | None) -> Iterator[Finding]:
    try:
        usable(paths, section)
    except CannotStart as refusal:
        yield problem("certificate", str(refusal))
        return
    if sentence := exposed_tls_key(paths.key):
        yield problem("TLS key", sentence)
    yield _lasting(desk, paths.certificate, is_self_signed=section is None)


def _lasting(desk: Desk, path: Path, *, is_self_signed: bool) -> Finding:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    ends = certificate.not_valid_after_utc
    if ends <= desk.now:
        return problem("certificate", f"{path} ran out on {ends:%Y-%m-%d}: renew it.")
    if certificate.not_valid_before_utc > desk.now:
        return problem("certificate", f"{path} is not valid yet: is the clock right?")
    if ends - desk.now < _SOON:
        return warning("certificate", f"{path} runs out on {ends:%Y-%m-%d}.")
    if is_self_signed:
        return ok("certificate", f"self-signed until {ends:%Y-%m-%d}: clients must be told to trust it")
    return ok("certificate", f"{path}, valid until {ends:%Y-%m-%d}, fits its key")
