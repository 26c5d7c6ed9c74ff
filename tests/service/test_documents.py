"""What the manual says is what the code does."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from relay.config import Config, Listener
from relay.config_file import load

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config/relay.example.toml"
# What a machine or an operator decides: the example shows how it could look.
IS_THE_OPERATORS = {"config/relay.toml"}
HAS_NO_DEFAULT_TO_SHOW = {"node", "hostname", "user", "secret_key_file", "tls"}


def uncommented() -> str:
    return re.sub(r"(?m)^#(?=\[\[|[a-z_]+ = )", "", EXAMPLE.read_text())


@pytest.fixture(autouse=True)
def nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for section in Config.model_fields:
        monkeypatch.delenv(f"RELAY_{section.upper()}", raising=False)


def test_the_example_as_it_stands_changes_nothing() -> None:
    assert load(EXAMPLE) == load()


def test_the_example_shows_every_default(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(uncommented())
    shown, default = load(path).model_dump(), Config().model_dump()
    for name in HAS_NO_DEFAULT_TO_SHOW:
        del shown[name], default[name]
    assert shown == default


def test_the_example_has_every_key() -> None:
    document = tomllib.loads(uncommented())
    assert set(keys_of(Config)) == set(keys_in(document))


def keys_of(model: type[BaseModel], place: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        kind: Any = Listener if name == "listeners" else field.annotation
        is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
        keys += keys_of(kind, f"{place}{name}.") if is_section else [place + name]
    return keys


def keys_in(document: dict[str, Any], place: str = "") -> list[str]:
    keys = []
    for name, value in document.items():
        inner = value if isinstance(value, dict) else value[0] if name == "listeners" else None
        keys += [place + name] if inner is None else keys_in(inner, f"{place}{name}.")
    return keys


def test_every_key_of_the_example_is_explained() -> None:
    explained = False
    for line in EXAMPLE.read_text().splitlines():
        if re.match(r"#[a-z_]+ = ", line):
            # One comment may speak of several keys that stand together.
            assert explained, line
        else:
            explained = line.startswith(("# ", "#[["))


def test_the_page_of_settings_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs/make_settings.py"))["page"]
    is_up_to_date = (ROOT / "docs/settings.md").read_text() == page()
    assert is_up_to_date, "run: .venv/bin/python docs/make_settings.py"


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name
)
def test_every_file_that_a_page_names_is_there(path: Path) -> None:
    text = path.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    named = re.findall(r"`((?:relay|config|docs|tests|bench|migrations)/[\w./-]*\w)`", text)
    missing = [each for each in links if not (path.parent / each).exists()]
    missing += [each for each in named if not (ROOT / each).exists() and each not in IS_THE_OPERATORS]
    assert not missing


@pytest.mark.parametrize("path", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda p: p.name)
def test_a_decision_record_is_short_and_whole(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 40
    for heading in ("## Context", "## Decision", "## Consequences", "## Alternatives, and why not"):
        assert heading in text
