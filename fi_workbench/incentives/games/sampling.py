"""Values of a game from some of its coalitions: unbiased, with standard errors, within a budget.

Each function draws independent units (a pair of orders, a pair of coalitions, a family of orders), takes their mean,
and its standard error from their spread. With a ``precision`` it stops once every standard error is at most that.

Sources: J. Castro, D. Gomez, J. Tejada, Computers & Operations Research 36(5), 2009 (orders); R. Mitchell et al.,
Sampling Permutations for Shapley Value Estimation, JMLR 23, 2022, arXiv:2104.12199 (an order with its reverse); J. T.
Wang, R. Jia, Data Banzhaf, AISTATS 2023, arXiv:2205.15466 (each coalition serves all parties).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.randomness import generator
from fi_workbench.incentives.games.game import Game

FIRST = 16
"""Units drawn before standard errors are believed."""

MAX_AT_ONCE = 1 << 16
"""Coalitions of one call of the game, which bounds memory."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """Means of units, and how far they may be off.

    Parameters
    ----------
    values : array (party, ...)
    standard_errors : array (party, ...) or None
        None where one unit was drawn.
    n_evaluations : int
        Coalitions valued.
    """

    values: NDArray[np.float64]
    standard_errors: NDArray[np.float64] | None
    n_evaluations: int


def sampled_shapley(game: Game, budget: int, seed: int, precision: float = 0.0) -> Sampled:
    """Shapley values from random orders, each paired with its reverse; they sum to the value of all, exactly.

    Parameters
    ----------
    game : Game
    budget : int
        The most coalitions that may be valued; an order takes as many as there are parties.
    seed : int
    precision : float
        Standard error at which to stop; 0 uses the budget up.

    Raises
    ------
    InvalidOption
        The budget does not reach for one order.
    """
    n_parties = game.n_parties
    rng = generator(seed, "shapley", n_parties)

    def units(n: int, n_orders: int = 2) -> NDArray[np.float64]:
        orders = rng.permuted(np.tile(np.arange(n_parties), (n, 1)), axis=1)
        orders = np.stack([orders, orders[:, ::-1]][:n_orders], axis=1).reshape(-1, n_parties)
        added = np.diff(game.prefix_values(orders), axis=1, prepend=0.0)  # (order, position)
        gains = np.empty_like(added)
        np.put_along_axis(gains, orders, added, axis=1)  # (order, party)
        return np.asarray(gains.reshape(n, n_orders, n_parties).mean(axis=1))

    if n_parties <= budget < 2 * n_parties:  # enough for one order alone
        return Sampled(units(1, 1)[0], None, n_parties)
    return _drawn(units, 2 * n_parties, budget, precision, "shapley", f"the number of parties, {n_parties}")


def sampled_banzhaf(game: Game, budget: int, seed: int, precision: float = 0.0) -> Sampled:
    """Banzhaf values from random coalitions, each paired with its complement; parameters as in :func:`sampled_shapley`.

    Whoever is not in a coalition is in its complement, and given that, either is a uniform coalition of the others: the
    difference of the two values, with its sign, estimates every party's value at once.
    """
    n_parties = game.n_parties
    rng = generator(seed, "banzhaf", n_parties)

    def units(n: int) -> NDArray[np.float64]:
        members = rng.random((n, n_parties)) < 0.5
        values = game.values_of(np.concatenate([members, ~members]))
        return np.where(members, 1.0, -1.0) * (values[:n] - values[n:])[:, None]

    return _drawn(units, 2, budget, precision, "banzhaf", "2")


def sampled_interactions(game: Game, budget: int, seed: int, precision: float = 0.0) -> Sampled:
    """Shapley interaction indices from random orders, (party, party); parameters as in :func:`sampled_shapley`.

    In a random order, those before two neighbours are a coalition of uniform size and then uniform of that size, which
    is how the index weighs coalitions. Orders come in families that make every two parties neighbours equally often
    (zigzags around a circle, after E. Walecki, 1883), relabelled at random: a family is a unit.
    """
    n_parties = game.n_parties
    rng = generator(seed, "interactions", n_parties)
    steps = np.arange(n_parties)
    zigzag = np.where(steps % 2 == 1, (steps + 1) // 2, -(steps // 2))
    turns = np.arange(n_parties if n_parties % 2 else n_parties // 2)
    family = (zigzag + turns[:, None]) % n_parties  # (order, position)
    before = np.tri(n_parties - 1, n_parties, -1, dtype=np.bool_)  # (neighbours, position): those before the first
    positions = np.arange(n_parties - 1)
    before[positions, positions + 1] = True  # and the second of the two, without the first

    def units(n: int) -> NDArray[np.float64]:
        names = rng.permuted(np.tile(np.arange(n_parties), (n, 1)), axis=1)
        orders = names[:, family].reshape(-1, n_parties)
        joined = np.pad(game.prefix_values(orders), ((0, 0), (1, 0)))  # the empty coalition in front
        swapped = np.zeros((len(orders), n_parties - 1, n_parties), dtype=np.bool_)
        np.put_along_axis(swapped, np.broadcast_to(orders[:, None], swapped.shape), before[None], axis=2)
        second = game.values_of(swapped.reshape(-1, n_parties)).reshape(len(orders), -1)
        both = joined[:, 2:] - joined[:, 1:-1] - second + joined[:, :-2]  # (order, neighbours)
        found = np.zeros((n, n_parties, n_parties))
        unit = np.repeat(np.arange(n), len(family))[:, None]
        np.add.at(found, (unit, orders[:, :-1], orders[:, 1:]), both)
        found += found.transpose(0, 2, 1)
        return found / (2 if n_parties % 2 else 1)  # an odd circle makes every two neighbours twice

    price = len(family) * (2 * n_parties - 1)
    return _drawn(units, price, budget, precision, "interactions", f"{price} for {n_parties} parties")


def _drawn(
    units: Callable[[int], NDArray[np.float64]], price: int, budget: int, precision: float, owner: str, least: str
) -> Sampled:
    """Units, each of which values ``price`` coalitions, until the budget is used up or the precision is reached."""
    n_most = budget // price
    if n_most < 1:
        raise InvalidOption(f"Option 'budget' of {owner} must be at least {least}, not {budget}.")
    n, mean, squares = 0, np.zeros(()), np.zeros(())
    while n < n_most:
        chunk = min(n_most - n, n_most if precision <= 0 else max(FIRST, n // 4), max(1, MAX_AT_ONCE // price))
        drawn = units(chunk)
        # Welford's update by chunks (T. Chan, G. Golub, R. LeVeque, 1983): sums of squares would cancel
        here = drawn.mean(axis=0)
        squares = squares + ((drawn - here) ** 2).sum(axis=0) + (here - mean) ** 2 * (n * chunk / (n + chunk))
        mean = mean + (here - mean) * (chunk / (n + chunk))
        n += chunk
        if precision > 0 and n >= FIRST and (squares <= precision**2 * n * (n - 1)).all():
            break
    return Sampled(mean, _standard_errors(squares, n), n * price)


def _standard_errors(squares: NDArray[Any], n: int) -> NDArray[np.float64] | None:
    return np.sqrt(squares / (n * (n - 1))) if n > 1 else None
