"""What is kept of a password for SCRAM, and in which form the password is taken."""

import pytest
from cryptography.fernet import Fernet

from relay.accounts import scram
from relay.accounts.credentials import Login, Secret
from relay.accounts.proofs import proofs_of
from relay.accounts.saslprep import CannotPrepare, saslprep
from relay.policy.grants import Grants
from relay.policy.networks import parse_networks
from relay.policy.submission import User
from relay.sealing import Sealer

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()
SEALER = Sealer([OLD])
ANN = User("1", "ann", Grants(()))


@pytest.mark.parametrize(
    ("written", "prepared"),
    [  # the examples of RFC 4013 §3
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("gru\u0308n", "gr\u00fcn"),
    ],
)
def test_a_password_is_prepared(written: str, prepared: str) -> None:
    assert saslprep(written) == prepared


@pytest.mark.parametrize("written", ["\u0007", "\u06271", "a\u0627", "\ue000", "\ufffd", "\u200e"])
def test_what_cannot_be_prepared_has_no_keys(written: str) -> None:
    with pytest.raises(CannotPrepare):
        saslprep(written)
    assert scram.sealed_keys("ann", written, SEALER) is None


def test_keys_are_sealed_and_opened_again() -> None:
    sealed = scram.sealed_keys("Ann", "pencil", SEALER)
    assert sealed is not None
    keys = scram.unsealed_keys(sealed, SEALER)
    assert keys == scram.keys_of("pencil", scram.salt_for("ann", SEALER))
    assert "stored_key" not in repr(keys)
    assert scram.unsealed_keys(sealed, Sealer([NEW])) is None
    assert scram.unsealed_keys(None, SEALER) is None


def test_a_new_key_in_front_changes_no_salt() -> None:
    assert scram.salt_for("ann", Sealer([NEW, OLD])) == scram.salt_for("ann", SEALER)
    assert scram.salt_for("ann", SEALER) != scram.salt_for("bob", SEALER)
    assert len(scram.salt_for("no name\0at all", SEALER)) == len(scram.salt_for("ann", SEALER))


def test_all_credentials_of_a_user_share_what_the_client_is_told() -> None:
    here = Secret("1", "hash", scram.sealed_keys("ann", "one", SEALER))
    there = Secret("2", "hash", scram.sealed_keys("ann", "two", SEALER), parse_networks("10.0.0.0/8"))
    login = Login(ANN, is_active=True, secrets=(here, there, Secret("3", "hash")))
    proofs = proofs_of(login, "ann", peer="192.0.2.7", sealer=SEALER, generation=0)
    assert [each.user and each.user.credential_id for each in proofs.candidates] == ["1", None]
    assert "network" in proofs.candidates[1].why
    assert proofs.salt == scram.salt_for("ann", SEALER)


def test_a_name_that_nobody_has_is_told_the_same() -> None:
    proofs = proofs_of(None, "nobody", peer="192.0.2.7", sealer=SEALER, generation=0)
    assert (proofs.salt, proofs.iterations) == (scram.salt_for("nobody", SEALER), scram.ITERATIONS)
    assert proofs.candidates[0].user is None
    without_keys = Login(ANN, is_active=True, secrets=(Secret("3", "hash"),))
    proofs = proofs_of(without_keys, "ann", peer="192.0.2.7", sealer=SEALER, generation=0)
    assert proofs.salt == scram.salt_for("ann", SEALER)
    assert proofs.candidates[0].user is None
