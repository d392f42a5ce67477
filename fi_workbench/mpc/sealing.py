"""What client and parties seal for one another: masked queries one way, one vector of output shares the other.

ChaCha20-Poly1305 (RFC 8439) under a key for each direction and party of one session; session, direction, party and lot
stand in the associated data. The layouts are fixed, and a length that is not exactly right is refused before anything
is decrypted.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from math import prod

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from numpy.typing import NDArray

from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import FederationError
from fi_workbench.core.peers import Buffer
from fi_workbench.mpc.keys import SessionKey, seal_keys
from fi_workbench.mpc.session import CLIENT, MAX_QUERIES, Session
from fi_workbench.mpc.streams import Lot
from fi_workbench.mpc.widths import value_bits
from fi_workbench.mpc.words import Field, packed, unpacked

_NONCE_BYTES, _TAG_BYTES, _WORD_BYTES = 12, 16, 8
SEAL_BYTES = _NONCE_BYTES + _TAG_BYTES

_QUESTION = struct.Struct("<I")  # the size of batch that it retires


class SealBroken(FederationError, ValueError):
    """Something sealed that was changed, cut, or meant for another session, lot, party or direction."""


@dataclass(frozen=True, eq=False)
class AskedLot:
    r"""What the client tells one party about a lot.

    Parameters
    ----------
    retired : int
        Size of batch for which no more lots are made ahead; 0 for none.
    masked : ndarray of uint64 or None
        (query, \*input_shape), the queries less their mask, 16 fractional bits, of which the low ones that the model
        needs are right; None for who owns no model.
    """

    retired: int
    masked: NDArray[np.uint64] | None


class Seals:
    """One party's and the client's ends of what they seal for each other.

    Parameters
    ----------
    session : Session
    party : str
    key : SessionKey
        The client's, or the party's.
    public : bytes
        The other's.
    """

    def __init__(self, session: Session, party: str, key: SessionKey, public: bytes) -> None:
        to_party, to_client = seal_keys(session, party, key, public)
        self._to_party, self._to_client = ChaCha20Poly1305(to_party), ChaCha20Poly1305(to_client)
        self._session, self._party = session, party
        self._plan = session.plans.get(party)
        self._sends = party in session.senders

    def question(self, lot: Lot, asked: AskedLot) -> bytes:
        """What the client seals for the party."""
        content: list[Buffer] = [_QUESTION.pack(asked.retired)]
        masked = self._masked_field(lot)
        if masked is not None and asked.masked is not None:
            content += packed(masked, asked.masked)
        return self._sealed(self._to_party, self._label(CLIENT, self._party, lot), b"".join(content))

    def open_question(self, lot: Lot, sealed: bytes) -> AskedLot:
        """What :meth:`question` sealed.

        Raises
        ------
        SealBroken
        """
        if not 1 <= lot.n_queries <= MAX_QUERIES:
            raise SealBroken(f"A lot has 1 to {MAX_QUERIES} queries, not {lot.n_queries}.")
        masked = self._masked_field(lot)
        n_bytes = _QUESTION.size + (masked.n_bytes if masked is not None else 0)
        content = self._opened(
            self._to_party, self._label(CLIENT, self._party, lot), sealed, n_bytes, "client's question"
        )
        (retired,) = _QUESTION.unpack_from(content)
        if retired > MAX_QUERIES or retired == lot.n_queries:
            raise SealBroken(f"The client's question retires lots of {retired} queries, which it cannot.")
        if masked is None:
            return AskedLot(retired, None)
        words = unpacked(masked, memoryview(content)[_QUESTION.size :]).astype(np.uint64, copy=False)
        return AskedLot(retired, words.reshape(lot.n_queries, *self._session.input_shape))

    def answer(self, lot: Lot, vector: NDArray[np.uint64] | None) -> bytes:
        """What the party seals for the client: its vector, (query, output), 32 fractional bits; None of a dealer's."""
        content = b"" if vector is None else _little_endian(vector)
        return self._sealed(self._to_client, self._label(self._party, CLIENT, lot), content)

    def open_answer(self, lot: Lot, sealed: bytes) -> NDArray[np.uint64] | None:
        """What :meth:`answer` sealed.

        Raises
        ------
        SealBroken
        """
        shape = (lot.n_queries, self._session.n_outputs)
        n_bytes = _WORD_BYTES * prod(shape) if self._sends else 0
        label = self._label(self._party, CLIENT, lot)
        content = self._opened(self._to_client, label, sealed, n_bytes, f"answer of {self._party!r}")
        return _words(content).reshape(shape) if self._sends else None

    def _masked_field(self, lot: Lot) -> Field | None:
        """The masked queries, with as many bits as their model needs; None for a helper."""
        if self._plan is None:
            return None
        return Field("masked query", lot.n_queries * prod(self._plan.input_shape), value_bits(self._plan)[0])

    def _label(self, sender: str, to: str, lot: Lot) -> bytes:
        return canonical([self._session.id, sender, to, lot.n_queries, lot.index])

    def _sealed(self, cipher: ChaCha20Poly1305, label: bytes, content: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, content, label)

    def _opened(self, cipher: ChaCha20Poly1305, label: bytes, sealed: bytes, n_bytes: int, what: str) -> bytes:
        if len(sealed) != n_bytes + SEAL_BYTES:
            raise SealBroken(f"The {what} must be {n_bytes + SEAL_BYTES} bytes long, not {len(sealed)}.")
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], label)
        except InvalidTag:
            raise SealBroken(
                f"The {what} cannot be opened: it was changed, or is of another session, lot or party. Nothing of it "
                "was used."
            ) from None


def _little_endian(words: NDArray[np.uint64]) -> bytes:
    return words.astype("<u8", copy=False).tobytes()


def _words(content: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(content, dtype="<u8").astype(np.uint64, copy=False)
