"""Pools of probabilities weighted by what a party can say of itself: how certain it is, how much data it saw.

Sources: C. Genest, J. Zidek, Combining probability distributions, Statistical Science 1(1), 1986 (linear
pools); entropy weights as in FedSEI (arXiv:2603.02214); size weights after B. McMahan et al., AISTATS 2017;
energies after W. Liu et al., Energy-based out-of-distribution detection, NeurIPS 2020.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.facts import MAX_DATA_SIZE, data_size_of
from fi_workbench.aggregation.normalise import as_distribution, simplex_component, weighted_mean
from fi_workbench.aggregation.rule import Component, LocalView, OnAbsence, Summand, sum_rule
from fi_workbench.core.arrays import Scores, entropy
from fi_workbench.core.options import Between

MaxSize = Annotated[float, Between(1, MAX_DATA_SIZE, log=True), "The largest data set that a party may claim."]

Temperature = Annotated[float, Between(0.1, 100, log=True), "Divides the energy: larger makes the weights more even."]
Reach = Annotated[float, Between(1, 30), "Logarithms of weights are clipped to this either side."]


def _entropy_components(n_classes: int, _on_absence: OnAbsence) -> Mapping[str, Component]:
    # 0 <= H <= log C, so 1/C <= w <= 1; rows of w p sum to w <= 1. The absent party's weight is unknown by nature, so
    # the quotient of both sums is all there is under either treatment of absences.
    spread = 1.0 - 1.0 / n_classes
    return {
        "weighted": simplex_component(),
        "weight": Component("query", 1.0 / n_classes, 1.0, l1=spread, l2=spread),
    }


@sum_rule(
    components=_entropy_components,
    finish=weighted_mean,
    formula=r"\sum_k w_k p_k(c) \,/ \sum_k w_k, \quad w_k = e^{-H(p_k)}",
    source="FedSEI, arXiv:2603.02214",
)
def entropy_weighted(view: LocalView) -> Summand:
    """The mean of the parties' probabilities, in which a party counts the more on a query the surer it is of it."""
    p = view.probabilities
    weight = np.exp(-entropy(p))
    return {"weighted": weight[:, None] * p, "weight": weight}


def _size_components(
    _n_classes: int, _on_absence: OnAbsence, *, max_size: MaxSize = 1_000_000.0
) -> Mapping[str, Component]:
    # n depends on no answer; its sensitivity covers a change of the private fact itself
    return {
        "weighted": simplex_component(max_size),
        "size": Component("scalar", 0.0, max_size, l1=max_size, l2=max_size),
    }


def _mean_by_size(sums: Mapping[str, NDArray[Any]]) -> Scores:
    # the rows' sums are the summed sizes; nobody holding any data makes the scores uniform
    return as_distribution(sums["weighted"] / np.maximum(sums["size"], 1.0))


@sum_rule(
    components=_size_components,
    finish=_mean_by_size,
    facts=("data_size",),
    formula=r"\sum_k n_k p_k(c) \,/ \sum_k n_k",
    source="weights of McMahan et al. 2017, arXiv:1602.05629",
)
def size_weighted(view: LocalView, *, max_size: MaxSize = 1_000_000.0) -> Summand:
    """The mean of the parties' probabilities, in which a party counts by the size of its training data.

    A party that holds more than ``max_size`` samples refuses (:class:`~fi_workbench.core.errors.InvalidParty`): the
    sum's bounds would not hold.
    """
    size = data_size_of(view.facts, max_size)
    p = view.probabilities
    return {"weighted": size * p, "size": np.asarray(size, dtype=p.dtype)}


def _energy_components(_n_classes: int, _on_absence: OnAbsence, *, reach: Reach = 20.0) -> Mapping[str, Component]:
    most, least = math.exp(reach), math.exp(-reach)
    return {
        "weighted": simplex_component(most),
        "weight": Component("query", least, most, l1=most - least, l2=most - least),
    }


@sum_rule(
    components=_energy_components,
    finish=weighted_mean,
    uses="raw_logits",
    formula=r"\sum_k w_k p_k(c) \,/ \sum_k w_k, \quad w_k = e^{-E_k / T}, \; -E_k = \log \sum_c e^{z_k(c)}",
    source="energy score of Liu et al. 2020, arXiv:2010.03759",
)
def energy_weighted(view: LocalView, *, temperature: Temperature = 1.0, reach: Reach = 20.0) -> Summand:
    """A party counts the more on a query the larger its logits are: small ones mean a query unlike its training data.

    It uses what the softmax throws away, so every party must return raw logits; those whose logits are larger by
    habit, not by knowledge, are trusted too much. -E / T is clipped to ``reach`` either side.
    """
    highest = view.logits.max(axis=-1)
    energy = highest + np.log(np.exp(view.logits - highest[:, None]).sum(axis=-1))
    # in float64: weights reach from e^-reach to e^reach
    weight = np.exp(np.clip(energy.astype(np.float64) / temperature, -reach, reach))
    return {"weighted": weight[:, None] * view.probabilities, "weight": weight}
