"""What must be there before the first process starts, and the sentence for whatever is not."""

import errno
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from relay.certificates import ensure_self_signed
from relay.config import AdminSection, Config, Listener, NamedCertificate, TlsSection
from relay.sealing import load_or_make
from relay.supervisor import privileges
from relay.supervisor.cannot_start import BAD_CONFIG, CANNOT_CREATE, CannotStart
from relay.supervisor.lock import take_lock
from relay.supervisor.ports import Ports, open_ports
from relay.supervisor.preparation import certificates_of

ADMIN = AdminSection(listen="127.0.0.1:0")


def listener(name: str, *ports: str, address: str = "127.0.0.1") -> Listener:
    return Listener(name=name, ports=ports, address=address)


def opened(*listeners: Listener) -> Ports:
    ports = open_ports(Config(listeners=listeners, admin=ADMIN))
    ports.close_listeners()
    ports.admin.close()
    return ports


def refusal(action: Callable[[], object]) -> tuple[str, int]:
    with pytest.raises(CannotStart) as refused:
        action()
    return str(refused.value), refused.value.exit_code


# --- ports -----------------------------------------------------------------------------------


def test_every_port_of_every_listener_is_opened() -> None:
    ports = open_ports(Config(listeners=(listener("a", "0", "0"), listener("b", "0")), admin=ADMIN))
    assert {name: len(sockets) for name, sockets in ports.listeners.items()} == {"a": 2, "b": 1}
    socket.create_connection(ports.listeners["b"][0].getsockname()).close()
    ports.close_listeners()
    ports.admin.close()


def test_a_port_cannot_stand_in_two_listeners() -> None:
    sentence, code = refusal(lambda: opened(listener("a", "29500-29600"), listener("b", "29525")))
    assert (sentence, code) == ('Port 29525 stands in listener "a" and in listener "b".', BAD_CONFIG)


@pytest.mark.parametrize("address", ["192.0.2.1", "no such address"])
def test_an_address_of_another_machine_is_refused(address: str) -> None:
    sentence, code = refusal(lambda: opened(listener("a", "0", address=address)))
    assert (sentence, code) == (f'{address} (listener "a") is no address of this machine.', BAD_CONFIG)


def test_more_ports_than_files_that_may_be_open_are_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_more(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", no_more)
    sentence, code = refusal(lambda: opened(listener("a", "1025-2024")))
    assert sentence.startswith('Port 1025 (listener "a") is one open file more than the system grants')
    assert code == CANNOT_CREATE


# --- lock ------------------------------------------------------------------------------------


def test_the_lock_is_held_as_long_as_its_file_is_open(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    path.parent.mkdir()
    first = take_lock(path, patience=0)
    sentence, code = refusal(lambda: take_lock(path, patience=0))
    assert f"Another relay is running in {tmp_path} (process {os.getpid()})" in sentence
    assert code == CANNOT_CREATE
    os.close(first)
    os.close(take_lock(path, patience=0))


def test_who_is_on_its_way_out_is_waited_for_as_long_as_it_takes_at_most(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    path.parent.mkdir()
    held = take_lock(path, patience=0)
    os.pwrite(held, b"999999999\n", 0)  # nobody has this number: the parent is dead, a child still stops
    refusal(lambda: take_lock(path, patience=0.1))
    os.close(held)


# --- key -------------------------------------------------------------------------------------


def test_a_start_that_was_killed_while_it_made_the_key_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.with_suffix(f".{os.getpid()}").touch()  # in a container every start has the same process id
    load_or_make(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk() -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Fernet, "generate_key", full_disk)
    with pytest.raises(OSError, match="No space left"):
        load_or_make(tmp_path / "secret.key")
    assert not list(tmp_path.iterdir())


# --- certificate and user --------------------------------------------------------------------


def test_a_certificate_with_another_key_is_refused(tmp_path: Path) -> None:
    pairs = []
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
        pairs.append(ensure_self_signed(tmp_path / name, "relay.test", datetime.now(UTC)))
    tls = TlsSection(certificate=pairs[0].certificate, key=pairs[1].key)
    sentence, code = refusal(lambda: certificates_of(Config(tls=tls)))
    assert sentence.endswith(f"{pairs[1].key} cannot be used: the key belongs to another certificate.")
    assert code == BAD_CONFIG


def test_so_is_one_with_a_key_of_another_kind(tmp_path: Path) -> None:
    certificate = ensure_self_signed(tmp_path, "relay.test", datetime.now(UTC)).certificate
    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "rsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tls = TlsSection(certificate=certificate, key=tmp_path / "rsa.key")
    sentence, _ = refusal(lambda: certificates_of(Config(tls=tls)))
    assert sentence.endswith("rsa.key cannot be used: the key belongs to another certificate.")


def test_a_key_that_is_none_is_refused_in_a_sentence(tmp_path: Path) -> None:
    paths = ensure_self_signed(tmp_path, "relay.test", datetime.now(UTC))
    tls = TlsSection(certificate=paths.certificate, key=paths.certificate)
    sentence, _ = refusal(lambda: certificates_of(Config(tls=tls)))
    assert sentence.endswith("the one holds no certificate, or the other no private key, in PEM form.")


def test_a_certificate_that_is_not_there_is_named_and_so_is_what_names_it(tmp_path: Path) -> None:
    there, missing = ensure_self_signed(tmp_path, "relay.test", datetime.now(UTC)), tmp_path / "nowhere.pem"
    first = TlsSection(certificate=missing, key=there.key)
    more = TlsSection(certificates=(NamedCertificate(certificate=there.certificate, key=missing),))
    for tls, name in ((first, "tls.certificate"), (more, "tls.certificates.0.key")):
        sentence, code = refusal(partial(certificates_of, Config(tls=tls)))
        assert (sentence, code) == (f'There is no {missing} ("{name}").', BAD_CONFIG)


def test_a_user_that_does_not_exist_is_named() -> None:
    sentence, code = refusal(lambda: privileges.become("no-such-user", giving=[]))
    assert (sentence, code) == ('There is no user "no-such-user" on this machine ("user").', BAD_CONFIG)
