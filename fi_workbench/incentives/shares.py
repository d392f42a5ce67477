"""Contributions as shares: what a payment splits by."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.errors import InvalidData


def shares(values: ArrayLike) -> NDArray[np.float64]:
    """Contributions as shares that sum to one, (party,) -> (party,).

    Negative contributions count as 0: nobody is charged for taking part. Where nothing positive is left, everybody
    gets the same.

    Raises
    ------
    InvalidData
        They are not one number a party, or NaN or infinite.

    >>> shares([3.0, 1.0, -2.0])
    array([0.75, 0.25, 0.  ])
    >>> shares([0.0, -1.0])
    array([0.5, 0.5])
    """
    given = np.asarray(values)
    if given.ndim != 1 or given.dtype.kind not in "fiu" or not np.isfinite(given).all():
        raise InvalidData(
            f"Contributions of shape {given.shape} and dtype {given.dtype}: one finite number a party is needed."
        )
    positive = np.clip(given.astype(np.float64), 0.0, None)
    largest = positive.max(initial=0.0)
    if largest == 0.0:
        return np.full(positive.shape, 1.0 / max(1, positive.size))
    positive = positive / largest  # subnormal or huge values must not overflow the sum
    return np.asarray(positive / positive.sum())
