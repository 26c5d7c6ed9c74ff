"""How mail is changed, as the commands `rewrite` show and change it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from relay.cli.faults import NO_INPUT, Failed
from relay.mail.address import Address, BadAddress
from relay.mail.letterhead import Texts
from relay.mail.rewriting import Rewrite, checked

_NONE = "none"
_FROM = "from"
_SHOWN = 60  # letters of a text


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options as they were given; None: not given, and left as it is."""

    from_address: str | None = None
    from_name: str | None = None
    force: bool | None = None
    reply_to: str | None = None
    header: str | None = None
    footer: str | None = None
    header_html: str | None = None
    footer_html: str | None = None

    def applied_to(self, rewrite: Rewrite) -> Rewrite:
        """Return *rewrite* with what is wanted.  Raises BadRewrite, Failed, or typer's BadParameter."""
        changes: dict[str, Any] = {"texts": self._texts(rewrite.texts)}
        if self.from_address is not None:
            changes["from_address"] = _address(self.from_address, "--from")
        if self.from_name is not None:
            changes["from_name"] = "" if self.from_name == _NONE else self.from_name.strip()
        if self.force is not None:
            changes["is_forced"] = self.force
        if self.reply_to is not None:
            is_from = self.reply_to == _FROM
            changes["answers_to_from"] = is_from
            changes["reply_to"] = None if is_from else _address(self.reply_to, "--reply-to")
        return checked(replace(rewrite, **changes))

    def _texts(self, texts: Texts) -> Texts:
        given = {
            "header": self.header,
            "footer": self.footer,
            "header_html": self.header_html,
            "footer_html": self.footer_html,
        }
        return replace(texts, **{name: _read(file) for name, file in given.items() if file is not None})


def rows(rewrite: Rewrite) -> tuple[tuple[str, str | None], ...]:
    """What is changed, each thing in a line; none if nothing is."""
    when = "always" if rewrite.is_forced else "where From is at another domain"
    name_when = "always" if rewrite.is_forced else "where From has no name"
    texts = rewrite.texts
    return (
        ("sent from", f"{rewrite.from_address} ({when})" if rewrite.from_address else None),
        ("sender's name", f"{rewrite.from_name} ({name_when})" if rewrite.from_name else None),
        ("answers go to", "From alone" if rewrite.answers_to_from else str(rewrite.reply_to or "") or None),
        ("text above", _few(texts.header)),
        ("above, HTML", _few(texts.header_html)),
        ("text below", _few(texts.footer)),
        ("below, HTML", _few(texts.footer_html)),
    )


def _few(text: str) -> str | None:
    line = " ".join(text.split())
    return line[: _SHOWN - 1] + "…" if len(line) > _SHOWN else line or None


def _address(text: str, option: str) -> Address | None:
    try:
        return None if text == _NONE else Address.parse(text)
    except BadAddress as fault:
        raise typer.BadParameter(f'"{text}" is no e-mail address: {fault}.', param_hint=option) from None


def _read(file: str) -> str:
    if file == _NONE:
        return ""
    try:
        return Path(file).read_text("utf-8-sig").rstrip()
    except OSError as fault:
        raise Failed(f"{file} cannot be read: {fault.strerror}.", NO_INPUT) from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not UTF-8 text.") from None
