"""What the doctor finds, and what it says to do."""

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from relay.certificates import ensure_self_signed
from relay.db import tables
from relay.db.engine import write_with
from relay.routing.health import Check, CheckResult, record_check
from tests.cli.conftest import Run, Take
from tests.kit.tokens import document

Found = dict[str, tuple[str, str]]


@pytest.fixture(autouse=True)
def config(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports that nobody else uses: any."""
    (tmp_path / "relay.toml").write_text(
        '[admin]\nlisten = "127.0.0.1:0"\n'
        '[[listeners]]\nname = "submission"\naddress = "127.0.0.1"\nports = "0"\n'
    )
    monkeypatch.setenv("RELAY_CONFIG", str(tmp_path / "relay.toml"))


def examined(run: Run, *, code: int) -> Found:
    answer = run("doctor", "--json")
    assert answer.code == code
    assert answer.document["is_healthy"] is (code == 0)
    return {f["about"]: (f["verdict"], f["sentence"]) for f in answer.document["findings"]}


@pytest.fixture
def well(run: Run, data_dir: Path) -> None:
    """An installation with nothing to mend."""
    run("upstream", "add", "sandbox", "--kind", "sandbox")
    run("user", "add", "ann", "--sender", "example.com")
    ensure_self_signed(data_dir, "relay.example.com", datetime.now(UTC))


def test_all_is_well(run: Run, well: None) -> None:
    found = examined(run, code=0)
    assert {verdict for verdict, _ in found.values()} == {"ok"}
    assert list(found) == [
        "configuration", "host name", "data directory", "disk space", "key file", "certificate", "database",
        "clock", "default route", "users", "ports",
    ]  # fmt: skip
    assert run("doctor").out.endswith("Must be mended: nothing. Worth a look: nothing.\n")


def test_a_new_machine_needs_only_a_start(run: Run, nothing: Path) -> None:
    found = examined(run, code=0)
    assert {about for about, (verdict, _) in found.items() if verdict == "warning"} == {
        "data directory",
        "key file",
        "certificate",
        "database",
    }
    assert not nothing.exists()


def test_a_configuration_that_cannot_be_read_is_the_only_finding(run: Run, tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("nod = 1")
    found = examined(run, code=1)
    assert list(found) == ["configuration"]
    assert 'did you mean "node"' in found["configuration"][1]


def test_files_that_others_can_read_are_found(run: Run, well: None, data_dir: Path) -> None:
    data_dir.chmod(0o755)
    (data_dir / "secret.key").chmod(0o644)
    found = examined(run, code=1)
    assert found["data directory"] == (
        "warning",
        f"{data_dir} is open to others (mode 755): chmod 700 {data_dir}",
    )
    assert found["key file"][0] == "problem"
    assert "chmod 600" in found["key file"][1]


def test_a_tls_key_that_others_can_read_is_found_and_its_group_is_no_other(
    run: Run, well: None, data_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    more = ensure_self_signed(tmp_path / "more", "mail.example.org", datetime.now(UTC))
    with (tmp_path / "relay.toml").open("a") as file:
        file.write(f'[[tls.certificates]]\ncertificate = "{more.certificate}"\nkey = "{more.key}"\n')
    (data_dir / "certificate.key").chmod(0o640)
    assert "TLS key" not in examined(run, code=0)
    more.key.chmod(0o644)
    sentence = f"{more.key} can be read by others (mode 644): chmod o= {more.key}"
    assert examined(run, code=1)["TLS key"] == ("problem", sentence)
    more.key.unlink()
    sentence = f'There is no {more.key} ("tls.certificates.0.key").'
    assert examined(run, code=1)["certificate"] == ("problem", sentence)


def test_a_certificate_that_is_no_good_any_more_is_found(run: Run, well: None, data_dir: Path) -> None:
    def made(ago: timedelta) -> tuple[str, str]:
        (data_dir / "certificate.pem").unlink()
        ensure_self_signed(data_dir, "relay.example.com", datetime.now(UTC) - ago)
        return examined(run, code=1 if ago > timedelta(days=825) or ago < timedelta(0) else 0)["certificate"]

    assert made(timedelta(days=820))[0] == "warning"
    assert made(timedelta(days=826))[0] == "problem"
    assert "not valid yet" in made(timedelta(days=-2))[1]
    (data_dir / "certificate.pem").write_text("no certificate")
    verdict, told = examined(run, code=1)["certificate"]
    assert (verdict, "certificate.key cannot be used: " in told) == ("problem", True)
    (data_dir / "certificate.pem").unlink()
    (data_dir / "certificate.pem").mkdir()
    assert examined(run, code=1)["certificate"][1].endswith("certificate.pem: Is a directory.")


def test_a_key_file_that_holds_no_key_is_found(run: Run, well: None, data_dir: Path) -> None:
    (data_dir / "secret.key").write_text("no key")
    verdict, told = examined(run, code=1)["key file"]
    assert (verdict, told.startswith(f"{data_dir / 'secret.key'} cannot be used: ")) == ("problem", True)


def test_a_host_name_that_upstreams_refuse_is_found(
    run: Run, well: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_HOSTNAME", "localhost")
    assert examined(run, code=0)["host name"][0] == "warning"


def test_a_database_that_is_behind_is_found(run: Run, well: None, engine: Engine) -> None:
    with engine.begin() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    verdict, sentence = examined(run, code=1)["database"]
    assert (verdict, "relay migrate" in sentence) == ("problem", True)


def test_nowhere_to_send_to_is_found(run: Run, well: None) -> None:
    run("upstream", "disable", "sandbox")
    assert examined(run, code=0)["default route"][0] == "warning"
    run("upstream", "delete", "sandbox", "--yes", "--force")
    assert examined(run, code=1)["default route"][0] == "problem"


def test_a_route_to_where_nobody_takes_mail_is_found(run: Run, well: None) -> None:
    run("upstream", "add", "other", "--kind", "sandbox")
    run("route", "add", "shop", "--to", "other", "--tag", "shop")
    assert "route shop" not in examined(run, code=0)
    run("upstream", "disable", "other")
    waits = 'All its upstreams are switched off, so mail waits: "relay upstream enable".'
    assert examined(run, code=0)["route shop"] == ("warning", waits)
    run("upstream", "delete", "other", "--yes", "--force")
    passed_over = 'It leads to no upstream, so it is passed over: "relay route edit".'
    assert examined(run, code=0)["route shop"] == ("warning", passed_over)
    run("route", "edit", "shop", "--disable")
    assert "route shop" not in examined(run, code=0)


def test_users_who_can_do_nothing_are_found(run: Run, well: None) -> None:
    run("user", "add", "bob")
    run("user", "add", "cid", "--inactive")
    verdict, sentence = examined(run, code=0)["users"]
    assert (verdict, "bob" in sentence, "cid" in sentence) == ("warning", True, False)


def test_upstreams_that_are_doubtful_failing_or_locked_out_are_found(
    run: Run, well: None, engine: Engine, data_dir: Path
) -> None:
    options = ("--host", "mx.example", "--port", "25", "--username", "u", "--password-stdin", "--no-test")
    run("upstream", "add", "x", *options, typed="p\n")
    with engine.connect() as tx:
        x = tx.execute(tables.upstreams.select().where(tables.upstreams.c.name == "x")).one()
    write_with(engine, record_check, Check(x.id, datetime.now(UTC), CheckResult.ERROR, "no such host"))
    (data_dir / "secret.key").unlink()
    answer = run("doctor", "--json")
    sentences = [f["sentence"] for f in answer.document["findings"] if f["about"] == "upstream x"]
    assert answer.code == 1
    assert [s[:24] for s in sentences] == [
        "Its password is lost: a ",
        "Its last check failed: n",
        "Port 25 is often blocked",
    ]


def test_a_clock_that_was_set_back_is_found(run: Run, well: None, engine: Engine, take: Take) -> None:
    take()
    with engine.begin() as tx:
        tx.execute(update(tables.messages).values(accepted_at=datetime.now(UTC) + timedelta(hours=1)))
    assert examined(run, code=1)["clock"][0] == "problem"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        yield taken.getsockname()[1]


def test_a_port_that_somebody_else_has_is_found(
    run: Run, well: None, tmp_path: Path, taken_port: int
) -> None:
    with (tmp_path / "relay.toml").open("a") as file:
        file.write(f'[[listeners]]\nname = "other"\naddress = "127.0.0.1"\nports = {taken_port}\n')
    verdict, sentence = examined(run, code=1)["ports"]
    assert (verdict, str(taken_port) in sentence) == ("problem", True)


def test_the_keys_of_an_issuer_of_tokens_can_be_read_or_not(run: Run, well: None, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    issuer = f'[oauth]\nissuer = "https://login.example.com"\naudience = "relay"\njwks = "{keys}"\n'
    path = tmp_path / "relay.toml"
    path.write_text(path.read_text() + issuer)
    assert "cannot be read" in examined(run, code=1)["tokens"][1]
    keys.write_bytes(document())
    assert examined(run, code=0)["tokens"][1].endswith("keys for ES256, EdDSA, RS256")
