"""What the section [oauth] may say."""

from pathlib import Path

import pytest

from relay.config_file import BadConfig, load

GOOD = {
    "issuer": "https://login.example.com",
    "audience": "relay",
    "jwks": "https://login.example.com/keys",
}


def written(folder: Path, **changed: str) -> Path:
    path = folder / "relay.toml"
    lines = [f'{name} = "{value}"' for name, value in {**GOOD, **changed}.items()]
    path.write_text("\n".join(["[oauth]", *lines]))
    return path


def test_keys_come_from_the_issuer_or_from_a_file(tmp_path: Path) -> None:
    assert load(written(tmp_path)).oauth.has_url
    assert load(written(tmp_path, jwks="http://127.0.0.1:8080/keys")).oauth.has_url
    assert not load(written(tmp_path, jwks="/etc/relay/keys.json")).oauth.has_url


@pytest.mark.parametrize("missing", GOOD)
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(BadConfig, match=f'"{missing}" missing'):
        load(written(tmp_path, **{missing: ""}))


@pytest.mark.parametrize(
    "jwks", ["http://login.example.com/keys", "ftp://login.example.com/keys", "https:///"]
)
def test_keys_do_not_cross_the_network_in_the_clear(tmp_path: Path, jwks: str) -> None:
    with pytest.raises(BadConfig, match="https://"):
        load(written(tmp_path, jwks=jwks))
