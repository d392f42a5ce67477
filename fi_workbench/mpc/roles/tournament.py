"""The maximum of windows as a tournament: in each level the entries of all windows meet in pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fi_workbench.mpc.plan import FRACTION_BITS, MAX_BOUND, Maximum

Words = NDArray[np.uint64]

PADDING = (-int(MAX_BOUND) << 2 * FRACTION_BITS) % (1 << 64)
"""What the owner puts around a value; the evaluator's share of it is zero."""


@dataclass(frozen=True)
class Tournament:
    """Who meets whom.

    Parameters
    ----------
    n_entries : int
        Of one window.
    """

    n_entries: int

    @classmethod
    def of(cls, operation: Maximum) -> Tournament:
        """The tournament of a maximum's windows."""
        height, width = operation.kernel
        return cls(height * width)

    @property
    def n_pairs(self) -> tuple[int, ...]:
        """How many pairs of a window meet in each level; one entry of an odd number has no opponent."""
        pairs, left = [], self.n_entries
        while left > 1:
            pairs.append(left // 2)
            left -= left // 2
        return tuple(pairs)

    def paired(self, entries: Words) -> tuple[Words, Words, Words]:
        """(entry, window) into who meets whom, and who meets nobody, each (entry, window)."""
        half = len(entries) // 2
        return entries[:half], entries[half : 2 * half], entries[2 * half :]
