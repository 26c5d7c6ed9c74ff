"""Keys to sign with: made, published, active, rotated, retired, gone."""

import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from sqlalchemy import Engine, select

from relay.db import tables
from relay.db.audit import Author
from relay.db.engine import read_with, write_with
from relay.db.revision import Subject, read_all
from relay.mail.dkim import Algorithm
from relay.routing.dkim_keys import (
    Key,
    KeyTaken,
    Looked,
    NewKeys,
    NoSuchKey,
    Removal,
    State,
    Turn,
    all_keys,
    keys_of,
    make_keys,
    note_look,
    remove_keys,
    signers,
    turn,
)
from relay.sealing import CannotUnseal, Sealer

BOTH = (Algorithm.RSA, Algorithm.ED25519)


def states(engine: Engine) -> dict[str, str]:
    return {key.selector: key.state.value for key in read_with(engine, all_keys)}


def make(engine: Engine, author: Author, sealer: Sealer, **so: object) -> list[Key]:
    given: dict[str, object] = {"algorithms": (Algorithm.ED25519,), **so}
    return write_with(engine, make_keys, NewKeys(author, sealer, "Example.COM", **given))  # type: ignore[arg-type]


def test_a_key_is_sealed_named_by_the_day_and_signs_once_it_was_seen(
    engine: Engine, author: Author, sealer: Sealer
) -> None:
    plain, short = make(engine, author, sealer, algorithms=BOTH)
    day = f"{author.at:%Y%m%d}"
    assert (plain.selector, short.selector) == (f"r{day}", f"r{day}e")
    assert plain.domain == "example.com"
    assert b"PRIVATE" not in plain.sealed
    loaded = serialization.load_der_public_key(plain.public_key)
    assert isinstance(loaded, rsa.RSAPublicKey)
    assert loaded.key_size == 2048
    assert read_with(engine, signers, sealer) == {}

    bad = write_with(engine, note_look, Looked(author, "example.com", plain.selector, False, "Not there."))
    assert (bad.state, bad.check_detail) == (State.NEW, "Not there.")
    good = write_with(engine, note_look, Looked(author, "example.com", plain.selector, True, "There."))
    assert good.state is State.ACTIVE
    (signer,) = (make_signer() for make_signer in read_with(engine, signers, sealer)["example.com"])
    assert (signer.domain, signer.selector, signer.algorithm) == (
        "example.com",
        plain.selector,
        Algorithm.RSA,
    )


def test_a_signer_signs_with_the_key_that_is_published(
    engine: Engine, author: Author, sealer: Sealer
) -> None:
    (key,) = make(engine, author, sealer, is_active=True, selector="e1")
    assert key.state is State.ACTIVE
    (lazy,) = read_with(engine, signers, sealer)["example.com"]
    public = ed25519.Ed25519PublicKey.from_public_bytes(key.public_key)
    public.verify(lazy().sign(b"said"), hashlib.sha256(b"said").digest())
    assert lazy() is lazy()


def test_a_key_that_nothing_opens_says_so(engine: Engine, author: Author, sealer: Sealer) -> None:
    from cryptography.fernet import Fernet

    make(engine, author, sealer, is_active=True)
    (lazy,) = read_with(engine, signers, Sealer([Fernet.generate_key()]))["example.com"]
    with pytest.raises(CannotUnseal):
        lazy()


def test_a_rotation_leaves_the_old_key_until_the_new_one_was_seen(
    engine: Engine, author: Author, sealer: Sealer
) -> None:
    make(engine, author, sealer, selector="old", is_active=True)
    (fresh,) = make(engine, author, sealer, algorithms=(), is_rotation=True)
    assert fresh.algorithm is Algorithm.ED25519
    assert states(engine) == {"old": "active", fresh.selector: "new"}
    write_with(engine, note_look, Looked(author, "example.com", fresh.selector, True, "There."))
    assert states(engine) == {"old": "retired", fresh.selector: "active"}
    (again,) = make(engine, author, sealer, algorithms=(), is_rotation=True, is_active=True)
    assert again.selector == f"{fresh.selector}-2"
    assert states(engine)[again.selector] == "active"


def test_keys_are_told_apart_by_algorithm(engine: Engine, author: Author, sealer: Sealer) -> None:
    make(engine, author, sealer, algorithms=BOTH, selector="a", is_active=True)
    assert states(engine) == {"a": "active", "ae": "active"}
    write_with(engine, turn, Turn(author, "example.com", "ae", State.RETIRED))
    assert states(engine) == {"a": "active", "ae": "retired"}


def test_what_is_not_there_and_what_is_there_already(engine: Engine, author: Author, sealer: Sealer) -> None:
    with pytest.raises(NoSuchKey, match="relay dkim list"):
        read_with(engine, keys_of, "example.com")
    with pytest.raises(NoSuchKey):
        make(engine, author, sealer, is_rotation=True)
    make(engine, author, sealer, selector="a")
    with pytest.raises(NoSuchKey, match="its selectors are a"):
        read_with(engine, keys_of, "example.com", "b")
    with pytest.raises(KeyTaken, match='key "a"'):
        make(engine, author, sealer, selector="a")


def test_every_change_is_told_to_all_processes_and_to_the_audit_trail(
    engine: Engine, author: Author, sealer: Sealer
) -> None:
    make(engine, author, sealer, selector="a", is_active=True)
    before = read_with(engine, read_all)[Subject.KEYS]
    write_with(engine, turn, Turn(author, "example.com", "", State.RETIRED))
    write_with(engine, remove_keys, Removal(author, "example.com", ""))
    assert read_with(engine, read_all)[Subject.KEYS] > before
    assert read_with(engine, all_keys) == []
    with engine.connect() as tx:
        actions = tx.execute(select(tables.audit.c.action).order_by(tables.audit.c.id)).scalars().all()
    assert actions == ["dkim.add", "dkim.active", "dkim.retired", "dkim.delete"]
