"""Votes, hard and soft: every party counts the same.

Sources: L. Lam, C. Suen, Application of majority voting to pattern recognition, IEEE Trans. SMC-A 27(5), 1997 (hard);
J. Kittler et al., On combining classifiers, IEEE TPAMI 20(3), 1998 (soft: the sum rule).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.normalise import COUNT, as_distribution, one, simplex_component
from fi_workbench.aggregation.rule import Component, LocalView, OnAbsence, Summand, sum_rule
from fi_workbench.core.arrays import Scores


def _vote_components(_n_classes: int, _on_absence: OnAbsence) -> Mapping[str, Component]:
    return {"votes": simplex_component(), "count": COUNT}


def _share_of_votes(sums: Mapping[str, NDArray[Any]]) -> Scores:
    return as_distribution(sums["votes"] / sums["count"])


@sum_rule(
    components=_vote_components,
    finish=_share_of_votes,
    formula=r"\arg\max_c \sum_k \mathbf{1}[\arg\max_{c'} p_k(c') = c]",
    source="Lam & Suen 1997, doi:10.1109/3468.618255",
)
def hard_vote(view: LocalView) -> Summand:
    """Each party votes for its most likely class; the class with the most votes wins, ties to the lowest index.

    The scores are shares of the votes, (query, class). A party's own tie goes to its lowest class index too.
    """
    # the softmax is monotonic: the largest logit is the largest probability, without its rounding
    choice = view.values.argmax(axis=-1)
    votes = np.zeros(view.values.shape)
    np.put_along_axis(votes, choice[:, None], 1.0, axis=-1)
    return {"votes": votes, "count": one(votes)}


def mean_components(_n_classes: int, _on_absence: OnAbsence) -> Mapping[str, Component]:
    """Declaration of a distribution for each query, and of the count of one."""
    return {"probabilities": simplex_component(), "count": COUNT}


def mean_probabilities(sums: Mapping[str, NDArray[Any]]) -> Scores:
    """Mean of the summed probabilities over the present parties, (query, class)."""
    return as_distribution(sums["probabilities"] / sums["count"])


@sum_rule(
    components=mean_components,
    finish=mean_probabilities,
    formula=r"\frac{1}{K} \sum_k p_k(c)",
    source="Kittler et al. 1998, doi:10.1109/34.667881",
)
def soft_vote(view: LocalView) -> Summand:
    """The mean of the parties' probabilities, each party counting the same."""
    return {"probabilities": view.probabilities, "count": one(view.probabilities)}
