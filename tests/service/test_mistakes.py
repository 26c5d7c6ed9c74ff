"""Mistakes in the configuration are told in words that say what to mend."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from relay.config_file import BadConfig, load

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELAY_DATA_DIR", str(tmp_path / "var"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELAY_LISTENERS", "2525 2587"),
        ("RELAY_LOG", "json"),
        ("RELAY_ADMIN__METRICS_FOR", "10.0.0.0/8"),
        ("relay_admin__metrics_for", "10.0.0.0/8"),
        ("RELAY_TLS__CERTIFICATES", "/etc/relay.pem"),
    ],
)
def test_a_list_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("RELAY_ADMIN__LISTEN", "127.0.0.1:8080")
    monkeypatch.setenv(name, value)
    with pytest.raises(BadConfig, match=f"^the environment: {name} is not JSON: a list is written as .*$"):
        load()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RELAY_DATADIR", "RELAY_DATA_DIR"),
        ("RELAY_DATABASE_URL", "RELAY_DATABASE__URL"),
        ("RELAY_ADMIN_LISTEN", "RELAY_ADMIN__LISTEN"),
        ("RELAY_HOST_NAME", "RELAY_HOSTNAME"),
        ("RELAY_LOG_LEVEL", "RELAY_LOG__LEVEL"),
    ],
)
def test_a_variable_that_is_nearly_ours_is_an_error(
    monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(BadConfig, match=f'unknown variable "{name}"; did you mean "{meant}"'):
        load()


@pytest.mark.parametrize("name", ["RELAY_DATA_DIR__X", "relay_hostname__", "RELAY_LISTENERS__0__NAME"])
def test_a_variable_below_what_is_no_section_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(
        BadConfig, match=f'unknown variable "{name}": RELAY_[A-Z_]*[A-Z] has no keys of its own'
    ):
        load()


@pytest.mark.parametrize("key", ["_env_file", "_cli_parse_args", "__pydantic_self__", "_env_prefix"])
def test_no_key_is_taken_for_an_argument_of_the_library(tmp_path: Path, key: str) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(f"{key} = 1\n")
    with pytest.raises(BadConfig, match=f'relay.toml: unknown key "{key}"'):
        load(path)


def test_what_others_set_with_our_prefix_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    host, at = "10.0.0.1", "tcp://10.0.0.1:587"
    for name, value in {
        "RELAY_SERVICE_HOST": host,
        "RELAY_SERVICE_PORT": "587",
        "RELAY_SERVICE_PORT_SUBMISSION": "587",
        "RELAY_PORT": at,
        "RELAY_PORT_587_TCP": at,
        "RELAY_PORT_587_TCP_ADDR": host,
        "RELAY_ADMIN_PORT": at,
        "RELAY_ADMIN_SERVICE_HOST": host,
        "RELAY_DATABASE_PORT": at,
        "RELAY_DATABASE_SERVICE_PORT": "5432",
        "RELAY_PYTHON": "/usr/bin/python3",
        "RELAY_VENV": "/tmp/venv",
        "RELAY_DB_PASSWORD": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    assert load().admin.listen == "127.0.0.1:8080"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('hostname = ""', "no host name"),
        ('hostname = "my relay"', "no host name"),
        ('hostname = "relay..example.com"', "no host name"),
        (f'hostname = "{64 * "a"}.example.com"', "no host name"),
        (f'hostname = "{64 * "abc."}example.com"', "no host name"),
        ('hostname = "bücher.example"', "xn--"),
        ('hostname = "relay.example.com\\r\\nX"', "no host name"),
        ('node = ""', "node: "),
        ('listeners = "2525"', "listeners: must be a list"),
        ("admin = 5", "admin: must be a section"),
        ("listeners = []", "listeners: must have at least one entry"),
        ('[[listeners]]\nname = "a"\nports = []', "ports: must have at least one entry"),
        ('database.url = "postgresql://relay:secret@db:port/relay"', "database.url: .* the port is a number"),
        ('database.url = "postgresql://relay:secret@[::1"', "database.url: .* stands in brackets"),
        ('secret_key_file = ""', "secret_key_file: must not be empty"),
        ('tls.certificate = ""\ntls.key = ""', "tls.key: must not be empty"),
        ('secret_key_file = "~nobody-here/key"', "a home directory that is not known"),
        (2 * '[[listeners]]\nname = "a"\nports = ["0"]\n', 'listeners: 2 of them are called "a"'),
    ],
)
def test_a_value_that_will_not_do_is_named(tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "relay.toml").write_text(written, "utf-8")
    with pytest.raises(BadConfig, match=said):
        load(tmp_path / "relay.toml")


def test_an_empty_directory_is_not_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_DATA_DIR", "")
    with pytest.raises(BadConfig, match="data_dir: must not be empty"):
        load()


def test_a_tilde_is_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RELAY_DATA_DIR", "~/mail")
    assert load().data_dir == tmp_path / "mail"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text('node = "a"', "utf-8-sig")
    assert load(tmp_path / "relay.toml").node == "a"


def test_each_mistake_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_LISTENERS", '[{"name": "a", "ports": ["1x"]}, {"name": "b", "port": "25"}]')
    with pytest.raises(BadConfig) as told:
        load()
    places = [line.split(": ")[1] for line in str(told.value).splitlines()]
    assert places[:2] == ["listeners.0.ports", "listeners.1.ports"]
    assert places[2:] == ['unknown key "listeners.1.port"; did you mean "ports"?']


@pytest.mark.parametrize("name", ["relay.example.com", "smtp_relay", "1-a_.b", "[192.0.2.1]", "[IPv6:::1]"])
def test_names_that_a_relay_can_have(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("RELAY_HOSTNAME", name)
    assert load().hostname == name


def test_who_has_no_home_has_a_configuration_all_the_same() -> None:
    code = (
        "import os, pwd; pwd.getpwuid = {}.__getitem__; os.environ.pop('HOME', None);"
        "from relay.config_file import load; print(load().data_dir.name)"
    )
    environment = {"PYTHONPATH": str(ROOT), "RELAY_DATA_DIR": "var"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"var\n", b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_home_where_one_may_not_look_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.chdir("/")
    os.seteuid(65534)
    try:
        assert load().admin.listen == "127.0.0.1:8080"
    finally:
        os.seteuid(0)
