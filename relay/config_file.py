"""The configuration as it is written: in which file and variables, and what is wrong in plain words."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from relay.config import PREFIX, Config, Section


class BadConfig(ValueError):
    """The configuration cannot be used; the message has one line for each thing to mend."""


def find_file(given: Path | None) -> Path | None:
    """Return the configuration file to read: the one given, $RELAY_CONFIG, or the first that is there.

    Raises BadConfig if one was named and is not there.
    """
    named = given or (Path(os.environ["RELAY_CONFIG"]) if os.environ.get("RELAY_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            where = "" if named.is_absolute() else f" in {Path.cwd()}"  # ./run goes to its own folder
            raise BadConfig(f"{named}: there is no such file{where}")
        return named
    return next((path for path in _searched() if path.is_file()), None)


def read_document(path: Path) -> dict[str, Any]:
    """Read what a file says, also one that an editor of Windows began with a byte order mark."""
    return tomllib.loads(path.read_text("utf-8-sig"))


def _searched() -> Iterator[Path]:
    yield Path("config/relay.toml")
    # A number that no user has, as in a container, is at home nowhere; and who was made somebody else by
    # supervisord or start-stop-daemon is told that root's home is theirs.
    with suppress(RuntimeError, PermissionError):
        home = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
        if (own := home / "relay/relay.toml").is_file():
            yield own
    yield Path("/etc/relay/relay.toml")


def load(path: Path | None = None) -> Config:
    """Read the configuration file, if there is one, and the environment over it.

    Raises BadConfig with one line for each mistake: an unknown key (with the nearest known one), a
    value that cannot be used, a file that is no TOML.
    """
    path = find_file(path)
    source = str(path) if path else "the environment"
    if mistaken := list(_nearly_ours()):
        raise BadConfig("\n".join(mistaken))
    try:
        document = read_document(path) if path else {}
        # What begins so would be an argument of pydantic-settings, and none of our keys does.
        if reserved := [key for key in document if key.startswith("_")]:
            raise BadConfig("\n".join(f'{source}: unknown key "{key}"' for key in reserved))
        return Config(**document)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise BadConfig(f"{source}: {fault}") from None
    except SettingsError as fault:
        raise BadConfig("\n".join(_not_json()) or f"the environment: {fault}") from None
    except ValidationError as fault:
        raise BadConfig("\n".join(f"{source}: {_explain(error)}" for error in fault.errors())) from None


def _variables() -> Mapping[str, bool]:
    """The variables that are read, and whether each is JSON: a list, or a whole section at once."""
    found: dict[str, bool] = {}
    for name, field in Config.model_fields.items():
        variable, kind = f"{PREFIX}{name.upper()}", field.annotation
        found[variable] = get_origin(kind) is tuple
        if _is_section(kind):
            of_keys = {f"{variable}__{key.upper()}": inner for key, inner in kind.model_fields.items()}
            found |= {key: get_origin(inner.annotation) is tuple for key, inner in of_keys.items()}
            found[variable] = True
    return found


def _is_section(kind: Any) -> TypeGuard[type[Section]]:
    return isinstance(kind, type) and issubclass(kind, Section)


def _not_json() -> Iterator[str]:
    """Say of each variable that should be JSON and is not how it is written."""
    wanted = _variables()
    for name, value in sorted(os.environ.items()):
        if wanted.get(name.upper()):
            try:
                json.loads(value)
            except ValueError:
                yield (
                    f'the environment: {name} is not JSON: a list is written as ["a", "b"], '
                    f"and a section key by key, such as {PREFIX}LOG__LEVEL"
                )


def _nearly_ours() -> Iterator[str]:
    """Name each variable that must be a mistake for one of ours, such as RELAY_DATABASE_URL.

    Others that begin so are not ours: Kubernetes sets RELAY_PORT and more for a service called "relay".
    """
    known = {name.removeprefix(PREFIX) for name in _variables()}
    sections = {name.upper() for name, field in Config.model_fields.items() if _is_section(field.annotation)}
    for name in sorted(os.environ):
        said = name.upper().removeprefix(PREFIX)
        # What has a section's name, or belongs to one, is read, and refused if there is no such key.
        head, is_key, _ = said.partition("__")
        if said == name.upper() or head in known:
            if is_key and head in known - sections:
                yield f'the environment: unknown variable "{name}": {PREFIX}{head} has no keys of its own'
            continue
        if near := difflib.get_close_matches(said, known, n=1, cutoff=0.8):
            yield f'the environment: unknown variable "{name}"; did you mean "{PREFIX}{near[0]}"?'


_WORDS = {
    "tuple_type": "must be a list",
    "too_short": "must have at least one entry",
    "model_type": "must be a section with keys of its own",
}


def _explain(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{place}: {_WORDS.get(error['type']) or error['msg'].removeprefix('Value error, ')}"
    near = difflib.get_close_matches(str(error["loc"][-1]), _known_keys(error["loc"][:-1]), n=1)
    return f'unknown key "{place}"' + (f'; did you mean "{near[0]}"?' if near else "")


def _known_keys(place: tuple[str | int, ...]) -> list[str]:
    """The keys of the section at *place*."""
    model: type[BaseModel] = Config
    for part in place:
        if isinstance(part, str):
            found = model.model_fields[part].annotation
            # A list of sections is a tuple[Section, ...]
            model = next(iter(get_args(found)), found)  # type: ignore[assignment]
    return list(model.model_fields)
