"""What went wrong, as one sentence for the operator and one exit code for the script (sysexits.h)."""

from __future__ import annotations

import os
from typing import NamedTuple

OK = os.EX_OK
FAILED = 1
USAGE = 2
BAD_DATA = os.EX_DATAERR  # 65
NO_INPUT = os.EX_NOINPUT  # 66
UNAVAILABLE = os.EX_UNAVAILABLE  # 69
BUG = os.EX_SOFTWARE  # 70
CANNOT_CREATE = os.EX_CANTCREAT  # 73
CANNOT_WRITE = os.EX_IOERR  # 74
TRY_LATER = os.EX_TEMPFAIL  # 75
NO_PERMISSION = os.EX_NOPERM  # 77
BAD_CONFIG = os.EX_CONFIG  # 78


class Failed(Exception):
    """A command came to nothing, for a reason that the command itself knows."""

    def __init__(self, sentence: str, exit_code: int = FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Explained(NamedTuple):
    """A fault in words."""

    sentence: str
    exit_code: int


# By name, so that explaining one fault does not load the rooms of all others
_CODES = {
    "BadConfig": BAD_CONFIG,
    "CannotUnseal": BAD_CONFIG,
    "UnknownRevision": BAD_CONFIG,
    "NoRoute": FAILED,
    "NoSuchRoute": FAILED,
    "NoSuchRequest": FAILED,
    "NoSuchUser": FAILED,
    "NoSuchUpstream": FAILED,
    "NoSuchKey": FAILED,
    "UpstreamInUse": FAILED,
    "NoSuchCredential": FAILED,
    "NameTaken": CANNOT_CREATE,
    "CredentialTaken": CANNOT_CREATE,
    "UpstreamTaken": CANNOT_CREATE,
    "KeyTaken": CANNOT_CREATE,
    "RouteTaken": CANNOT_CREATE,
    "BadAccount": BAD_DATA,
    "BadAddress": BAD_DATA,
    "BadPassword": BAD_DATA,
    "BadNetwork": BAD_DATA,
    "BadPattern": BAD_DATA,
    "BadQuota": BAD_DATA,
    "BadRequest": BAD_DATA,
    "BadRewrite": BAD_DATA,
    "BadRoute": BAD_DATA,
    "BadLimits": BAD_DATA,
    "BadNameServer": BAD_DATA,
    "BadSetting": BAD_DATA,
    "BadUpstream": BAD_DATA,
}


def explain(fault: Exception) -> Explained:
    """Say what *fault* means to whoever typed the command."""
    code = getattr(fault, "exit_code", None) or _CODES.get(type(fault).__name__)
    if code is not None:
        return Explained(str(fault), code)
    if type(fault).__module__.startswith(("sqlalchemy.", "psycopg", "sqlite3")):
        return _explain_database(fault)
    if isinstance(fault, UnicodeEncodeError) and "surrogates" in fault.reason:
        return Explained("What was given is not all UTF-8, and so cannot be kept.", BAD_DATA)
    if isinstance(fault, PermissionError):
        return Explained(f"No permission for {fault.filename}.", NO_PERMISSION)
    if isinstance(fault, OSError) and fault.filename is not None:
        return Explained(f"{fault.filename}: {fault.strerror}.", CANNOT_CREATE)
    return Explained(
        f"This should not have happened ({type(fault).__name__}); run it again with --debug for the details.",
        BUG,
    )


def _explain_database(fault: Exception) -> Explained:
    cause = getattr(fault, "orig", None) or fault
    reason = str(cause).strip().partition("\n")[0]
    lower = reason.lower()
    if "locked" in lower or "timeout" in lower:
        return Explained(f"The database is busy ({reason}); try again in a moment.", TRY_LATER)
    if "readonly" in lower or "read-only" in lower or "permission denied" in lower:
        return Explained(
            f"The database may not be written by this user ({reason}); be the user that the relay runs as.",
            NO_PERMISSION,
        )
    if type(fault).__name__ in {"OperationalError", "InterfaceError", "DatabaseError", "InternalError"}:
        return Explained(f"The database cannot be used: {reason}", UNAVAILABLE)
    return Explained(
        f"This should not have happened ({type(fault).__name__}); run it again with --debug for the details.",
        BUG,
    )
