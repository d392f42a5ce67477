"""Which lots of a session are used up, and which all parties make ahead.

Client and parties keep the same book. The client chooses the next lot of a size and burns it as it asks; a party burns
it before it sends anything for it, so that no mask meets two queries, whatever fails. What is made ahead follows from
what was asked alone, not from any party's room or speed: whatever one party makes, all do, and none waits for ever.
"""

from __future__ import annotations

from fi_workbench.core.errors import FederationError
from fi_workbench.mpc.session import MAX_QUERIES
from fi_workbench.mpc.streams import Lot

MAX_LIVE_SIZES = 3
"""Sizes of batch for which lots are made ahead at a time; a further one retires the one not asked for longest."""

MAX_INDEX = (1 << 32) - 1


class LotUsed(FederationError, ValueError):
    """A lot that was used before, or cannot be used; its masks must not meet another query."""


class LotBook:
    """The lots of one session, as its client or one of its parties knows them; not for use from several threads.

    Parameters
    ----------
    pool_size : int
        Lots made ahead of what was asked, for each size.
    first_size : int
        Size of the lots made ahead before the first question; 0 for none.
    """

    def __init__(self, pool_size: int, first_size: int = 0) -> None:
        self._pool_size = pool_size
        self._next: dict[int, int] = {}  # by size, in order of last use: the next index that may be used
        self._owed_end: dict[int, int] = {}  # by size: below it all are made by everybody, or were skipped by everybody
        if first_size:
            self._next[first_size], self._owed_end[first_size] = 0, pool_size
        self._retired: dict[int, int] = {}  # by size: as _next, for those that are no longer made ahead

    def choose(self, n_queries: int) -> tuple[Lot, int]:
        """The client's side: burn the next lot of that size.

        Returns
        -------
        lot : Lot
        retired : int
            Size that this question retires, to be told to the parties; 0 for none.

        Raises
        ------
        LotUsed
            All 2^32 lots of that size are used.
        """
        lot = Lot(n_queries, self._next.get(n_queries, self._retired.get(n_queries, 0)))
        retired = 0
        if n_queries not in self._next and len(self._next) >= MAX_LIVE_SIZES:
            retired = next(iter(self._next))
            self.retire(retired)
        self.burn(lot)
        return lot, retired

    def burn(self, lot: Lot) -> range:
        """A party's side: the lot is used up from here on, and so are earlier ones of its size.

        Returns
        -------
        range
            Indices of the lots of that size that are owed from now on, and were not before.

        Raises
        ------
        LotUsed
            The lot, or a later one of its size, was used before; nothing changes.
        """
        size, index = lot.n_queries, lot.index
        if not (1 <= size <= MAX_QUERIES and 0 <= index <= MAX_INDEX):
            raise LotUsed(f"There is no lot {index} of {size} queries; ask with fewer queries, or in a new session.")
        if index < self.floor(size):
            raise LotUsed(f"Lot {index} of {size} queries is used up; the next that may be used is {self.floor(size)}.")
        self._retired.pop(size, None)
        self._next.pop(size, None)
        self._next[size] = index + 1  # and so it is the one used last
        begin = max(index, self._owed_end.get(size, 0))
        self._owed_end[size] = max(begin, min(index + 1 + self._pool_size, MAX_INDEX + 1))
        return range(begin, self._owed_end[size])

    def retire(self, size: int) -> None:
        """No more lots of that size are made ahead, and those that were owed are skipped; unknown sizes are ignored."""
        if size in self._next:
            self._retired[size] = max(self._next.pop(size), self._owed_end.get(size, 0))

    def floor(self, size: int) -> int:
        """The next index of that size that may be used."""
        return self._next.get(size, self._retired.get(size, 0))
