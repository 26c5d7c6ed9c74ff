"""The arguments of MAIL and RCPT: a path in brackets, then parameters (RFC 5321 §4.1.2)."""

from __future__ import annotations

import re

# Within the brackets a quoted local part may itself hold a ">" or a space.
_PATH = re.compile(r'<((?:[^<>" ]|"(?:[^"\\]|\\.)*")*)>(?: +(.*))?')


def split_path(keyword: str, argument: str) -> tuple[str, list[str]] | None:
    """Split "FROM:<a@b> SIZE=1" into what stands in the brackets and the parameters.

    None if it is not written so.  The keyword may have any case, and a space may follow its colon,
    as many clients send.  Brackets are asked for: without them "a@b c" could mean two things.
    """
    if argument[: len(keyword)].upper() != keyword:
        return None
    found = _PATH.fullmatch(argument[len(keyword) :].lstrip(" "))
    if found is None:
        return None
    return found[1], found[2].split() if found[2] else []
