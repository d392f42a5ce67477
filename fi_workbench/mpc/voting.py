"""The count of votes: all senders' shares of all models' votes meet at one owner, under a mask that it does not know.

What each sends is blinded by a share of zero, so that the client and one sender together come to no single vote; and
the evaluator of the label's triple takes the mask m off its part, which its dealer knows too. What the owner adds up is
counts - m, the query of :func:`~fi_workbench.mpc.argmax.label_plan`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.peers import Peers
from fi_workbench.mpc.keys import SessionKey, label_keys
from fi_workbench.mpc.output import ZeroShares
from fi_workbench.mpc.session import Session
from fi_workbench.mpc.streams import Lot, query_mask, query_source


class VoteStep:
    """One sender's end of it.

    Parameters
    ----------
    session : Session
        That opens a label.
    me : str
    key : SessionKey
    peers : Peers

    """

    def __init__(self, session: Session, me: str, key: SessionKey, peers: Peers) -> None:
        self._lock = threading.Lock()  # streams are for one thread at a time
        self._session, self._me, self._peers = session, me, peers
        self._zero_shares = ZeroShares(session, me, key, "votes")
        root = label_keys(session, me, key).query if me == session.label_triple.evaluator else None
        self._masks = None if root is None else query_source(root)

    def blinded(self, lot: Lot, shares: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """This sender's part of counts - m, (query, class), 32 fractional bits; made once for a lot.

        Parameters
        ----------
        lot : Lot
        shares : sequence of ndarray
            (query, class): of the votes of each model of which it is owner or evaluator.

        Raises
        ------
        MaskReused
            The lot had its part already.
        """
        with self._lock:
            part = self._zero_shares.share(lot)
            for share in shares:
                part += share
            if self._masks is not None:
                part -= query_mask(self._masks, lot, (self._session.n_outputs,))
                self._masks.close_lot(lot)
        return part

    def collected(self, lot: Lot, part: NDArray[np.uint64], end: float) -> NDArray[np.uint64] | None:
        """Send this sender's part to the one who adds them up; there, counts - m, (query, class), else None.

        Parameters
        ----------
        lot : Lot
        part : ndarray
            See :meth:`blinded`.
        end : float
            Monotonic seconds.

        Raises
        ------
        PeerFault
        """
        collector = self._session.label_triple.owner
        tag = f"{self._session.label_number}/online/{lot.n_queries}.{lot.index}/0/votes"
        if self._me != collector:
            self._peers.send(collector, tag, part.astype("<u8").tobytes())
            return None
        total = part.copy()
        for sender in self._session.senders:
            if sender != collector:
                total += np.frombuffer(self._peers.receive(sender, tag, part.nbytes, end), "<u8").reshape(part.shape)
        return total
