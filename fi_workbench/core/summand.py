"""Summands: named arrays that are summed over the parties, with what arithmetic and noise must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidAnswer

Axes = Literal["query_class", "query", "class", "scalar"]

Summand: TypeAlias = Mapping[str, NDArray[Any]]
"""Named arrays that are summed over the parties."""


@dataclass(frozen=True)
class Component:
    """One named array of a summand, with what ring arithmetic and distributed noise must know of it.

    Parameters
    ----------
    axes : {"query_class", "query", "class", "scalar"}
        Its axes.
    lower, upper : float
        Bounds of each entry of one party's array.
    l1, l2 : float
        Sensitivity: how far one party's array can move, in the L1 and L2 norm over the class axis, when that party's
        answer to one query (or, in an enrolment sum, its private facts) is replaced by any other.
    """

    axes: Axes
    lower: float
    upper: float
    l1: float
    l2: float

    def shape(self, n_queries: int, n_classes: int) -> tuple[int, ...]:
        """Shape of the array for a batch."""
        shapes = {"query_class": (n_queries, n_classes), "query": (n_queries,), "class": (n_classes,), "scalar": ()}
        return shapes[self.axes]

    def check(self, value: Any, n_queries: int, n_classes: int, what: str) -> NDArray[np.float64]:
        """``value`` as an array of the declared shape and bounds.

        Raises
        ------
        InvalidAnswer
            Naming ``what`` and how it breaks the declaration.
        """
        array = np.asarray(value)
        if array.dtype.kind not in "fiu" or array.shape != self.shape(n_queries, n_classes):
            raise InvalidAnswer(
                f"{what} has shape {array.shape} and dtype {array.dtype}; "
                f"numbers of shape {self.shape(n_queries, n_classes)} are needed."
            )
        array = array.astype(np.float64)
        # float32 on the wire rounds; each bound's margin is far below what a ring's fixed point keeps of it
        lowest, highest = self.lower - 1e-5 * max(1.0, abs(self.lower)), self.upper + 1e-5 * max(1.0, abs(self.upper))
        if not np.isfinite(array).all() or array.min() < lowest or array.max() > highest:
            raise InvalidAnswer(f"{what} is outside its declared bounds, {self.lower:g} to {self.upper:g}.")
        return array
