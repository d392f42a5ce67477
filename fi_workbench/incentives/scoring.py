"""Contributions by proper scoring rules on audited queries: the answers themselves are held against true labels.

Sources: G. Brier, Monthly Weather Review 78(1), 1950; I. J. Good, Rational decisions, Journal of the Royal Statistical
Society B 14(1), 1952; T. Gneiting, A. Raftery, Journal of the American Statistical Association 102, 2007.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import TINY, Answers, Labels
from fi_workbench.core.options import Between, OneOf
from fi_workbench.core.randomness import generator
from fi_workbench.incentives.contribution import ContributionView, counting_method
from fi_workbench.incentives.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Audit:
    """Scores of audited queries, added up.

    Parameters
    ----------
    sums, squares : array (party,)
        Of the scores and of their squares.
    n_audited : integers (party,)
        Audited queries that the party answered.
    n_queries : integers (party,)
        Queries that it answered.
    """

    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    n_audited: NDArray[np.int64]
    n_queries: NDArray[np.int64]


def scores_of(answers: Answers, labels: Labels, rule: str) -> NDArray[np.float64]:
    """Proper scores of answers (party, query, class), (party, query): larger is better, the uniform answer scores 0.

    ``log``: log p(y) + log C. ``brier``: 1 - 1 / C - sum_c (p(c) - [c = y])^2.
    """
    n_classes, queries = answers.shape[2], np.arange(answers.shape[1])
    p = answers.astype(np.float64)
    right = p[:, queries, labels]
    if rule == "log":
        return np.asarray(np.log(np.maximum(right, TINY)) + math.log(n_classes))
    return np.asarray(2.0 * right - (p**2).sum(axis=2) - 1.0 / n_classes)


def audited(
    before: Audit | None,
    view: ContributionView,
    *,
    rule: Annotated[str, OneOf("log", "brier"), "log punishes certain errors most; brier is bounded."] = "log",
    share: Annotated[float, Between(0.01, 1.0), "Share of the queries whose labels are looked at."] = 1.0,
    seed: Annotated[int, Between(0, 2**31 - 1), "Seed of the choice of audited queries."] = 0,
) -> Audit:
    """Scores of a round's audited queries, on top of those of the rounds before; at least one query is audited."""
    if before is None:
        empty, none = np.zeros(view.n_parties), np.zeros(view.n_parties, dtype=np.int64)
        before = Audit(empty, empty, none, none)
    chosen: NDArray[np.integer] | slice = slice(None)
    if share < 1.0:
        # where the stream stands is part of the seed: each round audits other places
        rng = generator(seed, "audit", int(before.n_queries.max()))
        chosen = np.sort(rng.choice(view.n_queries, math.ceil(share * view.n_queries), replace=False))
    labels = np.zeros(0, dtype=np.int64) if view.labels is None else view.labels
    scores = scores_of(view.probabilities[:, chosen], labels[chosen], rule)
    there = ~np.isnan(view.probabilities[:, 0, 0])  # an absent party's answers are NaN
    scores[~there] = 0.0
    return Audit(
        before.sums + scores.sum(axis=1),
        before.squares + (scores**2).sum(axis=1),
        before.n_audited + there * scores.shape[1],
        before.n_queries + there * view.n_queries,
    )


@counting_method(
    accumulate=audited,
    needs="each",
    labels="required",
    formula=r"\frac{1}{|A|} \sum_{n \in A} S(p_{kn}, y_n), \; S(\mathrm{uniform}) = 0",
    source="Good 1952; Brier 1950; Gneiting & Raftery 2007, JASA 102",
)
def proper_score(audit: Audit) -> Estimate:
    """Mean proper score of the party's probabilities on audited queries: no other answer than one's belief scores more.

    Scores are shifted so that an answer that says nothing, all classes alike, earns 0; below that it earns less than
    nothing. Where a share of the queries is audited, standard errors say how far the others may be from these.
    """
    n = np.maximum(audit.n_audited, 1)
    mean = audit.sums / n
    if (audit.n_audited == audit.n_queries).all():
        return Estimate(mean)
    errors = None
    if (audit.n_audited[audit.n_audited > 0] > 1).all():
        variance = np.maximum(audit.squares / n - mean**2, 0.0) / np.maximum(n - 1, 1)
        unseen = 1.0 - audit.n_audited / np.maximum(audit.n_queries, 1)  # correction for a finite population
        errors = np.sqrt(variance * unseen)
    return Estimate(mean, errors, exact=False)
