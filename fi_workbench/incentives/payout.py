"""From contributions to money: rules that weigh parties, and payments exact to the micro-unit.

A rule turns contributions into weights; :func:`payments` splits a whole number of micro-units by them with the method
of largest remainders (A. Hamilton, 1792; see M. Balinski, H. P. Young, Fair Representation, 1982). Weights are taken as
the fractions that their floats are, so the payments sum to the budget exactly, however large it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.arrays import softmax as softmax_of
from fi_workbench.core.disclosure import Need
from fi_workbench.core.errors import InvalidData
from fi_workbench.core.options import Between, Option, check_options, options_of
from fi_workbench.core.registry import Registry
from fi_workbench.incentives.registering import described
from fi_workbench.incentives.shares import shares

MICRO = 1_000_000
"""Micro-units of one unit of money."""

MAX_BUDGET = 2**63 - 1
"""Micro-units that a payment may reach: what an int64 holds."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class PayoutRule:
    """A payout rule as registered; made by :func:`payout_rule`.

    Parameters
    ----------
    name, title, explanation, formula : str
    options : tuple of Option
    function : callable
        ``(values (party,), **options) -> weights (party,)``, each of 0 or more.
    needs : {"nothing", "sum", "votes", "each"}
        What it must see of the answers: nothing, as it looks at contributions alone.
    """

    name: str
    title: str
    explanation: str
    formula: str
    options: tuple[Option, ...]
    function: Callable[..., NDArray[np.floating[Any]]]
    needs: Need = "nothing"


payouts: Registry[PayoutRule] = Registry("payout")


def payout_rule(*, formula: str) -> Callable[[F], F]:
    """Register ``(values (party,), *, options) -> weights (party,)`` under the function's name; return it unchanged.

    Raises
    ------
    ValueError
        There is no docstring: the workbench shows its first paragraph under the picker.
    """

    def register(function: F) -> F:
        name, title, explanation = described(function)
        payouts.add(name, PayoutRule(name, title, explanation, formula, options_of(function), function))
        return function

    return register


@payout_rule(formula=r"w_k = [v_k]_+")
def proportional(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each party by its contribution; negative contributions count as 0, and if all are, everybody gets the same."""
    return shares(values)


@payout_rule(formula=r"w_k = 1/K")
def equal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Everybody the same, whatever was contributed."""
    return np.full(values.shape, 1.0 / len(values))


@payout_rule(formula=r"w_k = s_k \, \mathbf{1}[s_k \ge \theta / K], \; s = [v]_+ / \sum [v]_+")
def thresholded(
    values: NDArray[np.float64],
    *,
    threshold: Annotated[float, Between(0.0, 1.0), "Least share that is paid, as a part of the equal share."] = 0.5,
) -> NDArray[np.float64]:
    """By contribution, but nothing to those who stay below a part of the equal share."""
    parts = shares(values)
    # with room for rounding: who is just at the threshold is paid, and so the largest share, of at least 1 / K, always
    return np.where(parts * len(parts) >= threshold - 1e-9, parts, 0.0)


@payout_rule(formula=r"w_k \propto \exp(s_k K / T), \; s = [v]_+ / \sum [v]_+")
def softmax(
    values: NDArray[np.float64],
    *,
    temperature: Annotated[float, Between(0.01, 100.0, log=True), "Large: all alike. Small: the best takes all."] = 1.0,
) -> NDArray[np.float64]:
    """Exponential in the contribution, counted in equal shares: a small temperature pays the best above all."""
    return np.asarray(softmax_of(shares(values) * len(values) / temperature))


@payout_rule(formula=r"w_k = \phi / K + (1 - \phi) \, s_k, \; s = [v]_+ / \sum [v]_+")
def floor_and_merit(
    values: NDArray[np.float64],
    *,
    floor: Annotated[float, Between(0.0, 1.0), "Part of the pot that is split equally."] = 0.3,
) -> NDArray[np.float64]:
    """A part of the pot is split equally, for being there; the rest goes by contribution."""
    return floor / len(values) + (1.0 - floor) * shares(values)


def payments(
    rule: PayoutRule, values: ArrayLike, budget: int, options: Mapping[str, Any] | None = None
) -> NDArray[np.int64]:
    """Micro-units for each party, (party,): of 0 or more, and summing to the budget exactly.

    Parameters
    ----------
    rule : PayoutRule
    values : array (party,)
        Contributions, raw or as shares; negative ones count as 0.
    budget : int
        Micro-units (:data:`MICRO` to the unit) to be paid out in full.
    options : mapping, optional
        Of the rule.

    Raises
    ------
    InvalidOption
        An unknown option or one out of range.
    InvalidData
        No party, NaN or infinite contributions, a budget that is negative, fractional or too large, or a rule that
        returned weights that are negative, not finite or all 0.
    """
    settings = check_options(f"Payout {rule.name!r}", rule.options, options or {})
    whole = _checked_budget(budget)
    given = np.asarray(values)
    if given.ndim != 1 or len(given) == 0 or given.dtype.kind not in "fiu":
        raise InvalidData(
            f"Contributions have shape {given.shape} and dtype {given.dtype}; one number for each party is needed."
        )
    contributed = given.astype(np.float64)
    if not np.isfinite(contributed).all():
        raise InvalidData("Contributions hold NaN or infinite values, by which nobody can be paid.")
    weights = np.asarray(rule.function(contributed, **settings), dtype=np.float64)
    if weights.shape != contributed.shape or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise InvalidData(
            f"Payout {rule.name!r} returned weights {weights.tolist()}; {len(contributed)} finite ones of 0 or more, "
            "not all 0, are needed."
        )
    return np.array(split(whole, [Fraction(weight) for weight in weights.tolist()]), dtype=np.int64)


def _checked_budget(budget: object) -> int:
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or not 0 <= int(budget) <= MAX_BUDGET:
        raise InvalidData(f"A budget is a whole number of micro-units from 0 to {MAX_BUDGET}, not {budget!r}.")
    return int(budget)


def split(budget: int, weights: list[Fraction]) -> list[int]:
    """Whole numbers in proportion to weights that sum to the budget: largest remainders first, ties to the first party.

    >>> split(100, [Fraction(1), Fraction(1), Fraction(1)])
    [34, 33, 33]
    """
    total = sum(weights)
    exact = [budget * weight / total for weight in weights]
    paid = [int(part) for part in exact]  # rounds down, as none is negative
    by_remainder = sorted(range(len(weights)), key=lambda k: (paid[k] - exact[k], k))
    for k in by_remainder[: budget - sum(paid)]:
        paid[k] += 1
    return paid
