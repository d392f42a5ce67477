"""Contributions by the Dawid-Skene model: how often a party is right, estimated from everybody's votes alone.

Source: A. P. Dawid, A. M. Skene, Journal of the Royal Statistical Society C 28(1), 1979; see ``core.crowd``.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.crowd import Crowd, dawid_skene
from fi_workbench.core.errors import InvalidData
from fi_workbench.core.options import Between
from fi_workbench.incentives.contribution import ContributionView, counting_method
from fi_workbench.incentives.estimate import Estimate
from fi_workbench.incentives.peers import alike


def estimated_crowd(
    before: Crowd | None,
    view: ContributionView,
    *,
    iterations: Annotated[int, Between(1, 200), "Steps of expectation maximisation a round, at most."] = 50,
) -> Crowd:
    """What the votes of a round say of the parties, on top of what the rounds before said.

    Raises
    ------
    InvalidData
        Other classes than before.
    """
    if before is not None and len(before.class_counts) != view.n_classes:
        raise InvalidData(
            f"Rounds of {len(before.class_counts)} and of {view.n_classes} classes cannot be counted together."
        )
    return dawid_skene(view.each_vote, view.n_classes, before=before, max_iterations=iterations)


@counting_method(
    accumulate=estimated_crowd,
    needs="votes",
    formula=r"\frac{1}{C} \sum_c \hat\pi_k(c \mid c), \; \hat\pi \text{ by expectation maximisation}",
    source="Dawid & Skene 1979, Journal of the Royal Statistical Society C 28(1)",
)
def dawid_skene_skill(crowd: Crowd) -> NDArray[np.floating[Any]] | Estimate:
    """How often the party names the class that is probably the true one, averaged over the classes.

    Which class is probably true, and who errs how, is estimated together from the votes. It takes the majority's word
    at the start, so parties that copy one another pass for skilled. Over a stream a round's votes add to the counts of
    those before, which stay as they were then estimated: close to one pass over all where most votes are right; where
    most are wrong, small rounds may settle on other classes than one pass does.
    """
    answered = crowd.counts.sum(axis=(1, 2)) > 0
    return alike(answered) if answered.sum() < 3 else crowd.skill
