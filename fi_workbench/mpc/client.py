"""The client of a session: masks its queries for each model, and adds up what comes back."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.errors import InvalidQuery, InvalidReply
from fi_workbench.mpc.keys import SessionKey, query_root
from fi_workbench.mpc.lots import LotBook
from fi_workbench.mpc.plan import FRACTION_BITS
from fi_workbench.mpc.sealing import AskedLot, SealBroken, Seals
from fi_workbench.mpc.session import MAX_QUERIES, BadSession, Session
from fi_workbench.mpc.streams import Lot, query_mask, query_source


class SecureClient:
    """One client's end of one session; may be used from several threads.

    Parameters
    ----------
    session : Session
    key : SessionKey
        Whose public part is the session's ``client_public``; it serves this client alone.

    Raises
    ------
    BadSession
        The session is another client's.
    KeyUsed
        The key serves already.
    """

    def __init__(self, session: Session, key: SessionKey) -> None:
        if key.public != session.client_public:
            raise BadSession("This session is of another client: its client_public is not this key's.")
        key.claim()
        self.session = session
        self._seals = {name: Seals(session, name, key, session.publics[name]) for name in session.members}
        self._sources = {
            triple.owner: query_source(query_root(session, number, key, session.publics[triple.evaluator]))
            for number, triple in enumerate(session.triples)
        }
        self._book = LotBook(session.pool_size, session.first_size)
        self._open: set[Lot] = set()
        self._lock = threading.Lock()

    def ask(self, queries: ArrayLike) -> tuple[Lot, Mapping[str, bytes]]:
        r"""Mask queries for each model, and burn the lot that they go with.

        The questions of one session reach all parties in the order in which they were asked; ask the next when this
        one is answered, or given up.

        Parameters
        ----------
        queries : array_like of float
            (query, \*input_shape).

        Returns
        -------
        lot : Lot
        sealed : mapping of str to bytes
            For each member of the session.

        Raises
        ------
        InvalidQuery
            Of another shape, too many, not finite, or with an entry beyond what all models can compute with.
        """
        encoded = self._encoded(queries)
        with self._lock:
            lot, retired = self._book.choose(len(encoded))
            self._open.add(lot)
            masked = {owner: encoded - self._mask(owner, lot) for owner in self._sources}
        sealed = {name: seals.question(lot, AskedLot(retired, masked.get(name))) for name, seals in self._seals.items()}
        return lot, sealed

    def open(self, lot: Lot, sealed: Mapping[str, bytes]) -> NDArray[np.float64]:
        """What the parties answered, added up; each lot is opened once.

        Parameters
        ----------
        lot : Lot
        sealed : mapping of str to bytes
            From each sender; what comes from other members says nothing, and may be left out.

        Returns
        -------
        ndarray of float64
            (query, output): the sum of all models' outputs.

        Raises
        ------
        InvalidReply
            A sender's answer is missing, or cannot be opened. The lot stays open for the right one.
        InvalidQuery
            The lot was not asked with, or was opened before.
        """
        with self._lock:
            if lot not in self._open:
                raise InvalidQuery(f"Lot {lot.index} of {lot.n_queries} queries is not open; each opens once.")
        total = np.zeros((lot.n_queries, self.session.n_outputs), dtype=np.uint64)
        for name in self.session.senders:
            if name not in sealed:
                raise InvalidReply(name, f"The answer of {name!r} is missing; without it the others' say nothing.")
            try:
                vector = self._seals[name].open_answer(lot, sealed[name])
            except SealBroken as error:
                raise InvalidReply(name, str(error)) from error
            if vector is not None:
                total += vector
        with self._lock:
            self._open.discard(lot)
        return total.view(np.int64) / float(1 << 2 * FRACTION_BITS)

    def give_up(self, lot: Lot) -> None:
        """Forget a lot that will not be answered; it stays used up."""
        with self._lock:
            self._open.discard(lot)

    def _mask(self, owner: str, lot: Lot) -> NDArray[np.uint64]:
        source = self._sources[owner]
        mask = query_mask(source, lot, self.session.input_shape)
        source.close_lot(lot)
        return mask

    def _encoded(self, queries: ArrayLike) -> NDArray[np.uint64]:
        values = np.asarray(queries, dtype=np.float64)
        shape, bound = self.session.input_shape, self.session.input_bound
        if values.shape[1:] != shape or values.ndim != 1 + len(shape):
            raise InvalidQuery(f"A batch of queries has shape (n, *{shape}) here, not {values.shape}.")
        if not 1 <= len(values) <= MAX_QUERIES:
            raise InvalidQuery(f"A question has 1 to {MAX_QUERIES} queries, not {len(values)}.")
        sizes = np.abs(values).reshape(len(values), -1).max(axis=1, initial=0.0)
        wrong = np.flatnonzero(~(sizes <= bound))  # so that NaN is wrong too
        if len(wrong):
            first = int(wrong[0])
            raise InvalidQuery(
                f"Query {first} has an entry of size {sizes[first]:g}; the models are compiled for entries of at most "
                f"{bound:g}, either side of zero. Beyond it their numbers would wrap. Scale the query as the training "
                "data were, or have the owners compile with a larger input_bound."
            )
        return np.rint(values * (1 << FRACTION_BITS)).astype(np.int64).view(np.uint64)
