"""Membership inference: whether a sample was among those that the target was trained on.

``confidence_attack``: Yeom et al., CSF 2018, arXiv:1709.01604; Salem et al., NDSS 2019, arXiv:1806.01246; the entropy
that minds the true label: Song and Mittal, USENIX Security 2021, arXiv:2003.10595. ``quantile_attack``: Bertran et al.,
NeurIPS 2023, arXiv:2307.03694.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Queries, entropy
from fi_workbench.core.options import Between, OneOf
from fi_workbench.core.randomness import derive_seed
from fi_workbench.privacy.meters.contract import Measured, OnStep, leakage_meter
from fi_workbench.privacy.meters.separation import by_chance, separation
from fi_workbench.privacy.meters.sight import Sample, Sight
from fi_workbench.privacy.meters.students import Scaling

LEAST = 1e-6
"""Confidences are kept this far from 0 and 1, where their logit ends."""

_LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

_N_DIRECTIONS = 16


def logit_confidence(sample: Sample) -> NDArray[np.float64]:
    """log(p / (1 - p)) of what was seen for the true label, (query,): nearly normal, where p itself is not."""
    p = np.clip(sample.confidence, LEAST, 1 - LEAST)
    return np.asarray(np.log(p) - np.log1p(-p))


@leakage_meter(needs=("members", "non_members"), chance=by_chance)
def confidence_attack(
    sight: Sight,
    seed: int,
    on_step: OnStep,
    *,
    statistic: Annotated[
        str, OneOf("confidence", "entropy", "modified_entropy"), "What should be high for members."
    ] = "confidence",
) -> Measured:
    """Membership by confidence.

    Models are surer of what they were trained on: the surer the answer that is seen, the likelier a member. It costs
    the attacker nothing but the question.
    """
    on_step("how sure of the true label", 0.0)
    members, non_members = sight.sample("members"), sight.sample("non_members")
    return separation(_sureness(members, statistic), _sureness(non_members, statistic), seed)


@leakage_meter(needs=("members", "non_members", "reference"), chance=by_chance)
def quantile_attack(
    sight: Sight,
    seed: int,
    on_step: OnStep,
    *,
    n_trees: Annotated[int, Between(5, 200), "Trees of each quantile's regression."] = 30,
) -> Measured:
    """Membership by quantile regression.

    On samples of its own, which are no members, the attacker learns how sure the answer to such a query would be: its
    quantiles, from the query and its true label. Who is surer than that is taken for a member.
    """
    from sklearn.ensemble import GradientBoostingRegressor  # noqa: PLC0415 (scikit-learn takes seconds to import)

    members, non_members = sight.sample("members"), sight.sample("non_members")
    reference = sight.sample("reference")
    features = _Features(reference.queries, members.n_classes)
    known, target = features(reference), logit_confidence(reference)
    asked = np.concatenate([features(members), features(non_members)])
    quantiles = np.empty((len(_LEVELS), len(asked)))
    for place, level in enumerate(_LEVELS):
        on_step(f"quantile {level:g} of non-members", place / len(_LEVELS))
        model = GradientBoostingRegressor(
            loss="quantile", alpha=level, n_estimators=n_trees, max_depth=3, min_samples_leaf=5,
            random_state=derive_seed(seed, "quantile", level) % 2**32,
        )  # fmt: skip
        quantiles[place] = model.fit(known, target).predict(asked)
    seen = np.concatenate([logit_confidence(members), logit_confidence(non_members)])
    level_of = _level(np.sort(quantiles, axis=0), seen)
    return separation(level_of[: len(members)], level_of[len(members) :], seed)


def _sureness(sample: Sample, statistic: str) -> NDArray[np.float64]:
    if statistic == "confidence":
        return sample.confidence
    p = np.clip(sample.scores, LEAST, 1 - LEAST)
    if statistic == "entropy":
        return -entropy(p).astype(np.float64)
    # high where the true label has all, and low where a wrong one has
    wrong = np.log1p(-p) * p
    rows = np.arange(len(sample))
    own = sample.labels
    return np.asarray((1 - p[rows, own]) * np.log(p[rows, own]) + wrong.sum(axis=1) - wrong[rows, own])


class _Features:
    """What the attacker knows of a query before it asks: its main directions, and its true label."""

    def __init__(self, queries: Queries, n_classes: int) -> None:
        self._scaling, self._n_classes = Scaling.of(queries), n_classes
        _, _, directions = np.linalg.svd(self._scaling(queries), full_matrices=False)
        self._directions = directions[:_N_DIRECTIONS].T

    def __call__(self, sample: Sample) -> NDArray[np.float64]:
        labels = np.eye(self._n_classes)[sample.labels]
        return np.concatenate([self._scaling(sample.queries) @ self._directions, labels], axis=1)


def _level(quantiles: NDArray[np.float64], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """At which level of its own quantiles each value lies, (query,), straight between them and on beyond the ends."""
    levels = np.array(_LEVELS)
    place = np.clip((quantiles <= seen).sum(axis=0), 1, len(levels) - 1)
    rows = np.arange(len(seen))
    below, above = quantiles[place - 1, rows], quantiles[place, rows]
    # beyond the ends, by the whole width: two outermost quantiles may nearly touch
    width = np.maximum(quantiles[-1] - quantiles[0], 1e-3)
    inside = (seen >= quantiles[0]) & (seen <= quantiles[-1])
    share = np.clip((seen - below) / np.maximum(above - below, 1e-9), 0, 1)
    within = levels[place - 1] + share * (levels[place] - levels[place - 1])
    beyond = np.where(seen > quantiles[-1], levels[-1] + (seen - quantiles[-1]) / width, levels[0])
    beyond = np.where(seen < quantiles[0], levels[0] + (seen - quantiles[0]) / width, beyond)
    return np.asarray(np.where(inside, within, beyond))
