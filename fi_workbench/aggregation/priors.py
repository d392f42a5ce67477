"""Rules that reckon with what a party saw in training: its class prior taken out of its answer, or classes it lacks.

Prior correction: M. Saerens et al., Adjusting the outputs of a classifier to new a priori probabilities, Neural
Computation 14(1), 2002. The two-way fit: weighted additive two-way tables, J. W. Tukey, Exploratory Data Analysis,
1977, applied to log-ratios of probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.competence import CLASS_TOTALS, FLOOR, MaxClaim, claimed_counts, log_sensitivity
from fi_workbench.aggregation.facts import MAX_DATA_SIZE, class_counts_of
from fi_workbench.aggregation.normalise import COUNT, as_distribution, one, simplex_component
from fi_workbench.aggregation.rule import Component, LocalView, OnAbsence, Summand, each_rule, sum_rule
from fi_workbench.aggregation.voting import mean_probabilities
from fi_workbench.core.arrays import TINY, Scores, log_softmax, softmax
from fi_workbench.core.options import Between

Smoothing = Annotated[float, Between(0.01, 100, log=True), "Samples added to each class before the prior is taken."]
Power = Annotated[float, Between(0, 1), "A party weighs in a class by its samples of that class to this power."]
Sweeps = Annotated[int, Between(1, 200), "Sweeps of alternating least squares."]


def prior_of(facts: Mapping[str, Any], n_classes: int, smoothing: float) -> NDArray[np.float64]:
    """The party's own smoothed class prior, (class,), above 0.

    Raises
    ------
    InvalidParty
        See :func:`~fi_workbench.aggregation.facts.class_counts_of`.
    """
    counts = class_counts_of(facts, n_classes) + smoothing
    return np.asarray(counts / counts.sum())


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
    prior = prior_of(view.facts, view.values.shape[-1], smoothing).astype(view.probabilities.dtype)
    ratio = view.probabilities / prior
    return {"probabilities": ratio / ratio.sum(axis=-1, keepdims=True), "count": one(ratio)}


def _ratio_components(
    n_classes: int,
    _on_absence: OnAbsence,
    *,
    smoothing: Smoothing = 1.0,
    power: Power = 0.5,
    max_claim: MaxClaim = 1e6,
) -> Mapping[str, Component]:
    rarest = smoothing / (MAX_DATA_SIZE + n_classes * smoothing)
    most = max_claim**power
    # replacing an answer moves the logarithm only; the weights' sensitivity covers a change of the private counts
    return {
        "log_ratio": Component(
            "query_class", FLOOR, -math.log(rarest),
            l1=log_sensitivity(n_classes, 1), l2=log_sensitivity(n_classes, 2),
        ),
        "weight": Component("class", 0.0, most, l1=n_classes * most, l2=math.sqrt(n_classes) * most),
    }  # fmt: skip


def _two_way_scores(parts: Mapping[str, NDArray[Any]], *, n_sweeps: Sweeps = 25) -> Scores:
    weights = parts["weight"]
    known = weights.sum(axis=0) > 0.0
    fitted = two_way_fit(parts["log_ratio"], weights, n_sweeps)
    if not known.any():
        return softmax(fitted)
    return softmax(np.where(known, fitted, -np.inf))


def two_way_fit(ratios: NDArray[Any], weights: NDArray[Any], n_sweeps: int) -> NDArray[np.float64]:
    """S of the weighted least squares fit of s(c) - b_k to each query's log-ratios, (query, class).

    Parameters
    ----------
    ratios : array (party, query, class)
    weights : array (party, class)
        All the same where they are all 0; a class without weight has s = 0.
    n_sweeps : int
        Of alternating least squares.
    """
    if not weights.any():  # nobody holds anything: every party says as much about every class
        weights = np.ones_like(weights)
    totals = weights.sum(axis=0)
    by_class = weights / np.where(totals > 0.0, totals, 1.0)
    by_party = weights / np.maximum(weights.sum(axis=1, keepdims=True), TINY)
    # weights are the same for all queries, so both steps are products with small matrices
    classes = np.einsum("kc,knc->nc", by_class, ratios, optimize=True)
    offsets_due = np.einsum("kc,knc->nk", by_party, ratios, optimize=True)
    fitted = classes
    for _ in range(n_sweeps):
        offsets = fitted @ by_party.T - offsets_due  # (query, party)
        fitted = classes + offsets @ by_class
    return np.asarray(fitted, dtype=np.float64)


@each_rule(
    components=_ratio_components,
    finish=_two_way_scores,
    facts=("class_counts",),
    formula=r"\min_{s,b} \sum_{k,c} n_{kc}^{1/2} (\log p_k(c) - \log \pi_k(c) + b_k - s(c))^2, "
    r"\quad \mathrm{softmax}(s)",
    source="prior correction of Saerens et al. 2002, fitted as a weighted two-way table (Tukey 1977)",
)
def two_way_prior_corrected(
    view: LocalView, *, smoothing: Smoothing = 1.0, power: Power = 0.5, max_claim: MaxClaim = 1e6
) -> Summand:
    """What the parties say of each class beyond their priors, on one scale: a party's level is fitted, not trusted.

    log p - log prior is the log-likelihood of the query under each class, up to a constant of the party and query. A
    party that lacks the right class has that constant wrong; the fit finds it from the classes that it shares with
    others, each weighted by how many samples stand behind it. The coordinator sees these weights, and so the counts, of
    each party. A class that nobody present holds scores 0.
    """
    n_classes = view.values.shape[-1]
    log_prior = np.log(prior_of(view.facts, n_classes, smoothing))
    log_p = np.clip(log_softmax(view.logits), FLOOR, 0.0)
    counts = claimed_counts(view.facts, max_claim, n_classes)
    # 0 ** 0 is 1: with power 0 every class counts the same
    return {"log_ratio": log_p - log_prior.astype(log_p.dtype), "weight": counts**power}


def _cover_components(n_classes: int, _on_absence: OnAbsence) -> Mapping[str, Component]:
    # Masks depend on no answer; their sensitivity covers a change of the private counts.
    mask = Component("class", 0.0, 1.0, l1=float(n_classes), l2=math.sqrt(n_classes))
    return {"covered": simplex_component(), "mask": mask}


def _cover_scores(sums: Mapping[str, NDArray[Any]]) -> Scores:
    return as_distribution(sums["covered"] / np.maximum(sums["mask"], 1.0))


@sum_rule(
    components=_cover_components,
    finish=_cover_scores,
    facts=("class_counts",),
    enrolment=CLASS_TOTALS,
    formula=r"\sum_k m_k(c) p_k(c) \,/ \sum_k m_k(c), \quad m_k(c) = \mathbf{1}[n_{kc} \ge \tau \sum_j n_{jc}]",
    source="class-conscious combination (Kuncheva 2004) with weights of 0 and 1",
)
def coverage(
    view: LocalView,
    *,
    share: Annotated[float, Between(0.0001, 0.5, log=True), "Least share of a class's samples to have a say."] = 0.01,
    max_claim: MaxClaim = 1e6,
) -> Summand:
    """The mean, class by class, over those parties that hold at least 1 % of the samples of that class.

    Unlike shares of samples, a say of 0 or 1 concentrates no trust in one large claim. How many present parties cover
    each class is disclosed under either treatment of absences: without it there is no mean.
    """
    counts = claimed_counts(view.facts, max_claim, view.values.shape[-1])
    totals = np.asarray(view.totals["class_totals"], dtype=np.float64)
    mask = ((counts > 0.0) & (counts >= share * totals)).astype(view.probabilities.dtype)
    return {"covered": mask * view.probabilities, "mask": mask}
