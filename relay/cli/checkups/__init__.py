"""What the doctor looks at, in the order of what depends on what.

A checkup is a function that yields what it found.  One that cannot even look has found that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from relay.cli.checkups.finding import Finding, ok, problem
from relay.cli.checkups.machine import certificate, data_directory, disk_space, host_name, key_file
from relay.cli.checkups.mail import database
from relay.cli.checkups.ports import ports
from relay.cli.checkups.tokens import tokens
from relay.cli.desk import Desk
from relay.cli.faults import explain
from relay.config_file import BadConfig, find_file

_CHECKUPS: dict[str, Callable[[Desk], Iterator[Finding]]] = {
    "host name": host_name,
    "data directory": data_directory,
    "disk space": disk_space,
    "key file": key_file,
    "certificate": certificate,
    "tokens": tokens,
    "database": database,
    "ports": ports,
}


def examine(desk: Desk) -> list[Finding]:
    """Look at everything; without a configuration there is nothing else to look at."""
    try:
        file = find_file(desk.options.config)
        _ = desk.config
    except BadConfig as fault:
        return [problem("configuration", str(fault))]
    found = [ok("configuration", f"read from {file}" if file else "no file: everything is at its default")]
    for about, checkup in _CHECKUPS.items():
        try:
            found += checkup(desk)
        except Exception as fault:  # noqa: BLE001  whatever it is, the other checkups are still of interest
            found.append(problem(about, explain(fault).sentence))
    return found
