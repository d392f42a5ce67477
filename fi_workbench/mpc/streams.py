"""Masks: random words that two parties derive from one key, each of them in a place of its own.

AES-256 in counter mode. One key serves one purpose of one pair in one session; within it the initial counter block is
(n_queries, lot index, step, call, 0), so that two draws overlap only where they are of the same place, and drawing one
place twice is refused.
"""

from __future__ import annotations

import math
import secrets
import struct
import threading
from dataclasses import dataclass, field

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fi_workbench.core.errors import FederationError

KEY_BYTES = 32
MODULUS = 127
"""Of the compare lanes: prime, and two residues fit into one byte."""

_LABEL = b"fi-workbench secure inference, masks for: "
_BLOCK_BYTES = 16
_PLACE_BYTES = _BLOCK_BYTES << 32


class MaskReused(FederationError, ValueError):
    """A mask that was used before: whoever sees both uses sees the difference of what they hide."""


@dataclass(frozen=True, order=True)
class Lot:
    """Material for so many queries, used once.

    Parameters
    ----------
    n_queries : int
    index : int
        Counts up from 0 for each ``n_queries``.
    """

    n_queries: int
    index: int


SET_UP = Lot(0, 0)
"""The place of what is drawn once a session; no lot answers no queries."""


@dataclass(frozen=True)
class TripleKeys:
    """What one role holds of the mask keys of a triple, bound to session, triple, model version and pair.

    Parameters
    ----------
    owner_dealer, owner_evaluator, evaluator_dealer : bytes or None
        32 bytes that the two have in common; None at the third.
    query : bytes or None
        32 bytes that the client has in common with the evaluator, by X25519, and that the evaluator hands to the dealer
        at set-up; None at the owner.
    """

    owner_dealer: bytes | None = field(default=None, repr=False)
    owner_evaluator: bytes | None = field(default=None, repr=False)
    evaluator_dealer: bytes | None = field(default=None, repr=False)
    query: bytes | None = field(default=None, repr=False)


def query_mask(source: MaskSource, lot: Lot, shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """What hides the queries of a lot from the owner: (query, ...) words, at the client, the evaluator and the dealer.

    Parameters
    ----------
    source : MaskSource
        :func:`query_source` of the root that the client and the evaluator have in common for this triple.
    lot : Lot
    shape : tuple of int
        Of one query.
    """
    return source.at(lot, 0).words(lot.n_queries * math.prod(shape)).reshape(lot.n_queries, *shape)


def query_source(seed: bytes) -> MaskSource:
    """Where the masks of queries come from; one at each of client, evaluator and dealer."""
    return MaskSource.of(seed, "queries")


def purpose_key(root: bytes, purpose: str) -> bytes:
    """The key of one purpose under a pair's root key: HKDF-SHA256 over the whole purpose.

    Raises
    ------
    ValueError
        A root that is not 32 bytes long.
    """
    if len(root) != KEY_BYTES:
        raise ValueError(f"A root key of masks has {KEY_BYTES} bytes, not {len(root)}.")
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_LABEL + purpose.encode()).derive(root)


class LotSet:
    """A set of lots that only grows; small, where the lots of a size come about in the order of their index.

    May be used from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._below: dict[int, int] = {}
        self._above: set[Lot] = set()

    def __contains__(self, lot: Lot) -> bool:
        with self._lock:
            return lot.index < self._below.get(lot.n_queries, 0) or lot in self._above

    def add(self, lot: Lot) -> None:
        """Take a lot in."""
        with self._lock:
            self._above.add(lot)
            below = self._below.get(lot.n_queries, 0)
            while (following := Lot(lot.n_queries, below)) in self._above:
                self._above.remove(following)
                below += 1
            self._below[lot.n_queries] = below


class MaskSource:
    """Where a pair's masks of one purpose come from; may be used from several threads, each with a lot of its own.

    Parameters
    ----------
    key : bytes
        32 bytes, of this purpose only.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"A key of masks has {KEY_BYTES} bytes, not {len(key)}.")
        self._cipher = AES(key)
        self._drawn: dict[Lot, set[int]] = {}
        self._closed = LotSet()

    @classmethod
    def of(cls, root: bytes, purpose: str) -> MaskSource:
        """The source of one purpose under a pair's root key."""
        return cls(purpose_key(root, purpose))

    @classmethod
    def private(cls) -> MaskSource:
        """One that nobody else can know."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def at(self, lot: Lot, step: int, call: int = 0) -> Draws:
        """The draws of one place, from its beginning.

        Raises
        ------
        MaskReused
            The place was drawn from before, or its lot is closed.
        ValueError
            More lots, steps or calls than a counter block tells apart.
        """
        if not (0 <= lot.index < 2**32 and 0 <= lot.n_queries < 2**32 and 0 <= step < 2**16 and 0 <= call < 2**16):
            raise ValueError(f"There is no place in a mask stream for step {step} of {lot}. Start another session.")
        place = step << 16 | call
        if lot in self._closed or place in self._drawn.get(lot, ()):
            raise MaskReused(
                f"The masks of step {step}, call {call} in lot {lot.index} of {lot.n_queries} queries were drawn "
                "before. Take the next lot."
            )
        self._drawn.setdefault(lot, set()).add(place)
        nonce = struct.pack(">IIHHI", lot.n_queries, lot.index, step, call, 0)
        return Draws(Cipher(self._cipher, CTR(nonce)))

    def close_lot(self, lot: Lot) -> None:
        """Nothing of this lot is drawn any more, whether all of it was or not."""
        self._drawn.pop(lot, None)
        self._closed.add(lot)


class Draws:
    """The random numbers of one place, one after another: who draws the same in the same order gets the same."""

    def __init__(self, cipher: Cipher[CTR]) -> None:
        self._encryptor = cipher.encryptor()
        self._n_left = _PLACE_BYTES

    def octets(self, n: int) -> NDArray[np.uint8]:
        """(n,) uniform bytes, writable.

        Raises
        ------
        ValueError
            More than the 64 GiB of one place.
        """
        # whole blocks, so that no draw shares one with the next and the cipher works on aligned data
        n_bytes = -(-n // _BLOCK_BYTES) * _BLOCK_BYTES
        self._n_left -= n_bytes
        if self._n_left < 0:
            raise ValueError(f"One place of a mask stream has {_PLACE_BYTES} bytes; no step needs more.")
        out = np.zeros(n_bytes, np.uint8)
        self._encryptor.update_into(out.data, out.data)
        return out[:n]

    def words(self, n: int) -> NDArray[np.uint64]:
        """(n,) uniform over all 64-bit words."""
        return self.octets(8 * n).view("<u8")

    def small(self, n: int, bits: int) -> NDArray[np.uint8]:
        """(n,) uniform over 0 ... 2^bits - 1, for at most 8 bits."""
        return self.octets(n) & np.uint8((1 << bits) - 1)

    def bits(self, n: int) -> NDArray[np.uint8]:
        """(n,) fair coins, 0 or 1."""
        return self.small(n, 1)

    def mod127(self, n: int, nonzero: bool = False) -> NDArray[np.uint8]:
        """(n,) uniform over 0 ... 126, or over 1 ... 126: what falls outside is drawn anew."""
        out = self.small(n, 7)
        (missed,) = np.nonzero(_outside(out, nonzero))
        while missed.size:
            again = self.small(missed.size, 7)
            out[missed] = again
            missed = missed[_outside(again, nonzero)]
        return out


def _outside(values: NDArray[np.uint8], nonzero: bool) -> NDArray[np.bool_]:
    """Which of 0 ... 127 are no residue asked for."""
    if nonzero:
        return np.asarray((values - np.uint8(1)) >= np.uint8(MODULUS - 1))
    return np.asarray(values == np.uint8(MODULUS))
