"""How well rewards follow merit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.errors import InvalidData
from fi_workbench.incentives.shares import shares


@dataclass(frozen=True)
class Fairness:
    """How well rewards follow merit, always beside what an equal split would reach.

    F_skill rewards flatness: where merits are alike, an equal split scores high without looking at anybody. Compare it
    with ``equal_f_skill`` and read ``spearman`` beside it.

    Parameters
    ----------
    f_skill : float
        1 - l1 / 2, from 0 to 1.
    l1 : float
        |merit / sum(merit) - rewards / sum(rewards)|_1, from 0 to 2.
    spearman : float or None
        Rank correlation of merit and rewards; None where either is the same for all.
    equal_f_skill : float
        ``f_skill`` of the equal split.
    """

    f_skill: float
    l1: float
    spearman: float | None
    equal_f_skill: float


def fairness(merit: ArrayLike, rewards: ArrayLike) -> Fairness:
    """F_skill, L1 distance and rank correlation of rewards and merit.

    Parameters
    ----------
    merit : array (party,)
        What ought to be rewarded, e.g. each party's accuracy.
    rewards : array (party,)
        Raw values or shares; as in a payment, negative ones count as 0, and all zero as an equal split.

    Raises
    ------
    InvalidData
        Different or empty shapes, NaN or infinite values, negative merit, or merit that sums to zero.

    References
    ----------
    F_skill: FedSEI, arXiv:2603.02214.

    Examples
    --------
    >>> fairness([0.75, 0.25], [3, 1])
    Fairness(f_skill=1.0, l1=0.0, spearman=1.0, equal_f_skill=0.75)
    """
    deserved, raw = _checked("merit", merit), _checked("rewards", rewards)
    if deserved.shape != raw.shape:
        raise InvalidData(
            f"merit is of {len(deserved)} parties and rewards of {len(raw)}; give both of the same parties."
        )
    if (deserved < 0).any() or deserved.sum() == 0:
        raise InvalidData("merit is negative or zero for all; F_skill needs merit of 0 or more with a positive sum.")
    deserved = deserved / deserved.sum()
    l1 = float(np.abs(deserved - shares(raw)).sum())
    equal = float(np.abs(deserved - 1.0 / len(deserved)).sum())
    return Fairness(1.0 - l1 / 2.0, l1, _spearman(deserved, raw), 1.0 - equal / 2.0)


def _checked(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0 or array.dtype.kind not in "fiu":
        raise InvalidData(f"{name} has shape {array.shape} and dtype {array.dtype}; one number per party is needed.")
    if not np.isfinite(array).all():
        raise InvalidData(f"{name} holds NaN or infinite values.")
    return array.astype(np.float64)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, the mean rank for ties, (party,)."""
    _, group, n_equal = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(n_equal)
    return np.asarray((last - (n_equal - 1) / 2.0)[group])


def _spearman(first: NDArray[Any], second: NDArray[Any]) -> float | None:
    a, b = (ranks - ranks.mean() for ranks in (_ranks(first), _ranks(second)))
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else None
