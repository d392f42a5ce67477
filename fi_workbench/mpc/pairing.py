"""Each class against each other: differences of all pairs, and who won them."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_UNIT = np.uint64(1 << 32)
"""1 with 32 fractional bits."""


def n_pairs(n_classes: int) -> int:
    """How many pairs so many classes make."""
    return n_classes * (n_classes - 1) // 2


def n_classes_of(pairs: int) -> int:
    """How many classes make so many pairs."""
    return (1 + math.isqrt(1 + 8 * pairs)) // 2


def pairs(values: Words) -> Words:
    """(query, class) to (query, pair): first minus second, the pairs of class 0 first."""
    first, second = _members(values.shape[1])
    return values[:, first] - values[:, second]


def wins(won: Words, adds_public: bool) -> Words:
    """How many of its pairs a class won, minus how many it has: 0 for who won all, else less.

    Parameters
    ----------
    won : ndarray of uint64
        (query, pair): a share of 1, with 32 fractional bits, where the first of a pair won, else of 0.
    adds_public : bool
        Whether this share gets what is public.

    Returns
    -------
    ndarray of uint64
        (query, class), 32 fractional bits.
    """
    n_classes = n_classes_of(won.shape[1])
    first, second = _members(n_classes)
    total: Words = np.zeros((n_classes, len(won)), np.uint64)
    np.add.at(total, first, won.T)
    np.subtract.at(total, second, won.T)  # the second of a pair won 1 - won
    if adds_public:  # class k is second in k pairs, and is in all but one as many as there are classes
        total += ((np.arange(n_classes) - (n_classes - 1)).astype(np.int64).view(np.uint64) * _UNIT)[:, None]
    return np.ascontiguousarray(total.T)


@cache
def _members(n_classes: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.triu_indices(n_classes, 1)
