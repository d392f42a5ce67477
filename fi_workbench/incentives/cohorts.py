"""Contributions where only sums are shown: parts of the parties answer the same questions, and are valued together.

What one sum hides of its parties, several sums over different cohorts may give away by subtraction. The cohorts of one
round are therefore disjoint, each of at least ``LEAST`` parties, and at least ``least_difference`` of those who
answered are in none of them. Whatever is added to or subtracted from what then is known is a sum over whole cohorts,
or holds all who were left out: nothing smaller comes out, also where somebody drops out on the way. Parties are told
apart over rounds, whose questions differ; the same questions to the same parties are asked of the same cohorts again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.core.options import Between, OneOf
from fi_workbench.core.randomness import generator
from fi_workbench.incentives.asks import Asks
from fi_workbench.incentives.contribution import ContributionView, counting_method
from fi_workbench.incentives.estimate import Estimate
from fi_workbench.incentives.games.cohorts import CohortRegression

LEAST = 3
"""Fewest parties of a cohort: of two, each knows the other's answer from their sum."""

NOT_APART = (
    "So far {n} cohorts were valued; they do not tell all parties apart yet, and those not told apart count alike."
)

Worth = Annotated[
    str,
    OneOf("auto", "accuracy", "agreement"),
    "What a cohort is worth; auto: accuracy where labels are known, agreement with the label of all where not.",
]
NCohorts = Annotated[int, Between(1, 16), "Cohorts asked in a round that is valued, as far as they fit side by side."]
Every = Annotated[int, Between(1, 1000, log=True), "Value each n-th round; between them, values are carried on."]
LeastDifference = Annotated[int, Between(1, 50), "Parties in which any two cohorts, and any cohort and all, differ."]


@dataclass(frozen=True, eq=False)
class CohortSums:
    """What is known of a stream's cohorts; its size does not grow with the rounds.

    Parameters
    ----------
    regression : CohortRegression
    level, n_answered : array (party,)
        Over the rounds that a party was in, its equal part of what all were worth, times queries; and queries.
    """

    regression: CohortRegression
    level: NDArray[np.float64]
    n_answered: NDArray[np.int64]


def cohorts_to_ask(
    n_parties: int,
    n_rounds: int,
    seed: int,
    smallest: int,
    *,
    n_cohorts: NCohorts = 2,
    every: Every = 1,
    least_difference: LeastDifference = 3,
) -> tuple[tuple[int, ...], ...]:
    """Disjoint random cohorts of one random size, which leave enough parties out of all of them.

    Every size that fits is as likely as any other, and given its size so is every cohort.
    """
    least = max(LEAST, smallest)
    if n_rounds % every or n_parties - least_difference < least:
        return ()
    rng = generator(seed, "cohorts", n_parties)
    size = int(rng.integers(least, n_parties - least_difference + 1))
    order = rng.permutation(n_parties)
    together = _together(n_parties, size, n_cohorts, least_difference)
    return tuple(tuple(sorted(order[k * size : (k + 1) * size].tolist())) for k in range(together))


def what_cohorts_disclose(*, n_cohorts: NCohorts = 2, every: Every = 1, least_difference: LeastDifference = 3) -> str:
    """What asking them gives away, in a sentence."""
    rounds = "round" if every == 1 else f"{every}th round"
    least = min(LEAST, least_difference)
    comes_out = f"sums over {least} or more parties come out" if least > 1 else "single answers come out"
    return (
        f"contributions: in every {rounds} up to {n_cohorts} disjoint cohorts of {LEAST} or more parties answer the "
        f"same queries again; by subtraction, {comes_out}. Each party books it as one more question. Queries that "
        "come back in other batches, or after absences, are asked of other cohorts, and differences may tell more then."
    )


def cohort_sums(
    before: CohortSums | None,
    view: ContributionView,
    *,
    value: Worth = "auto",
    n_cohorts: NCohorts = 2,
    least_difference: LeastDifference = 3,
) -> CohortSums:
    """A round's cohorts, on top of those before.

    Raises
    ------
    DoesNotFit
        Accuracy without labels.
    NotDisclosed
        The view holds no scores.
    """
    if value == "accuracy" and view.labels is None:
        raise DoesNotFit("The accuracy of a cohort needs true labels.", ("auto", "agreement"))
    if before is None:
        nothing = np.zeros(view.n_parties)
        before = CohortSums(CohortRegression.empty(view.n_parties), nothing, nothing.astype(np.int64))
    present = np.arange(view.n_parties) if view.rows is None else np.asarray(view.rows)
    final = view.final_labels
    meant = final if view.labels is None or value == "agreement" else view.labels
    worth, n_queries, of = float((final == meant).mean()), view.n_queries, len(present)
    level, answered = before.level.copy(), before.n_answered.copy()
    level[present] += n_queries * worth / of
    answered[present] += n_queries
    regression = before.regression
    for one in view.cohorts:
        if LEAST <= len(one.members) < of:
            gain = float((one.scores.argmax(axis=-1) == meant).mean()) - worth
            together = _together(of, one.n_asked, n_cohorts, least_difference)
            regression = regression.add(one.members, present.tolist(), gain, together, n_queries)
    return replace(before, regression=regression, level=level, n_answered=answered)


@counting_method(
    accumulate=cohort_sums,
    asks=Asks(what_cohorts_disclose, cohorts_to_ask),
    needs="sum",
    labels="optional",
    formula=r"v(\mathrm{all}) / K + (1 - 1/K) \, \mathrm{mean}_{s \geq 3} [\bar v_{s \ni k} - \bar v_{s \not\ni k}]",
    source="Shapley 1953; by weighted least squares: Lundberg & Lee 2017, arXiv:1705.07874; over cohorts of 3 or more",
)
def cohort_shapley(sums: CohortSums) -> NDArray[np.floating[Any]] | Estimate:
    """Shapley values where only sums are shown: random cohorts answer the same queries again, and are valued together.

    A cohort is worth how often its label is right, where labels are known, and else how often it is the label of all.
    Cohorts of fewer than three are not to be had; they are taken to be like larger ones, which is exact where each
    party adds as much to a small cohort as to a large one. A round's values are those of its stream up to it: equal at
    first, and told apart over rounds. It asks every party up to one question more in a round.
    """
    there = sums.n_answered > 0
    solution = sums.regression.solved()
    level = np.divide(sums.level, sums.n_answered, out=np.zeros(len(there)), where=there)
    n_valued = sums.regression.n_cohorts
    apart = solution.rank >= there.sum() - 1
    return Estimate(
        np.where(there, level + solution.added, 0.0),
        solution.standard_errors,
        n_valued,
        exact=False,
        note="" if apart else NOT_APART.format(n=n_valued),
    )


def _together(n_parties: int, size: int, n_cohorts: int, least_difference: int) -> int:
    """How many cohorts of a size fit side by side, with so many parties left out."""
    return max(1, min(n_cohorts, (n_parties - least_difference) // size))
