"""Started as root, the relay opens its ports and then becomes a user that may do nothing else."""

from __future__ import annotations

import os
import pwd
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import relay
from relay.supervisor.cannot_start import BAD_CONFIG, NO_PERMISSION, CannotStart


def become(user: str | None, *, giving: Iterable[Path]) -> None:
    """Become *user* for good, and let it own *giving*, which was made as root; None: stay who we are.

    Raises CannotStart if there is no such user, if we are somebody else and not root, or if that user
    could not even load the relay.
    """
    if user is None:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CannotStart(f'There is no user "{user}" on this machine ("user").', BAD_CONFIG) from None
    if os.geteuid() == entry.pw_uid:
        return
    if os.geteuid() != 0:
        raise CannotStart(
            f'Only root can become "{user}" ("user"); start as root or as {user}.', NO_PERMISSION
        )
    for path in giving:
        os.chown(path, entry.pw_uid, entry.pw_gid)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    _ensure_relay_is_readable(user, entry.pw_uid)
    os.setuid(entry.pw_uid)


def _ensure_relay_is_readable(user: str, uid: int) -> None:
    """Look while there is a way back: who cannot load the relay could not even say why it fails."""
    needed = (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), relay.__path__[0])
    os.seteuid(uid)
    closed = [path for path in needed if not os.access(path, os.R_OK | os.X_OK, effective_ids=True)]
    os.seteuid(0)
    if closed:
        raise CannotStart(f'"{user}" may not read {closed[0]}, which the relay is made of.', NO_PERMISSION)
