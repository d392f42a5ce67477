"""Which parties are redundant, and which complement each other: interactions of pairs.

Source: M. Grabisch, M. Roubens, An axiomatic approach to the concept of interaction among players in cooperative games,
International Journal of Game Theory 28, 1999.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fi_workbench.incentives.coalition import EXACT_UP_TO, Budget, ExactUpTo, Precision, Seed, Worth
from fi_workbench.incentives.contribution import ContributionView
from fi_workbench.incentives.games.game import all_values, game_of
from fi_workbench.incentives.games.sampling import sampled_interactions
from fi_workbench.incentives.games.semivalues import interactions_of_values


@dataclass(frozen=True, eq=False)
class Interactions:
    """What pairs of parties are worth together beyond what they are worth apart.

    Parameters
    ----------
    pairs : array (party, party)
        Symmetric, zeros on the diagonal. Negative: redundant, one can stand in for the other; positive: complementary,
        each is worth more where the other is.
    n_evaluations : int
        Coalitions that were valued.
    standard_errors : array (party, party), optional
        Of sampled values; None where they are exact or one sample was drawn.
    """

    pairs: NDArray[np.float64]
    n_evaluations: int
    standard_errors: NDArray[np.float64] | None = None


def interactions_of(
    view: ContributionView,
    *,
    value: Worth = "auto",
    budget: Budget = 20_000,
    precision: Precision = 0.0,
    exact_up_to: ExactUpTo = EXACT_UP_TO,
    seed: Seed = 0,
) -> Interactions:
    """Order-2 Shapley interaction indices of the parties of a round.

    Parameters
    ----------
    view : ContributionView
    value : {"auto", "accuracy", "agreement", "log_score"}
        What a coalition is worth (see ``game``).
    budget : int
        Coalitions valued at most, where orders are sampled: above ``exact_up_to`` parties. About K^2 at least.
    precision : float
        Standard error at which sampling stops; 0 uses the budget up.
    exact_up_to : int
    seed : int

    Raises
    ------
    DoesNotFit
        Accuracy without labels.
    InvalidOption
        The budget is too small for every pair to be sampled once.
    NotDisclosed
        The parties' answers are not disclosed.
    """
    if view.n_parties <= exact_up_to:
        values = all_values(view, value)
        return Interactions(interactions_of_values(values), len(values))
    found = sampled_interactions(game_of(view, value), budget, seed, precision)
    return Interactions(found.values, found.n_evaluations, found.standard_errors)
