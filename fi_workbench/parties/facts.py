"""What a party knows of its own training data."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, fields
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
    temperature : float, optional
        By which its logits are divided under temperature calibration; fitted by the owner on held-out data of its own,
        see :func:`fi_workbench.parties.calibration.fit_temperature`.

    Raises
    ------
    InvalidParty
        Counts that are not whole, non-negative numbers, a size that is not their sum, or a temperature that is no
        positive number.
    """

    class_counts: NDArray[np.int64] | None = None
    data_size: int | None = None
    temperature: float | None = None

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
        if self.temperature is not None:
            object.__setattr__(self, "temperature", _positive(self.temperature))

    def names(self) -> frozenset[str]:
        """Which facts are held: of ``class_counts``, ``data_size`` and ``temperature``."""
        return frozenset(one.name for one in fields(self) if getattr(self, one.name) is not None)

    def __repr__(self) -> str:
        return f"PrivateFacts({', '.join(sorted(self.names())) or 'none'})"


def _positive(temperature: Any) -> float:
    number = isinstance(temperature, int | float | np.number) and not isinstance(temperature, bool)
    if not number or not 0 < float(temperature) < math.inf:
        raise InvalidParty("temperature must be a positive number; fit it with fi.fit_temperature(logits, labels).")
    return float(temperature)


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
