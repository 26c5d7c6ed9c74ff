"""What the operator is told when everything runs."""

from __future__ import annotations

import sys
from contextlib import suppress

from relay import __version__, log
from relay.first_run import short_welcome, welcome
from relay.places import host_and_port
from relay.sealing import exposed, exposed_tls_key
from relay.supervisor.preparation import Prepared


def greet(prepared: Prepared, demo_password: str | None) -> None:
    """Say, once, that the node is ready: an event for the log, and words for a human.

    The words go to standard error, so that standard output is the log and nothing else.
    """
    ports = prepared.ports.numbers()
    admin = host_and_port(*prepared.ports.admin.getsockname()[:2])
    if demo_password is None:
        words = short_welcome(prepared.config, ports=ports, admin=admin)
    else:
        words = welcome(prepared.config, ports=ports, admin=admin, password=demo_password)
    _tell(words)
    log.started(process="supervisor", version=__version__, listeners=ports, admin=admin)
    _warn_of_exposed_secrets(prepared)
    log.flush()


def _warn_of_exposed_secrets(prepared: Prepared) -> None:
    keys_of_tls = {each.key: exposed_tls_key for each in prepared.certificates}
    for path, judged in {prepared.config.key_path: exposed, **keys_of_tls}.items():
        with suppress(OSError):  # it may be replaced at this moment
            if sentence := judged(path):
                _tell(f"Warning: {sentence}")
                log.secret_exposed(path=str(path), what_to_do=sentence)


def _tell(words: str) -> None:
    """Say something to a human, if there is one to hear it: a node does not end for want of a listener."""
    with suppress(OSError):  # a full disk, a reader that is gone
        sys.stderr.write(f"{words}\n")
        sys.stderr.flush()
