"""How well rewards follow merit."""

from __future__ import annotations

from dataclasses import dataclass

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
    kendall : float or None
        Kendall's tau-b of merit and rewards: pairs in the right order less pairs in the wrong one, corrected for ties;
        None where either is the same for all.
    gini : float
        Of the rewards, from 0 (all the same) to 1 - 1/K (one takes all).
    worst_share : float
        Part of the pot that went to the party of least merit; the mean of theirs where several have it.
    equal : Fairness or None
        The same figures of the equal split; None in that of an equal split.
    """

    f_skill: float
    l1: float
    spearman: float | None
    equal_f_skill: float
    kendall: float | None
    gini: float
    worst_share: float
    equal: Fairness | None = None


def fairness(merit: ArrayLike, rewards: ArrayLike) -> Fairness:
    """F_skill, rank correlations, inequality and the worst party's share of rewards.

    Parameters
    ----------
    merit : array (party,)
        What ought to be rewarded, e.g. each party's accuracy.
    rewards : array (party,)
        Raw values or shares; as in a payment, negative ones count as 0, in every figure, and all zero as an equal
        split.

    Raises
    ------
    InvalidData
        Different or empty shapes, NaN or infinite values, negative merit, or merit that sums to zero.

    References
    ----------
    F_skill: FedSEI, arXiv:2603.02214. tau-b: M. Kendall, The treatment of ties in ranking problems, Biometrika 33,
    1945. C. Gini, Variabilità e mutabilità, 1912.

    Examples
    --------
    >>> fair = fairness([0.75, 0.25], [3, 1])
    >>> fair.f_skill, fair.spearman, fair.gini, fair.worst_share, fair.equal.f_skill
    (1.0, 1.0, 0.25, 0.25, 0.75)
    """
    deserved, raw = _checked("merit", merit), _checked("rewards", rewards)
    if deserved.shape != raw.shape:
        raise InvalidData(
            f"merit is of {len(deserved)} parties and rewards of {len(raw)}; give both of the same parties."
        )
    if (deserved < 0).any() or not deserved.any():
        raise InvalidData("merit is negative or zero for all; F_skill needs merit of 0 or more with a positive sum.")
    deserved = shares(deserved)
    equal = _measured(deserved, np.ones(len(deserved)), None)
    return _measured(deserved, raw, equal)


def _measured(deserved: NDArray[np.float64], raw: NDArray[np.float64], equal: Fairness | None) -> Fairness:
    """Figures of raw rewards against merit that sums to one."""
    paid = shares(raw)
    l1 = float(np.abs(deserved - paid).sum())
    f_skill = 1.0 - l1 / 2.0
    spearman, kendall = _rank_correlations(deserved, np.maximum(raw, 0.0))
    return Fairness(
        f_skill=f_skill,
        l1=l1,
        spearman=spearman,
        equal_f_skill=f_skill if equal is None else equal.f_skill,
        kendall=kendall,
        gini=_gini(paid),
        worst_share=float(paid[deserved == deserved.min()].mean()),
        equal=equal,
    )


def _checked(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0 or array.dtype.kind not in "fiu":
        raise InvalidData(f"{name} has shape {array.shape} and dtype {array.dtype}; one number per party is needed.")
    if not np.isfinite(array).all():
        raise InvalidData(f"{name} holds NaN or infinite values.")
    return array.astype(np.float64)


def _gini(paid: NDArray[np.float64]) -> float:
    """Half the mean difference of every two, over the mean, of shares that sum to one."""
    n = len(paid)
    ranked = np.sort(paid)
    return max(0.0, float((2.0 * np.arange(1, n + 1) - n - 1) @ ranked) / n)


def _rank_correlations(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Spearman's rho and Kendall's tau-b, None where either ranking is all ties."""
    if first.min() == first.max() or second.min() == second.max():
        return None, None
    from scipy.stats import kendalltau, rankdata  # noqa: PLC0415 - slow to import, and rewards seldom need it

    a, b = (ranks - ranks.mean() for ranks in (rankdata(first), rankdata(second)))
    spearman = float(a @ b) / float(np.sqrt((a @ a) * (b @ b)))  # exactly 1 where the ranks are the same
    return spearman, float(kendalltau(first, second).statistic)
