"""Pools of logits: sums that are affine in what a model computes, so that models can be asked without being seen.

Sources: C. Genest, J. Zidek, Combining probability distributions, Statistical Science 1(1), 1986 (logarithmic pool,
here of logits that are not normalised); size weights after B. McMahan et al., AISTATS 2017; weights by shares of the
samples of a class after L. I. Kuncheva, Combining Pattern Classifiers, Wiley 2004.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.competence import (
    CLASS_TOTALS,
    MaxClaim,
    claimed_counts,
    renormalised,
    share_of,
    with_weight,
)
from fi_workbench.aggregation.facts import MAX_DATA_SIZE, data_size_of
from fi_workbench.aggregation.normalise import COUNT, one
from fi_workbench.aggregation.rule import Component, LocalView, OnAbsence, Summand, sum_rule
from fi_workbench.core.affine import Affine, AffineSummand
from fi_workbench.core.arrays import Scores, softmax
from fi_workbench.core.options import Between

Bound = Annotated[float, Between(1, 1000, log=True), "Logits of each row, centred, are clipped to this either side."]
MaxSize = Annotated[float, Between(1, MAX_DATA_SIZE, log=True), "The largest data set that a party may claim."]


def _centred(view: LocalView, bound: float) -> NDArray[np.float64]:
    # in float64, in which the sum of the largest float32 logits is still finite
    logits = view.logits
    return np.asarray(np.clip(logits - logits.mean(axis=-1, keepdims=True, dtype=np.float64), -bound, bound))


def _centring(n_classes: int, weight: NDArray[np.float64] | float = 1.0) -> Affine:
    """Logits to weighted centred logits, (class,) to (class,)."""
    centring = np.eye(n_classes) - 1.0 / n_classes
    return Affine(np.broadcast_to(weight, (n_classes,))[:, None] * centring, np.zeros(n_classes))


def _rows(n_classes: int, bound: float) -> Component:
    # a row may flip from +bound in some classes and -bound in the others to its negative: every entry moves by 2 bound
    return Component("query_class", -bound, bound, l1=2 * bound * n_classes, l2=2 * bound * math.sqrt(n_classes))


def _mean_components(n_classes: int, _on_absence: OnAbsence, *, bound: Bound = 50.0) -> Mapping[str, Component]:
    return {"logits": _rows(n_classes, bound), "count": COUNT}


def _softmax_of_mean(sums: Mapping[str, NDArray[Any]]) -> Scores:
    return softmax(sums["logits"] / sums["count"])


def _mean_affine(
    _facts: Mapping[str, Any], _totals: Mapping[str, NDArray[Any]], n_classes: int, *, bound: Bound = 50.0
) -> AffineSummand:
    return AffineSummand({"logits": _centring(n_classes)}, bound)


@sum_rule(
    components=_mean_components,
    finish=_softmax_of_mean,
    affine=_mean_affine,
    uses="logits",
    formula=r"\mathrm{softmax}\!\left(\frac{1}{K} \sum_k z_k\right)(c)",
    source="Genest & Zidek 1986, doi:10.1214/ss/1177013825 (logarithmic pool)",
)
def mean_logit(view: LocalView, *, bound: Bound = 50.0) -> Summand:
    """The mean of the parties' logits, then the softmax: a confident no of one party weighs heavily.

    Each row is centred on its mean over the classes, which the softmax does not see, and clipped, so that one party
    can move the sum only so far. log p serves where a model returns probabilities.
    """
    centred = _centred(view, bound)
    return {"logits": centred, "count": one(centred)}


def _size_components(
    n_classes: int, _on_absence: OnAbsence, *, bound: Bound = 50.0, max_size: MaxSize = 1_000_000.0
) -> Mapping[str, Component]:
    # n depends on no answer; its sensitivity covers a change of the private fact itself
    return {
        "weighted": _rows(n_classes, bound * max_size),
        "size": Component("scalar", 0.0, max_size, l1=max_size, l2=max_size),
    }


def _softmax_by_size(sums: Mapping[str, NDArray[Any]]) -> Scores:
    # nobody holding any data makes the scores uniform
    return softmax(sums["weighted"] / np.maximum(sums["size"], 1.0))


def _size_affine(
    facts: Mapping[str, Any],
    _totals: Mapping[str, NDArray[Any]],
    n_classes: int,
    *,
    bound: Bound = 50.0,
    max_size: MaxSize = 1_000_000.0,
) -> AffineSummand:
    size = data_size_of(facts, max_size)
    constant = Affine(np.zeros((1, n_classes)), np.array([size]))
    return AffineSummand({"weighted": _centring(n_classes, size), "size": constant}, bound)


@sum_rule(
    components=_size_components,
    finish=_softmax_by_size,
    affine=_size_affine,
    uses="logits",
    facts=("data_size",),
    formula=r"\mathrm{softmax}\!\left(\sum_k n_k z_k \,/ \sum_k n_k\right)(c)",
    source="weights of McMahan et al. 2017, arXiv:1602.05629, on logits",
)
def size_weighted_logit(view: LocalView, *, bound: Bound = 50.0, max_size: MaxSize = 1_000_000.0) -> Summand:
    """The mean of the parties' logits, in which a party counts by the size of its training data; then the softmax.

    A party that holds more than ``max_size`` samples refuses (:class:`~fi_workbench.core.errors.InvalidParty`): the
    sum's bounds would not hold.
    """
    size = data_size_of(view.facts, max_size)
    return {"weighted": size * _centred(view, bound), "size": np.asarray(size)}


def _class_components(n_classes: int, on_absence: OnAbsence, *, bound: Bound = 50.0) -> Mapping[str, Component]:
    # w <= 1 only shrinks a row
    return with_weight({"weighted": _rows(n_classes, bound)}, n_classes, on_absence)


def _softmax_by_class(sums: Mapping[str, NDArray[Any]]) -> Scores:
    return softmax(renormalised(sums, "weighted"))


def _class_affine(
    facts: Mapping[str, Any],
    totals: Mapping[str, NDArray[Any]],
    n_classes: int,
    *,
    bound: Bound = 50.0,
    max_claim: MaxClaim = 1e6,
) -> AffineSummand:
    # who is absent is hidden wherever this form is used: no weight is sent
    weight = share_of(claimed_counts(facts, max_claim, n_classes), totals["class_totals"])
    return AffineSummand({"weighted": _centring(n_classes, weight)}, bound)


@sum_rule(
    components=_class_components,
    finish=_softmax_by_class,
    affine=_class_affine,
    uses="logits",
    facts=("class_counts",),
    enrolment=CLASS_TOTALS,
    formula=r"\mathrm{softmax}\!\left(\sum_k w_k(c)\, z_k(c)\right), \quad w_k(c) = n_{kc} / \sum_j n_{jc}",
    source="class-conscious weighted average (Kuncheva 2004) of logits, weighted by shares of training samples",
)
def class_weighted_logit(view: LocalView, *, bound: Bound = 50.0, max_claim: MaxClaim = 1e6) -> Summand:
    """Each class is judged by those who know it, on logits: a party weighs in a class by its share of its samples.

    Logits are centred on their mean over the classes, so that 0 says nothing for or against a class: what a class
    scores of which only absent parties hold samples.
    """
    weight = share_of(claimed_counts(view.facts, max_claim, view.values.shape[-1]), view.totals["class_totals"])
    summand = {"weighted": weight * _centred(view, bound)}
    return summand | {"weight": weight} if view.on_absence == "renormalise" else summand
