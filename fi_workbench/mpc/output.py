"""The last step: each sender's shares of all models' outputs become one vector, of which only the sum says anything.

Without it a client and one party break the protocol: a dealer knows B and s, so that with an evaluator's share
W B - s of its own it solves for W; under rotation the other owner's answer in the same vector is small, and a lattice
finds W behind it; and an evaluator that serves all models reads off every single answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.keystream import Keystream
from fi_workbench.mpc.keys import SessionKey, zero_share_key
from fi_workbench.mpc.session import Session
from fi_workbench.mpc.streams import Lot, MaskSource

NOISE_BOUND = 1 << 19
"""Of the noise of all owners together, in units of 2^-32: it hides digits of the sum that mean nothing."""


class ZeroShares:
    """One sender's shares of zero: fresh for each lot, and all senders' together cancel.

    Parameters
    ----------
    session : Session
    me : str
    key : SessionKey
    summed : str
        Names the sum that they hide the parts of; each has streams of its own.

    Notes
    -----
    Not for use from several threads.
    """

    def __init__(self, session: Session, me: str, key: SessionKey, summed: str) -> None:
        self._n_outputs = session.n_outputs
        place = session.senders.index(me)
        # of each pair the one named first adds what the other subtracts: the streams cancel in the sum of all
        self._plus, self._minus = (
            [MaskSource(zero_share_key(session, me, key, other, summed)) for other in others]
            for others in (session.senders[place + 1 :], session.senders[:place])
        )

    def share(self, lot: Lot) -> NDArray[np.uint64]:
        """(query, output), drawn once for a lot.

        Raises
        ------
        MaskReused
            The lot had its share already.
        """
        shape = (lot.n_queries, self._n_outputs)
        total = np.zeros(shape, dtype=np.uint64)
        for source in self._plus:
            total += source.at(lot, 0).words(total.size).reshape(shape)
        for source in self._minus:
            total -= source.at(lot, 0).words(total.size).reshape(shape)
        for source in (*self._plus, *self._minus):
            source.close_lot(lot)
        return total


class OutputStep:
    """One sender's end of it.

    Parameters
    ----------
    session : Session
    me : str
    key : SessionKey

    Notes
    -----
    Not for use from several threads.
    """

    def __init__(self, session: Session, me: str, key: SessionKey) -> None:
        self._blurs = session.opens == "sum" and session.number_owned(me) is not None  # a label has no low digits
        self._noise_bound = NOISE_BOUND // len(session.triples)
        self._zero_shares = ZeroShares(session, me, key, "output")

    def hiding(self, lot: Lot) -> NDArray[np.uint64]:
        """What this sender adds to its shares of a lot's outputs: its share of zero, and its noise; ahead of time.

        Returns
        -------
        ndarray of uint64
            (query, output), 32 fractional bits.

        Raises
        ------
        MaskReused
            The lot had it already.
        """
        total = self._zero_shares.share(lot)
        if self._blurs:
            total += self._low_noise(total.shape)
        return total

    def _low_noise(self, shape: tuple[int, ...]) -> NDArray[np.uint64]:
        # the sum of four: the ends of one uniform number would show in the largest of many outputs
        quarter = self._noise_bound // 4
        words = Keystream.fresh().words(4 * int(np.prod(shape))).reshape(4, *shape)
        parts = words % np.uint64(2 * quarter + 1)  # of 64 bits: the remainder is even to 2^-44
        return np.asarray(parts.sum(axis=0, dtype=np.uint64) - np.uint64(4 * quarter))
