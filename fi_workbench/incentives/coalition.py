"""Contributions by coalitions: what a party adds to the others, last, in every order, or to every coalition alike.

Sources: L. Shapley, A value for n-person games, 1953; J. Banzhaf, Weighted voting doesn't work, 1965. How the values
are found is in ``semivalues`` (all coalitions) and ``sampling`` (some of them), what a coalition is worth in ``game``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.options import Between, OneOf
from fi_workbench.incentives.contribution import ContributionView, contribution_method
from fi_workbench.incentives.estimate import Estimate
from fi_workbench.incentives.games.game import all_values, game_of
from fi_workbench.incentives.games.sampling import Sampled, sampled_banzhaf, sampled_shapley
from fi_workbench.incentives.games.semivalues import banzhaf_of_values, shapley_of_values

EXACT_UP_TO = 16
"""Parties up to which all 2^K coalitions are valued."""

Worth = Annotated[
    str,
    OneOf("auto", "accuracy", "agreement", "log_score"),
    "What a coalition is worth; auto: accuracy where labels are known, agreement with the soft vote of all where not.",
]
Budget = Annotated[int, Between(100, 1_000_000, log=True), "Coalitions valued at most, where they are sampled."]
Precision = Annotated[float, Between(0.0, 1.0), "Standard error at which sampling stops; 0 uses the budget up."]
ExactUpTo = Annotated[int, Between(1, EXACT_UP_TO), "Parties up to which all coalitions are valued."]
Seed = Annotated[int, Between(0, 2**31 - 1), "Seed of the sampled coalitions."]


@contribution_method(
    needs="each",
    labels="optional",
    formula=r"v(\mathrm{all}) - v(\mathrm{all} \setminus k)",
    source="R. D. Cook, Detection of influential observation in linear regression, 1977 (leave-one-out)",
)
def leave_one_out(view: ContributionView, *, value: Worth = "auto") -> Estimate:
    """What would be lost without the party: negative where the others do better without it.

    A coalition is worth what ``value`` says: the accuracy of its soft vote, how often its soft vote is the label of the
    soft vote of all, or its log score.
    """
    everyone, without = game_of(view, value).values_without()
    return Estimate(everyone - without, n_evaluations=view.n_parties + 1)


@contribution_method(
    needs="each",
    labels="optional",
    formula=r"\sum_{S \not\ni k} \frac{|S|!\,(K-|S|-1)!}{K!} \, [v(S \cup k) - v(S)]",
    source="Shapley 1953; ensemble game: Rozemberczki & Sarkar 2021, arXiv:2101.02153",
)
def shapley(
    view: ContributionView,
    *,
    value: Worth = "auto",
    budget: Budget = 2000,
    precision: Precision = 0.0,
    exact_up_to: ExactUpTo = EXACT_UP_TO,
    seed: Seed = 0,
) -> Estimate:
    """What the party adds to the others on average over all orders in which they might have joined.

    A coalition is worth what ``value`` says: the accuracy of its soft vote, how often its soft vote is the label of the
    soft vote of all, or its log score. All coalitions are valued up to ``exact_up_to`` parties, sampled orders above.
    """
    if view.n_parties <= exact_up_to:
        return _exact(view, value, shapley_of_values)
    return _sampled(sampled_shapley(game_of(view, value), budget, seed, precision))


@contribution_method(
    needs="each",
    labels="optional",
    formula=r"2^{1-K} \sum_{S \not\ni k} [v(S \cup k) - v(S)]",
    source="Banzhaf 1965; for the value of data: Wang & Jia 2023, arXiv:2205.15466",
)
def banzhaf(
    view: ContributionView,
    *,
    value: Worth = "auto",
    budget: Budget = 2000,
    precision: Precision = 0.0,
    exact_up_to: ExactUpTo = EXACT_UP_TO,
    seed: Seed = 0,
) -> Estimate:
    """What the party adds to the others on average over all coalitions of them, each of which counts alike.

    Of all such averages this one keeps its ranks best where values are noisy (Wang & Jia); unlike Shapley
    values these need not sum to what all are worth. Options as in ``shapley``.
    """
    if view.n_parties <= exact_up_to:
        return _exact(view, value, banzhaf_of_values)
    return _sampled(sampled_banzhaf(game_of(view, value), budget, seed, precision))


def _exact(view: ContributionView, value: str, read: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Estimate:
    values = all_values(view, value)
    return Estimate(read(values), n_evaluations=len(values))


def _sampled(sampled: Sampled) -> Estimate:
    return Estimate(sampled.values, sampled.standard_errors, sampled.n_evaluations, exact=False)
