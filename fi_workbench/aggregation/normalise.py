"""How summed answers become scores: means by the number of present parties, rows that sum to one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.rule import Component
from fi_workbench.core.arrays import TINY, Scores

COUNT = Component("scalar", 1.0, 1.0, l1=0.0, l2=0.0)
"""One per present party. Replacing an answer does not move it, and who is absent stands in the record anyway, so it is
sent under both ways of treating absences and needs no noise."""

SIMPLEX_L1, SIMPLEX_L2 = 2.0, math.sqrt(2.0)
"""Sensitivity of one row of non-negative entries whose sum is at most one: two such rows a, b have |a - b|_1 <= 1 + 1,
and |a - b|^2 <= |a|^2 + |b|^2 <= 2 because <a, b> >= 0. Two different one-hot rows attain both."""


def simplex_component(scale: float = 1.0) -> Component:
    """Declaration of rows of non-negative entries whose sum is at most ``scale``."""
    return Component("query_class", 0.0, scale, l1=SIMPLEX_L1 * scale, l2=SIMPLEX_L2 * scale)


def one(like: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """The count of one party, () in the dtype of its answer."""
    return np.ones((), dtype=like.dtype)


def as_distribution(rows: NDArray[Any]) -> Scores:
    """Rows scaled to sum to one, (query, class) -> (query, class); the order within each row never changes.

    A row whose sum is not positive (all zero, or negative under added noise) is shifted first, so that a row of
    zeros becomes uniform. In any other row what added noise pushed below zero counts as zero.
    """
    empty = rows.sum(axis=-1, keepdims=True) <= 0.0
    if empty.any():
        rows = np.where(empty, rows - rows.min(axis=-1, keepdims=True) + 1.0, rows)
    if (rows < 0.0).any():
        rows = np.maximum(rows, 0.0)
    # however small what is left, it says which class leads: no guard is added
    return np.asarray(rows / rows.sum(axis=-1, keepdims=True))


def weighted_mean(sums: Mapping[str, NDArray[Any]]) -> Scores:
    """Weighted mean (query, class) from the summed ``weighted`` answers (query, class) and ``weight`` (query,)."""
    # noise may leave no weight at all; the weighted sum still says which class leads
    return as_distribution(sums["weighted"] / np.maximum(sums["weight"], TINY)[:, None])
