"""Who is who: Ed25519 signatures, and payloads sealed from one party to another.

Sealing is HPKE base mode (RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305) over the content and the sender's
signature of content, recipient and label, so a coordinator that carries a payload can neither read nor replace it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import FederationError

_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
_SIGNATURE_BYTES = 64


class BadSignature(FederationError):
    """A signature or a sealed payload that was not made by whom it claims, or was changed on the way."""


@dataclass(frozen=True)
class PublicIdentity:
    """The public half of an identity.

    Parameters
    ----------
    name : str
        What people call it; not proof of anything.
    verify_key : bytes
        Raw Ed25519 public key, 32 bytes.
    seal_key : bytes
        Raw X25519 public key, 32 bytes, to which payloads are sealed.
    binding : bytes
        Signature of name and seal_key by the Ed25519 key: nobody can put another seal key in between.
    """

    name: str
    verify_key: bytes
    seal_key: bytes
    binding: bytes

    def check(self) -> PublicIdentity:
        """This identity, after its binding was verified.

        Raises
        ------
        BadSignature
            If the binding is not the Ed25519 key's.
        """
        verify(self.verify_key, self.binding, canonical(["fi-workbench identity", self.name, self.seal_key]))
        return self

    @property
    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of the verify key: short, for people."""
        return self.verify_key.hex()[:16]


@dataclass(frozen=True, eq=False)
class Identity:
    """An Ed25519 key to sign with and an X25519 key to open sealed payloads with; never leaves its owner."""

    name: str
    _signing: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)
    _opening: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate, repr=False)

    @classmethod
    def of_keys(cls, name: str, signing: Ed25519PrivateKey, opening: X25519PrivateKey) -> Identity:
        """An identity with keys that its owner has kept."""
        return cls(name, signing, opening)

    @cached_property
    def public(self) -> PublicIdentity:
        """What others may know."""
        seal_key = self._opening.public_key().public_bytes_raw()
        binding = self.sign(canonical(["fi-workbench identity", self.name, seal_key]))
        return PublicIdentity(self.name, self._signing.public_key().public_bytes_raw(), seal_key, binding)

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature of ``message``, 64 bytes."""
        return self._signing.sign(message)

    def seal(self, to: PublicIdentity, content: bytes, label: bytes) -> bytes:
        """``content`` so that only ``to`` can read it and knows that it is ours.

        ``label`` binds it to its place (round, phase, sender, recipient): opened under another label it is refused.
        """
        signature = self.sign(canonical(["fi-workbench seal", content, to.seal_key, label]))
        return _SUITE.encrypt(signature + content, X25519PublicKey.from_public_bytes(to.seal_key), info=label)

    def open(self, sender: PublicIdentity, sealed: bytes, label: bytes) -> bytes:
        """What ``sender`` sealed to us under ``label``.

        Raises
        ------
        BadSignature
            If it was not sealed to us, not by ``sender``, not under ``label``, or was changed.
        """
        try:
            opened = _SUITE.decrypt(sealed, self._opening, info=label)
        except (InvalidTag, ValueError) as error:
            raise BadSignature(
                f"A payload from {sender.name} cannot be opened: it was changed or is not ours."
            ) from error
        signature, content = opened[:_SIGNATURE_BYTES], opened[_SIGNATURE_BYTES:]
        own_seal_key = self._opening.public_key().public_bytes_raw()
        verify(sender.verify_key, signature, canonical(["fi-workbench seal", content, own_seal_key, label]))
        return content


def statement(round_id: str, sender: str, message: bytes) -> bytes:
    """What a party signs within a round: bound to it, the same bytes are nothing in any other."""
    return canonical(["fi-workbench statement", round_id, sender, message])


def verify(verify_key: bytes, signature: bytes, message: bytes) -> None:
    """Nothing, if ``signature`` is the Ed25519 signature of ``message`` by ``verify_key``.

    Raises
    ------
    BadSignature
        Otherwise.
    """
    try:
        Ed25519PublicKey.from_public_bytes(verify_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise BadSignature("A signature does not belong to its message and key.") from error
