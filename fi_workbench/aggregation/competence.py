"""Rules that weigh a party in a class by its share of the samples of that class.

Competence weights: class-conscious combiners (L. I. Kuncheva, Combining Pattern Classifiers, Wiley 2004) whose weights
are shares of the training samples. Logarithmic pooling: C. Genest and J. V. Zidek, Combining probability distributions,
Statistical Science 1(1), 1986.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.facts import MAX_DATA_SIZE, class_counts_of
from fi_workbench.aggregation.normalise import as_distribution, simplex_component
from fi_workbench.aggregation.rule import Component, Enrolment, LocalView, OnAbsence, Summand, sum_rule
from fi_workbench.core.arrays import TINY, Scores, log_softmax, softmax
from fi_workbench.core.options import Between

FLOOR = -12.0
"""Logarithms of probabilities are clipped here: one party's flat no must not be infinite."""

MaxClaim = Annotated[float, Between(1, MAX_DATA_SIZE, log=True), "Most samples per class that a party may claim."]


def claimed_counts(facts: Mapping[str, Any], max_claim: float, n_classes: int | None = None) -> NDArray[np.float64]:
    """The party's training samples of each class, (class,), no more than ``max_claim`` of any.

    Raises
    ------
    InvalidParty
        See :func:`~fi_workbench.aggregation.facts.class_counts_of`.
    """
    return np.minimum(class_counts_of(facts, n_classes), max_claim)


def _class_totals(facts: Mapping[str, Any], *, max_claim: MaxClaim = 1e6) -> Summand:
    return {"class_totals": claimed_counts(facts, max_claim)}


def _total_components(n_classes: int, *, max_claim: MaxClaim = 1e6) -> Mapping[str, Component]:
    # Each count moves by at most the claim m, and what rises and what falls is at most MAX_DATA_SIZE each, so
    # |d|_1 <= min(C m, 2 MAX_DATA_SIZE), and |d|_2^2 <= max|d| |d|_1.
    l1 = min(n_classes * max_claim, 2.0 * MAX_DATA_SIZE)
    return {"class_totals": Component("class", 0.0, max_claim, l1=l1, l2=math.sqrt(max_claim * l1))}


CLASS_TOTALS = Enrolment(local=_class_totals, components=_total_components, names=("class_totals",))
"""The one sum over private facts that competence rules need: class totals of the cohort."""


def _competence(view: LocalView, max_claim: float) -> NDArray[np.floating[Any]]:
    """w_k(c) = n_kc / N_c, (class,); 0 for a class that nobody was trained on."""
    counts = claimed_counts(view.facts, max_claim, view.values.shape[-1])
    return share_of(counts, view.totals["class_totals"]).astype(view.probabilities.dtype)


def share_of(own: NDArray[np.float64], totals: NDArray[Any]) -> NDArray[np.float64]:
    """One party's share of each total, (class,), from 0 to 1; 0 where the total is none."""
    totals = np.asarray(totals, dtype=np.float64)
    share = np.divide(own, totals, out=np.zeros_like(own), where=totals > 0)
    # totals that carry noise may fall below the party's own part
    return np.asarray(np.minimum(share, 1.0))


def with_weight(components: dict[str, Component], n_classes: int, on_absence: OnAbsence) -> Mapping[str, Component]:
    """``components``, and the weight of those present where these share that of the absent."""
    # the weights depend on no answer; their sensitivity covers a change of the private counts themselves
    if on_absence == "renormalise":
        components["weight"] = Component("class", 0.0, 1.0, l1=float(n_classes), l2=math.sqrt(n_classes))
    return components


def renormalised(sums: Mapping[str, NDArray[Any]], name: str) -> NDArray[np.floating[Any]]:
    """``sums[name]`` over the weight of those present, where it was sent; 0 for a class that none of them holds."""
    pooled = sums[name]
    if "weight" not in sums:
        return pooled
    weight = sums["weight"]
    return np.asarray(np.where(weight > TINY, pooled / np.maximum(weight, TINY), 0.0))


def weighted_components(n_classes: int, on_absence: OnAbsence) -> Mapping[str, Component]:
    """Declaration of w(c) p(c), and of w where it is sent."""
    # w <= 1 only shrinks a row of the simplex
    return with_weight({"weighted": simplex_component()}, n_classes, on_absence)


def weighted_scores(sums: Mapping[str, NDArray[Any]]) -> Scores:
    """Distributions (query, class) from summed w(c) p(c)."""
    return as_distribution(renormalised(sums, "weighted"))


@sum_rule(
    components=weighted_components,
    finish=weighted_scores,
    facts=("class_counts",),
    enrolment=CLASS_TOTALS,
    formula=r"\sum_k w_k(c)\, p_k(c), \quad w_k(c) = n_{kc} / \sum_j n_{jc}",
    source="class-conscious weighted average (Kuncheva 2004), weighted by shares of training samples",
)
def class_competence(view: LocalView, *, max_claim: MaxClaim = 1e6) -> Summand:
    """Each class is judged by those who know it: a party weighs in a class by its share of that class's samples.

    The weighted sums of a query need not add up to one; the scores are scaled so that they do, which changes no
    label. A class of which only absent parties hold samples scores 0 where those present share the weight.
    """
    weight = _competence(view, max_claim)
    summand = {"weighted": weight * view.probabilities}
    return summand | {"weight": weight} if view.on_absence == "renormalise" else summand


def log_sensitivity(n_classes: int, power: int) -> float:
    """How far a row of log p, clipped at :data:`FLOOR`, moves when the answer is replaced, in the L1 or L2 norm.

    Entries are f(p) = max(log p, FLOOR) - FLOOR >= 0. Two rows differ most when one is uniform on half of the classes
    and at the floor elsewhere, and the other the reverse: with f(1/a) = -FLOOR - log a, a f(1/a)^q + b f(1/b)^q,
    a + b = C, is concave in a, so its maximum is at a = b = C/2 while that still increases.
    """
    half = min(n_classes / 2, math.exp(-FLOOR - power))
    return float((2.0 * half * (-FLOOR - math.log(max(half, 1.0))) ** power) ** (1.0 / power))


def _log_components(n_classes: int, on_absence: OnAbsence) -> Mapping[str, Component]:
    # w <= 1 only shrinks a row
    l1, l2 = log_sensitivity(n_classes, 1), log_sensitivity(n_classes, 2)
    return with_weight({"weighted_log": Component("query_class", 0.0, -FLOOR, l1=l1, l2=l2)}, n_classes, on_absence)


def _log_pool_scores(sums: Mapping[str, NDArray[Any]]) -> Scores:
    return softmax(renormalised(sums, "weighted_log"))


@sum_rule(
    components=_log_components,
    finish=_log_pool_scores,
    facts=("class_counts",),
    enrolment=CLASS_TOTALS,
    formula=r"\mathrm{softmax}\!\left(\sum_k w_k(c)\, \mathrm{clip}(\log p_k(c), -12, 0)\right), \quad "
    r"w_k(c) = n_{kc} / \sum_j n_{jc}",
    source="logarithmic pool (Genest and Zidek 1986), weighted by shares of training samples",
)
def log_pool_competence(view: LocalView, *, max_claim: MaxClaim = 1e6) -> Summand:
    """As class competence, but pooling logarithms: those who know a class can veto it.

    What is summed is w (log p + 12), not w log p: the same after the softmax where the weights of a class sum to one,
    and weight that is missing (an absent party's, or a class that nobody holds) counts as the floor, not as certainty.
    """
    weight = _competence(view, max_claim)
    above_floor = np.clip(log_softmax(view.logits), FLOOR, 0.0) - FLOOR
    summand = {"weighted_log": weight * above_floor}
    return summand | {"weight": weight} if view.on_absence == "renormalise" else summand
