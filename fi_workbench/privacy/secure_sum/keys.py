"""What each party makes for one round: two key pairs, a seed for its own mask, and what it says of them, signed.

One key pair seals shares, the other makes pairwise masks: the second may be opened later, and must not open what was
sealed. The seed is committed to, so that a wrong share of it is found out.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fi_workbench.core.digest import canonical
from fi_workbench.core.identity import BadSignature, PublicIdentity, statement, verify

KEY_BYTES, SIGNATURE_BYTES = 32, 64
ANNOUNCED_BYTES = 3 * KEY_BYTES + SIGNATURE_BYTES

_HOUSE = "fi-workbench secure sum"
_ANYBODY = X25519PrivateKey.from_private_bytes(hashlib.sha256(b"fi-workbench: not secret").digest())
"""To find out whether a public key makes a secret with anybody at all."""


def fresh_seed() -> bytes:
    """32 bytes from the operating system's generator."""
    return secrets.token_bytes(KEY_BYTES)


def fresh_key() -> X25519PrivateKey:
    """A key that nobody has used."""
    return X25519PrivateKey.generate()


@dataclass(frozen=True, eq=False)
class RoundKeys:
    """One party's secrets of one round.

    Parameters
    ----------
    sealing, masking : X25519PrivateKey
    seed : bytes
        Of the mask that the party puts on top of its pairwise masks.
    """

    sealing: X25519PrivateKey
    masking: X25519PrivateKey
    seed: bytes

    @classmethod
    def fresh(cls) -> RoundKeys:
        """Secrets that were never used."""
        return cls(fresh_key(), fresh_key(), fresh_seed())

    def announced(self, round_digest: str, party: str, sign: Callable[[bytes], bytes]) -> Announced:
        """What others may know of them, signed."""
        bound = commitment(round_digest, party, self.seed)
        unsigned = Announced(public_part(self.sealing), public_part(self.masking), bound, b"")
        return replace(unsigned, signature=sign(unsigned.signed_part(round_digest)))


@dataclass(frozen=True)
class Announced:
    """What a party tells of its secrets: 32 bytes each, and its signature of them.

    Parameters
    ----------
    sealing, masking : bytes
        X25519 public keys.
    commitment : bytes
        To the seed.
    signature : bytes
    """

    sealing: bytes
    masking: bytes
    commitment: bytes
    signature: bytes

    def to_bytes(self) -> bytes:
        """As it travels."""
        return self.sealing + self.masking + self.commitment + self.signature

    @classmethod
    def of_bytes(cls, data: bytes) -> Announced:
        """What :meth:`to_bytes` made.

        Raises
        ------
        ValueError
            Another length.
        """
        if len(data) != ANNOUNCED_BYTES:
            raise ValueError(f"Keys of a round have {ANNOUNCED_BYTES} bytes, not {len(data)}.")
        sealing, masking, bound = (data[start : start + KEY_BYTES] for start in (0, KEY_BYTES, 2 * KEY_BYTES))
        return cls(sealing, masking, bound, data[3 * KEY_BYTES :])

    def signed_part(self, round_digest: str) -> bytes:
        """What is signed: bound to the whole question, so that it says nothing to who was told of another cohort."""
        return canonical([_HOUSE, round_digest, "keys", self.sealing, self.masking, self.commitment])

    def check(self, round_id: str, round_digest: str, party: PublicIdentity) -> None:
        """Nothing, if ``party`` signed these keys for this very question, and secrets can be made with them.

        Raises
        ------
        BadSignature
            Otherwise.
        """
        stated = statement(round_id, party.name, self.signed_part(round_digest))  # as PartyContext.sign binds it
        if not _is_signed(party.verify_key, self.signature, stated):
            raise BadSignature(f"The keys of {party.name} are not signed by {party.name} for this question.")
        if not (_makes_secrets(self.sealing) and _makes_secrets(self.masking)):
            raise BadSignature(f"{party.name} announced a key with which every secret is zero.")


def listed_part(round_digest: str, included: bytes) -> bytes:
    """What a party signs of the list of those in the sum, as it was told it."""
    return canonical([_HOUSE, round_digest, "in the sum", included])


def is_agreed(round_id: str, round_digest: str, party: PublicIdentity, included: bytes, signature: bytes) -> bool:
    """Whether ``party`` signed that it was told this very list of those in the sum."""
    return _is_signed(party.verify_key, signature, statement(round_id, party.name, listed_part(round_digest, included)))


def private_key(data: bytes) -> X25519PrivateKey:
    """A private key from the 32 bytes that were shared."""
    return X25519PrivateKey.from_private_bytes(data)


def public_part(private: X25519PrivateKey) -> bytes:
    """The public key, 32 bytes."""
    return private.public_key().public_bytes_raw()


def shared_secret(private: X25519PrivateKey, public: bytes) -> bytes:
    """What two parties alone know, 32 bytes; to be derived from, never used as it is.

    Raises
    ------
    ValueError
        The public key is of low order.
    """
    return private.exchange(X25519PublicKey.from_public_bytes(public))


def commitment(round_digest: str, party: str, seed: bytes) -> bytes:
    """What binds a party to its seed, 32 bytes, and shows nothing of it: the seed is as long, and random."""
    return hashlib.sha256(canonical([_HOUSE, round_digest, "seed", party, seed])).digest()


def derived(secret: bytes, round_digest: str, purpose: str, *names: str) -> bytes:
    """A key of 32 bytes for one purpose among these parties in one round: the whole label goes in."""
    info = canonical([_HOUSE, round_digest, purpose, *names])
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def pair_key(private: X25519PrivateKey, public: bytes, round_digest: str, one: str, other: str) -> bytes:
    """The key of the mask that two parties share; the same at both, and for who is given either's private key."""
    return derived(shared_secret(private, public), round_digest, "mask", *sorted((one, other)))


@lru_cache(maxsize=4096)  # the parties of one process are shown the same bytes
def _is_signed(verify_key: bytes, signature: bytes, stated: bytes) -> bool:
    try:
        verify(verify_key, signature, stated)
    except BadSignature:
        return False
    return True


@lru_cache(maxsize=4096)
def _makes_secrets(public: bytes) -> bool:
    try:
        _ANYBODY.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return False
    return True
