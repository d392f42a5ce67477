"""A rule that uses the queries of a batch together: their classes should be as frequent as in the cohort's data.

Sources: the two-way fit of :mod:`~fi_workbench.aggregation.priors`, the logarithmic pool of
:mod:`~fi_workbench.aggregation.competence`, and alternate scaling of a matrix to given margins: R. Sinkhorn, Diagonal
equivalence to matrices with prescribed row and column sums, American Mathematical Monthly 74(4), 1967, as M. Cuturi,
arXiv:1306.0895, uses it for assignments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.competence import FLOOR, MaxClaim, claimed_counts, log_sensitivity, share_of
from fi_workbench.aggregation.priors import Smoothing, Sweeps, two_way_fit
from fi_workbench.aggregation.rule import Component, LocalView, OnAbsence, Summand, each_rule
from fi_workbench.core.arrays import Scores, log_softmax, softmax
from fi_workbench.core.options import Between

Patience = Annotated[
    float,
    Between(0, 10_000),
    "Queries by which the expected frequencies are trusted beforehand: a batch far below it is hardly moved.",
]

_STEPS = 30
"""Alternate scalings; on 8,000 queries of ten classes the twentieth moves no score by 1e-4 any more."""


def _components(n_classes: int, _on_absence: OnAbsence, *, max_claim: MaxClaim = 1e6) -> Mapping[str, Component]:
    # replacing an answer moves log_p only; the counts' sensitivity covers a change of the private facts
    return {
        "log_p": Component(
            "query_class", FLOOR, 0.0, l1=log_sensitivity(n_classes, 1), l2=log_sensitivity(n_classes, 2)
        ),
        "counts": Component("class", 0.0, max_claim, l1=n_classes * max_claim, l2=math.sqrt(n_classes) * max_claim),
    }  # fmt: skip


def _scores(
    parts: Mapping[str, NDArray[Any]], *, smoothing: Smoothing = 1.0, n_sweeps: Sweeps = 25, patience: Patience = 300.0
) -> Scores:
    log_p, counts = parts["log_p"].astype(np.float64), parts["counts"].astype(np.float64)
    totals = counts.sum(axis=0)
    if not totals.any():  # nobody holds anything: all classes alike
        counts, totals = np.ones_like(counts), np.full_like(totals, len(counts))
    smoothed = counts + smoothing
    log_prior = np.log(smoothed / smoothed.sum(axis=1, keepdims=True))
    fitted = two_way_fit(log_p - log_prior[:, None, :], np.sqrt(counts), n_sweeps)
    pooled = np.einsum("kc,knc->nc", share_of(counts, totals), log_p, optimize=True)
    held = totals > 0.0
    both = log_softmax(np.where(held, fitted, -np.inf)) + log_softmax(np.where(held, pooled, -np.inf))
    return _matched(both, totals / totals.sum(), patience)


def _matched(log_scores: NDArray[np.float64], expected: NDArray[np.float64], patience: float) -> Scores:
    """Scores (query, class) whose column means are near the expected frequencies, (class,)."""
    held = expected > 0.0
    due = (len(log_scores) + patience) * expected[held]
    shift = np.zeros(len(expected))
    for _ in range(_STEPS):
        there = softmax(log_scores + shift).sum(axis=0)[held] + patience * expected[held]
        shift[held] += np.log(due) - np.log(there)
    return softmax(log_scores + shift)


@each_rule(
    components=_components,
    finish=_scores,
    facts=("class_counts",),
    formula=r"\mathrm{softmax}(\log \mathrm{softmax}\, s_{tw} + \log \mathrm{softmax}\, s_{lp} + \lambda), \quad "
    r"\lambda : \frac{1}{N} \sum_n q_n(c) = n_c / \sum_{c'} n_{c'}",
    source="our own: two-way prior correction and log pool, matched to class totals by Sinkhorn 1967, arXiv:1306.0895",
)
def prior_matched(view: LocalView, *, max_claim: MaxClaim = 1e6) -> Summand:
    """Two-way prior correction and log pool in one, then the whole batch is shifted to the cohort's mix of classes.

    Under label skew each party mistakes what it never saw for what it knows, so some classes are answered far too
    often. Here none may be, by more than ``patience`` queries' worth: that helps where batches are large and mixed like
    the cohort's training data, and misleads where they are not. The coordinator sees each party's counts.
    """
    log_p = np.clip(log_softmax(view.logits), FLOOR, 0.0)
    return {"log_p": log_p, "counts": claimed_counts(view.facts, max_claim, view.values.shape[-1])}
