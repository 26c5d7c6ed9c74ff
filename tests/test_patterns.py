"""What every regular expression of the house keeps to."""

import importlib
import pkgutil
import re

import pytest

import relay

# `(…)*+` and its like; an escaped parenthesis, or one within a class, closes no group.
_IN_WHOLE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")


def _patterns() -> dict[str, re.Pattern[str] | re.Pattern[bytes]]:
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(relay.__path__, "relay.")
        if not found.name.endswith("__main__")
    ]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern)
    }


def has_possessive_group(pattern: str) -> bool:
    """Whether a group in *pattern* is repeated possessively."""
    return _POSSESSIVE_GROUP.search(_IN_WHOLE.sub("_", pattern)) is not None


def test_no_group_is_repeated_possessively() -> None:
    """Python before 3.11.5, as Debian 12 has it, sees matches there that are none (CPython gh-106052)."""
    patterns = _patterns()
    assert len(patterns) > 40
    texts = {
        name: found.pattern if isinstance(found.pattern, str) else found.pattern.decode("latin-1")
        for name, found in patterns.items()
    }
    assert [name for name, text in texts.items() if has_possessive_group(text)] == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"(?:ab?c)*+", True),
        (r"(a|b){2,3}+x", True),
        (r"(?>(?:ab?c)*)", False),
        (r"[a-z]++", False),
        (r"[()]*+", False),
        (r"\)*+", False),
    ],
)
def test_a_possessive_group_is_told_from_what_looks_like_one(pattern: str, expected: bool) -> None:
    assert has_possessive_group(pattern) is expected
