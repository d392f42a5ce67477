"""Rules that use how many samples of each class a party was trained on: competence weights and prior correction.

Competence weights: class-conscious combiners (L. I. Kuncheva, Combining Pattern Classifiers, Wiley 2004) whose weights
are shares of the training samples. Logarithmic pooling: C. Genest and J. V. Zidek, Combining probability distributions,
Statistical Science 1(1), 1986. Prior correction: M. Saerens et al., Adjusting the outputs of a classifier to new a
priori probabilities, Neural Computation 14(1), 2002.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.facts import MAX_DATA_SIZE, class_counts_of
from fi_workbench.aggregation.normalise import (
    COUNT,
    SIMPLEX_L1,
    SIMPLEX_L2,
    as_distribution,
    one,
    simplex_component,
)
from fi_workbench.aggregation.rule import Component, Enrolment, LocalView, OnAbsence, Summand, sum_rule
from fi_workbench.aggregation.voting import mean_probabilities
from fi_workbench.core.arrays import TINY, Scores, log_softmax, softmax
from fi_workbench.core.options import Between

FLOOR = -12.0
"""Logarithms of probabilities are clipped here: one party's flat no must not be infinite."""

Smoothing = Annotated[float, Between(0.01, 100, log=True), "Samples added to each class before the prior is taken."]


def _class_totals(facts: Mapping[str, Any]) -> Summand:
    return {"class_totals": class_counts_of(facts)}


CLASS_TOTALS = Enrolment(
    local=_class_totals,
    components={
        # a party claims at most MAX_DATA_SIZE samples over all classes, so its counts are a scaled simplex row
        "class_totals": Component(
            "class", 0.0, MAX_DATA_SIZE, l1=SIMPLEX_L1 * MAX_DATA_SIZE, l2=SIMPLEX_L2 * MAX_DATA_SIZE
        )
    },
)
"""The one sum over private facts that competence rules need: class totals of the cohort."""


def _competence(view: LocalView) -> NDArray[np.floating[Any]]:
    """w_k(c) = n_kc / N_c, (class,); 0 for a class that nobody was trained on."""
    counts = class_counts_of(view.facts, view.values.shape[-1])
    totals = np.asarray(view.totals["class_totals"], dtype=np.float64)
    weight = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    # totals that carry noise may fall below the party's own counts
    return np.minimum(weight, 1.0).astype(view.probabilities.dtype)


def _with_weight(components: dict[str, Component], n_classes: int, on_absence: OnAbsence) -> Mapping[str, Component]:
    # the weights depend on no answer; their sensitivity covers a change of the private counts themselves
    if on_absence == "renormalise":
        components["weight"] = Component("class", 0.0, 1.0, l1=float(n_classes), l2=math.sqrt(n_classes))
    return components


def _renormalised(sums: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.floating[Any]]:
    """``sums[name]`` over the weight of those present, where it was sent; 0 for a class that none of them holds."""
    pooled = sums[name]
    if "weight" not in sums:
        return pooled
    weight = sums["weight"]
    return np.asarray(np.where(weight > TINY, pooled / np.maximum(weight, TINY), 0.0))


def _weighted_components(n_classes: int, on_absence: OnAbsence) -> Mapping[str, Component]:
    # w <= 1 only shrinks a row of the simplex
    return _with_weight({"weighted": simplex_component()}, n_classes, on_absence)


def _competence_scores(sums: Mapping[str, NDArray[Any]]) -> Scores:
    return as_distribution(_renormalised(sums, "weighted"))


@sum_rule(
    components=_weighted_components,
    finish=_competence_scores,
    facts=("class_counts",),
    enrolment=CLASS_TOTALS,
    formula=r"\sum_k w_k(c)\, p_k(c), \quad w_k(c) = n_{kc} / \sum_j n_{jc}",
    source="class-conscious weighted average (Kuncheva 2004), weighted by shares of training samples",
)
def class_competence(view: LocalView) -> Summand:
    """Each class is judged by those who know it: a party weighs in a class by its share of that class's samples.

    The weighted sums of a query need not add up to one; the scores are scaled so that they do, which changes no
    label. A class of which only absent parties hold samples scores 0 where those present share the weight.
    """
    weight = _competence(view)
    summand = {"weighted": weight * view.probabilities}
    return summand | {"weight": weight} if view.on_absence == "renormalise" else summand


def _log_components(n_classes: int, on_absence: OnAbsence) -> Mapping[str, Component]:
    # Entries are f(p) = max(log p, FLOOR) - FLOOR >= 0 times w <= 1. Two rows differ most when one is uniform on half
    # of the classes and at the floor elsewhere, and the other the reverse: with f(1/a) = -FLOOR - log a,
    # a f(1/a)^q + b f(1/b)^q, a + b = C, is concave in a, so its maximum is at a = b = C/2 while that still increases.
    def most(power: int) -> float:
        half = min(n_classes / 2, math.exp(-FLOOR - power))
        return float((2.0 * half * (-FLOOR - math.log(max(half, 1.0))) ** power) ** (1.0 / power))

    component = Component("query_class", 0.0, -FLOOR, l1=most(1), l2=most(2))
    return _with_weight({"weighted_log": component}, n_classes, on_absence)


def _log_pool_scores(sums: Mapping[str, NDArray[Any]]) -> Scores:
    return softmax(_renormalised(sums, "weighted_log"))


@sum_rule(
    components=_log_components,
    finish=_log_pool_scores,
    facts=("class_counts",),
    enrolment=CLASS_TOTALS,
    formula=r"\mathrm{softmax}\!\left(\sum_k w_k(c)\, \mathrm{clip}(\log p_k(c), -12, 0)\right), \quad "
    r"w_k(c) = n_{kc} / \sum_j n_{jc}",
    source="logarithmic pool (Genest and Zidek 1986), weighted by shares of training samples",
)
def log_pool_competence(view: LocalView) -> Summand:
    """As class competence, but pooling logarithms: those who know a class can veto it.

    What is summed is w (log p + 12), not w log p: the same after the softmax where the weights of a class sum to one,
    and weight that is missing (an absent party's, or a class that nobody holds) counts as the floor, not as certainty.
    """
    weight = _competence(view)
    above_floor = np.clip(log_softmax(view.logits), FLOOR, 0.0) - FLOOR
    summand = {"weighted_log": weight * above_floor}
    return summand | {"weight": weight} if view.on_absence == "renormalise" else summand


def _corrected_components(_n_classes: int, _on_absence: OnAbsence) -> Mapping[str, Component]:
    return {"probabilities": simplex_component(), "count": COUNT}


@sum_rule(
    components=_corrected_components,
    finish=mean_probabilities,
    facts=("class_counts",),
    formula=r"\frac{1}{K} \sum_k \frac{p_k(c) / \pi_k(c)}{\sum_{c'} p_k(c') / \pi_k(c')}",
    source="Saerens et al. 2002, doi:10.1162/089976602753284446",
)
def prior_corrected(view: LocalView, *, smoothing: Smoothing = 1.0) -> Summand:
    """Each party takes out of its answer how often it saw each class in training; then the mean."""
    counts = class_counts_of(view.facts, view.values.shape[-1]) + smoothing
    prior = (counts / counts.sum()).astype(view.probabilities.dtype)
    ratio = view.probabilities / prior
    return {"probabilities": ratio / ratio.sum(axis=-1, keepdims=True), "count": one(ratio)}
