"""Contributions by coalitions: what a party adds to the others, last or in every order.

Sources: L. Shapley, A value for n-person games, 1953; sampling by permutations: J. Castro, D. Gomez, J. Tejada,
Computers & Operations Research 36(5), 2009; each order is paired with its reverse (antithetic sampling: R. Mitchell
et al., Sampling Permutations for Shapley Value Estimation, JMLR 23, 2022, arXiv:2104.12199).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.options import Between
from fi_workbench.core.randomness import generator
from fi_workbench.incentives.contribution import ContributionView, contribution_method
from fi_workbench.incentives.ensemble import EnsembleGame

EXACT_UP_TO = 16
"""Parties up to which all 2^K coalitions are valued."""


class Game(Protocol):
    """A cooperative game whose empty coalition is worth 0."""

    @property
    def n_parties(self) -> int:
        """Players of the game."""

    def prefix_values(self, orders: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Values of ``orders[i, : j + 1]``, (order, party)."""


def shapley_of_values(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Exact Shapley values from the values of all coalitions.

    phi_k = sum over S without k of |S|! (K - |S| - 1)! / K! (v(S + k) - v(S)).

    Parameters
    ----------
    values : array (2^party,)
        Bit k of the index says whether party k is in the coalition.

    Returns
    -------
    array (party,)
        They sum to v(all) - v(none).
    """
    n_parties = len(values).bit_length() - 1
    sizes = np.zeros(1, dtype=np.intp)
    for _ in range(n_parties - 1):  # sizes of the coalitions of the other parties
        sizes = np.concatenate([sizes, sizes + 1])
    weights = np.array([1.0 / (n_parties * math.comb(n_parties - 1, size)) for size in range(n_parties)])[sizes]
    shares = np.empty(n_parties)
    for k in range(n_parties):
        pairs = values.reshape(-1, 2, 1 << k)  # (parties above k, without or with k, parties below k)
        shares[k] = (pairs[:, 1] - pairs[:, 0]).reshape(-1) @ weights
    return shares


def sampled_shapley(game: Game, budget: int, seed: int) -> NDArray[np.float64]:
    """Unbiased Shapley values from random orders, each paired with its reverse; they sum to the value of all, exactly.

    Parameters
    ----------
    game : Game
    budget : int
        The most coalitions that may be valued; one order takes as many as there are parties.
    seed : int

    Raises
    ------
    InvalidOption
        The budget does not reach for one order.
    """
    n_orders = budget // game.n_parties
    if n_orders < 1:
        raise InvalidOption(f"Option 'budget' of shapley must be at least the number of parties, {game.n_parties}.")
    rng = generator(seed, "shapley", game.n_parties)
    orders = rng.permuted(np.tile(np.arange(game.n_parties), ((n_orders + 1) // 2, 1)), axis=1)
    orders = np.stack([orders, orders[:, ::-1]], axis=1).reshape(-1, game.n_parties)[:n_orders]
    added = np.diff(game.prefix_values(orders), axis=1, prepend=0.0)  # (order, position)
    return np.bincount(orders.reshape(-1), added.reshape(-1), minlength=game.n_parties) / n_orders


@contribution_method(
    needs="each",
    labels="optional",
    formula=r"v(\mathrm{all}) - v(\mathrm{all} \setminus k)",
    source="R. D. Cook, Detection of influential observation in linear regression, 1977 (leave-one-out)",
)
def leave_one_out(view: ContributionView) -> NDArray[np.floating[Any]]:
    """What would be lost without the party: negative where the others do better without it.

    The value of a coalition is the accuracy of its soft vote; without labels, how often its soft vote is the label of
    the soft vote of all.
    """
    everyone, without = EnsembleGame(view.probabilities, view.labels).values_without()
    return everyone - without


@contribution_method(
    needs="each",
    labels="optional",
    formula=r"\sum_{S \not\ni k} \frac{|S|!\,(K-|S|-1)!}{K!} \, [v(S \cup k) - v(S)]",
    source="Shapley 1953; ensemble game: Rozemberczki & Sarkar 2021, arXiv:2101.02153",
)
def shapley(
    view: ContributionView,
    *,
    budget: Annotated[
        int, Between(100, 1_000_000, log=True), "Coalitions valued at most, where orders are sampled."
    ] = 2000,
    exact_up_to: Annotated[
        int, Between(1, EXACT_UP_TO), "Parties up to which all coalitions are valued."
    ] = EXACT_UP_TO,
    seed: Annotated[int, Between(0, 2**31 - 1), "Seed of the sampled orders."] = 0,
) -> NDArray[np.floating[Any]]:
    """What the party adds to the others on average over all orders in which they might have joined.

    The value of a coalition is the accuracy of its soft vote; without labels, how often its soft vote is the label of
    the soft vote of all. All coalitions are valued up to ``exact_up_to`` parties, sampled orders above.
    """
    game = EnsembleGame(view.probabilities, view.labels)
    if game.n_parties <= exact_up_to:
        return shapley_of_values(game.all_values())
    return sampled_shapley(game, budget, seed)
