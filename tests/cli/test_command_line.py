"""What holds for every command: options, errors, exit codes, and what is never shown."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from relay.cli import main
from relay.cli.faults import explain
from relay.db import engine as database
from tests.cli.conftest import Run

ROOT = Path(__file__).resolve().parents[2]


def relay(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the real program."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [sys.executable, "-m", "relay", *arguments], env=env, capture_output=True, text=True, check=False
    )


def test_the_options_of_every_command_may_stand_before_or_behind_it(run: Run, engine: Engine) -> None:
    for line in ("--json user list", "user --json list", "user list --json"):
        assert run(*line.split()).document == []
    run("user", "add", "ann")
    assert run("user", "--json", "credential", "list", "ann").document[0]["name"] == "default"


def test_without_a_database_looking_makes_none_and_says_what_would(run: Run, nothing: Path) -> None:
    for command in (("user", "list"), ("queue", "list"), ("settings", "list"), ("upstream", "list")):
        answer = run(*command)
        assert answer.code == 78
        assert f"There is no database {nothing / 'relay.db'} yet" in answer.err
    assert not nothing.exists()


def test_a_database_that_is_behind_is_said_to_be(run: Run, engine: Engine) -> None:
    with engine.begin() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    answer = run("user", "list")
    assert answer.code == 78
    assert 'run "relay migrate"' in answer.err
    with engine.begin() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    answer = run("user", "list")
    assert (answer.code, "was used by a newer relay" in answer.err) == (78, True)
    assert "relay migrate" not in answer.err


def test_migrating_twice_is_once_and_nothing(run: Run, nothing: Path) -> None:
    assert run("migrate", "--json").document["has_changed"] is True
    assert run("migrate").out == "The database is up to date.\n"


@pytest.mark.parametrize("name", ["a b", "a?b", "50%41", "#1", "büro"])
def test_the_database_lies_in_its_directory_whatever_that_is_called(
    run: Run, nothing: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    directory = nothing / name
    monkeypatch.setenv("RELAY_DATA_DIR", str(directory))
    assert run("migrate").code == 0
    assert (directory / "relay.db").exists()
    assert run("user", "list", "--json").document == []


def test_a_file_that_is_no_database_is_said_to_be(run: Run, data_dir: Path) -> None:
    (data_dir / "relay.db").write_text("this is not a database " * 100)
    answer = run("user", "list")
    assert answer.code == 69
    assert "file is not a database" in answer.err


def test_a_database_that_nobody_answers_at_is_unavailable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_DATABASE__URL", "postgresql://relay:secret@127.0.0.1:1/relay")
    answer = run("user", "list")
    assert answer.code == 69
    assert "secret" not in answer.err


def test_a_database_that_may_only_be_read_is_a_matter_of_permission(
    run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = database._prepare_sqlite

    def only_reading(connection: sqlite3.Connection, record: object) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA query_only=ON")

    monkeypatch.setattr(database, "_prepare_sqlite", only_reading)
    answer = run("user", "add", "ann")
    assert answer.code == 77
    assert "may not be written by this user" in answer.err


def test_a_busy_database_is_worth_another_try(
    run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.begin():
        monkeypatch.setattr(database, "_SQLITE_BUSY_MS", 20)
        answer = run("user", "add", "ann")
    assert answer.code == 75
    assert "busy" in answer.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nod = 'x'", 'unknown key "nod"; did you mean "node"?'),
        ("[[listeners]]\nname='a'\nports='x'", "neither a port"),
        ("data_dir = ", "Invalid value"),
        ("[database]\nurl = 'mysql://x:secret@y/z'", "begins with postgresql://"),
    ],
)
def test_a_configuration_that_cannot_be_used_names_what_to_mend(
    run: Run, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "relay.toml").write_text(content)
    answer = run("user", "list", "--config", str(tmp_path / "relay.toml"))
    assert (answer.code, answer.out) == (78, "")
    assert said in answer.err
    assert "secret" not in answer.err
    assert said in run("--config", str(tmp_path / "relay.toml"), "user", "list", "--json").error["error"]


def test_a_configuration_file_that_is_not_there_is_named(run: Run) -> None:
    answer = run("config", "show", "--config", "nowhere.toml")
    assert answer.code == 78
    assert f"nowhere.toml: there is no such file in {Path.cwd()}" in answer.err


def test_an_unexpected_fault_is_one_sentence_and_its_details_only_if_asked_for(
    run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_tx: object) -> None:
        raise ZeroDivisionError("secret inner workings")

    monkeypatch.setattr("relay.accounts.users.everybody", broken)
    answer = run("user", "list")
    assert answer.code == 70
    assert answer.err.startswith("error: This should not have happened (ZeroDivisionError)")
    assert "secret inner workings" not in answer.err
    assert "secret inner workings" in run("user", "list", "--debug").err


def test_a_file_that_may_not_be_read_is_named() -> None:
    assert explain(PermissionError(13, "Permission denied", "/etc/key")) == (
        "No permission for /etc/key.",
        77,
    )
    assert explain(OSError(28, "No space left on device", "/var/x")) == (
        "/var/x: No space left on device.",
        73,
    )


def test_the_configuration_is_shown_with_its_origins_and_without_passwords(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "relay.toml").write_text(
        "node = 'one'\n[database]\nurl = 'postgresql://relay:secret@db/relay'\n"
    )
    monkeypatch.setenv("RELAY_CONFIG", str(tmp_path / "relay.toml"))
    answer = run("config", "show", "--origin", "--json")
    assert answer.document["file"] == str(tmp_path / "relay.toml")
    assert answer.document["values"]["database.url"] == "postgresql+psycopg://relay:***@db/relay"
    origins = answer.document["origins"]
    assert origins["node"] == str(tmp_path / "relay.toml")
    assert origins["hostname"] == "$RELAY_HOSTNAME"
    assert origins["tls.key"] == "default"
    assert "secret@" not in run("config", "show").out
    assert ":secret" not in run("config", "show").out


def test_no_command_is_a_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert "upstream" in capsys.readouterr().out


def test_a_noun_alone_shows_its_verbs_and_no_error(run: Run) -> None:
    answer = run("queue")
    assert (answer.code, "prioritise" in answer.out + answer.err, "error" in answer.err) == (2, True, False)


def test_the_program_itself_ends_with_the_code_and_without_colours_in_a_pipe(data_dir: Path) -> None:
    done = relay("version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "relay")
    done = relay("user", "show", "nobody", "--json")
    assert done.returncode == 1
    done = relay("user", "add", "ann")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr


def test_a_reader_that_has_had_enough_is_no_fault(data_dir: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m relay settings list | head -c 1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_fault(data_dir: Path, closed: str) -> None:
    def done(command: str) -> "subprocess.CompletedProcess[bytes]":
        line = f"{sys.executable} -m relay {command} {closed}"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(line, shell=True, env=environment, capture_output=True, check=False)  # noqa: S602

    assert done("user add ann").returncode == 0
    refused = done("user delete ann")  # and nobody there to ask
    assert (refused.returncode, b"Traceback" in refused.stderr) == (2, False)
    assert done("user list").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full is Linux's")
@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_an_answer_that_a_full_disk_does_not_take_is_told_and_has_a_code(
    data_dir: Path, unbuffered: str
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        for line in ("user list", "user list --json", "--help"):
            done = subprocess.run(
                [sys.executable, "-m", "relay", *line.split()],
                env=environment,
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
            )
            assert done.returncode == 74
            assert b"The answer could not be written: No space left on device." in done.stderr
            assert b"Traceback" not in done.stderr
        done = subprocess.run(
            [sys.executable, "-m", "relay", "user", "show", "nobody"],
            env=environment,
            stderr=full,
            check=False,
        )
        assert done.returncode == 1


def test_octets_that_are_no_text_are_bad_data(run: Run, data_dir: Path) -> None:
    answer = run("user", "add", "ann", "--notes", "\udcff")
    assert (answer.code, "not all UTF-8" in answer.err) == (65, True)


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_letters_that_a_stream_has_not_are_told_by_their_numbers(data_dir: Path, encoding: str) -> None:
    relay("user", "add", "mail@日本.example")
    told = relay("user", "list", PYTHONIOENCODING=encoding)
    assert (told.returncode, r"@\u65e5\u672c.example" in told.stdout) == (0, True)
    told = relay("user", "list", "--json", PYTHONIOENCODING=encoding)
    assert json.loads(told.stdout)[0]["name"] == "mail@日本.example"
    told = relay("user", "show", "nobody@日本.example", "--json", PYTHONIOENCODING=encoding)
    assert "日本" in json.loads(told.stderr)["error"]


def test_asking_for_help_loads_neither_the_database_nor_the_log() -> None:
    code = (
        "import sys; from relay.cli import app; app();"
        "heavy = {'sqlalchemy', 'pydantic_settings', 'prometheus_client', 'fastapi', 'alembic', 'passlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
