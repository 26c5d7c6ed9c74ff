"""What must be there before the first process starts: folders, lock, ports, key, certificate.

Nothing here imports `relay.log`: metrics of several processes are kept in files, whose folder must
be known before the first counter is made.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from relay.certificates import CertificatePaths, Showcase, ensure_self_signed
from relay.config import Config
from relay.sealing import load_or_make
from relay.supervisor import privileges
from relay.supervisor.cannot_start import BAD_CONFIG, CANNOT_CREATE, NO_PERMISSION, CannotStart
from relay.supervisor.lock import take_lock
from relay.supervisor.ports import Ports, open_ports

# prometheus_client reads it when it is imported, and then keeps each process's numbers in files there
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# Of each file: room for the numbers of six hundred upstreams, however long their names are.
_METRICS_OCTETS = {"counter": 512 * 1024, "histogram": 2048 * 1024}


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that the processes of a node share."""

    config: Config
    ports: Ports
    certificates: tuple[CertificatePaths, ...]
    run_directory: Path
    metrics_directory: Path
    lock: int


def prepare(config: Config) -> Prepared:
    """Make what is missing, take the lock, open the ports, and give up root if told to.

    Raises CannotStart with a sentence for the operator.
    """
    os.umask(0o077)  # whatever the relay writes is its own
    run_directory = config.data_dir / "run"
    metrics_directory = run_directory / "metrics"
    with _explaining(config.data_dir):
        new = [path for path in (config.data_dir, run_directory) if not path.exists()]
        run_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = take_lock(run_directory / "lock", patience=config.processes.stop_seconds)
    ports = open_ports(config)
    privileges.become(config.user, giving=[*new, run_directory / "lock"])
    with _explaining(run_directory):
        _empty(run_directory, metrics_directory)
        _reserve(metrics_directory, 1 if config.is_embedded else config.processes.relay)
    with _explaining(config.key_path):
        load_or_make(config.key_path)
    certificates = certificates_of(config)
    return Prepared(config, ports, certificates, run_directory, metrics_directory, lock)


def _empty(run_directory: Path, metrics_directory: Path) -> None:
    """Remove what processes of an earlier start left behind."""
    shutil.rmtree(metrics_directory, ignore_errors=True)
    metrics_directory.mkdir(mode=0o700)
    for path in run_directory.glob("*.bell"):
        path.unlink()


def _reserve(metrics_directory: Path, relays: int) -> None:
    """Make the files that processes count in, with octets on the disk for all of each.

    The library maps files with holes into memory, and whoever counts into a hole when the disk is full is
    killed by SIGBUS: the parent as well, and with it the node.
    """
    for process in ("main", "parent", "admin", *(f"relay-{index}" for index in range(relays))):
        for kind, octets in _METRICS_OCTETS.items():
            (metrics_directory / f"{kind}_{process}.db").write_bytes(bytes(octets))


def certificates_of(config: Config) -> tuple[CertificatePaths, ...]:
    """Return the certificates to show, the one for everybody first.

    That is the configured one, or a self-signed one that is made if need be.  Raises CannotStart if one
    cannot be read or used.
    """
    more = tuple(
        usable(CertificatePaths(each.certificate, each.key), f"tls.certificates.{place}")
        for place, each in enumerate(config.tls.certificates)
    )
    if config.tls.certificate is None or config.tls.key is None:
        with _explaining(config.data_dir):
            return (ensure_self_signed(config.data_dir, config.hostname, datetime.now(UTC)), *more)
    return (usable(CertificatePaths(config.tls.certificate, config.tls.key), "tls"), *more)


def usable(paths: CertificatePaths, section: str | None) -> CertificatePaths:
    """Return *paths*, which a section of the configuration names, or none does.

    Raises CannotStart if they cannot be read or used.
    """
    for key, path in paths._asdict().items():
        with _explaining(path, f' ("{section}.{key}")' if section else ""):
            path.read_bytes()
    try:
        Showcase([paths])
    except (OSError, ValueError) as fault:
        sentence = f"The certificate {paths.certificate} with the key {paths.key} cannot be used: {fault}."
        raise CannotStart(sentence, BAD_CONFIG) from None
    return paths


@contextmanager
def _explaining(path: Path, named: str = "") -> Iterator[None]:
    """Turn what can go wrong with a file into a sentence that says which, and where it is *named*."""
    try:
        yield
    except PermissionError as fault:
        raise CannotStart(f"No permission for {fault.filename or path}{named}.", NO_PERMISSION) from None
    except FileNotFoundError as fault:
        raise CannotStart(f"There is no {fault.filename or path}{named}.", BAD_CONFIG) from None
    except OSError as fault:
        raise CannotStart(
            f"{fault.filename or path}{named}: {fault.strerror or fault}.", CANNOT_CREATE
        ) from None
    except ValueError as fault:
        raise CannotStart(f"{path} cannot be used: {fault}", BAD_CONFIG) from None
