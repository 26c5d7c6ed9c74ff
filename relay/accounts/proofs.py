"""What a SCRAM proof is compared with: the keys of every credential of a user, or nobody's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from relay.accounts.credentials import Login
from relay.accounts.scram import ScramKeys, nobodys_keys, unsealed_keys
from relay.policy.submission import User
from relay.sealing import Sealer

UNKNOWN_USER = "unknown user"
WRONG_PASSWORD = "wrong password"  # noqa: S105  a reason, not a password


@dataclass(frozen=True, slots=True)
class Candidate:
    """One credential: its keys, and whom it lets in; if nobody, `why` not."""

    keys: ScramKeys
    user: User | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What one login is judged by; `generation` is the verifier's, when it was read."""

    candidates: tuple[Candidate, ...]  # all of one salt; never none
    generation: int

    @property
    def salt(self) -> bytes:
        """What the client is told to make its keys with."""
        return self.candidates[0].keys.salt

    @property
    def iterations(self) -> int:
        """How often it is told to do so."""
        return self.candidates[0].keys.iterations

    def proven(self, proof: bytes, auth_message: bytes) -> Candidate | None:
        """The credential that *proof* was made with, of several one that lets in; all are looked at."""
        found = [each for each in self.candidates if each.keys.proves(proof, auth_message)]
        return next((each for each in found if each.user), found[0] if found else None)


def proofs_of(login: Login | None, name: str, *, peer: str, sealer: Sealer, generation: int) -> Proofs:
    """Return what a proof of *name* from *peer* is compared with."""
    known = [] if login is None else _candidates(login, peer, sealer)
    first = known[0].keys if known else nobodys_keys(name, sealer)
    alike = [c for c in known if (c.keys.salt, c.keys.iterations) == (first.salt, first.iterations)]
    why = WRONG_PASSWORD if login else UNKNOWN_USER
    return Proofs(tuple(alike) or (Candidate(first, None, why),), generation)


def _candidates(login: Login, peer: str, sealer: Sealer) -> list[Candidate]:
    found = []
    for secret in login.secrets:
        keys = unsealed_keys(secret.scram_keys, sealer)
        if keys is None:
            continue
        why = refusal(login, is_good_here=secret.is_good_from(peer))
        user = None if why else replace(login.user, credential_id=secret.credential_id)
        found.append(Candidate(keys, user, why))
    return found


def refusal(login: Login, *, is_good_here: bool) -> str:
    """Why the right password does not do; "" if it does."""
    if not login.is_active:
        return "inactive user"
    return "" if is_good_here else "the credential is not good from this network"
