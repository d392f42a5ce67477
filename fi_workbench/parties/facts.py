"""What a party knows of its own training data."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidParty


@dataclass(frozen=True, eq=False, repr=False)
class PrivateFacts:
    """What a party knows of its own training data and uses locally; the values never show in a ``repr``.

    Parameters
    ----------
    class_counts : array (class,), optional
        How many training samples of each class.
    data_size : int, optional
        How many training samples; the sum of ``class_counts`` where only those are given.

    Raises
    ------
    InvalidParty
        Counts that are not whole, non-negative numbers, or a size that is not their sum.
    """

    class_counts: NDArray[np.int64] | None = None
    data_size: int | None = None

    def __post_init__(self) -> None:
        if self.class_counts is not None:
            counts = _whole_numbers(self.class_counts)
            object.__setattr__(self, "class_counts", counts)
            if self.data_size is None:
                object.__setattr__(self, "data_size", int(counts.sum()))
            elif self.data_size != counts.sum():
                raise InvalidParty("data_size is not the sum of class_counts; give one of the two, or make them agree.")
        if self.data_size is not None:
            object.__setattr__(self, "data_size", _whole_number(self.data_size))

    def names(self) -> frozenset[str]:
        """Which facts are held: of ``class_counts`` and ``data_size``."""
        return frozenset(name for name in ("class_counts", "data_size") if getattr(self, name) is not None)

    def __repr__(self) -> str:
        return f"PrivateFacts({', '.join(sorted(self.names())) or 'none'})"


def _whole_number(size: Any) -> int:
    try:
        number = operator.index(size)
    except TypeError:
        number = -1
    if number < 0:
        raise InvalidParty("data_size must be a whole number of training samples, 0 or more.")
    return number


def _whole_numbers(counts: Any) -> NDArray[np.int64]:
    array = np.array(counts)
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all() or (array < 0).any():
        raise InvalidParty("class_counts must be one non-negative number per class.")
    whole: NDArray[np.int64] = array.astype(np.int64)
    if (whole != array).any():
        raise InvalidParty("class_counts must be whole numbers of training samples.")
    whole.setflags(write=False)
    return whole
