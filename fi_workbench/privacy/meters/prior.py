"""``label_distribution``: which classes the target holds, read off the mean of what is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels, Scores
from fi_workbench.core.errors import InvalidData
from fi_workbench.privacy.meters.contract import Measured, OnStep, Reading, leakage_meter
from fi_workbench.privacy.meters.intervals import bootstrap
from fi_workbench.privacy.meters.sight import Sample, Sight


def _by_chance(n_classes: int, prior: NDArray[np.float64] | None) -> tuple[tuple[str, float], ...]:
    uniform = np.full(n_classes, 1 / n_classes)
    return (("distance to the prior", np.nan if prior is None else total_variation(uniform, prior)),)


@leakage_meter(needs=("reference", "prior"), chance=_by_chance)
def label_distribution(sight: Sight, seed: int, on_step: OnStep) -> Measured:
    """Label distribution.

    A model leans towards the classes that it saw most. The attacker takes the mean of what is seen, all true classes
    weighing the same, for the target's class shares; the figure is the total variation distance to the true ones (0 is
    known exactly). The baseline is the distance of a uniform guess: only what is below it was learnt.
    """
    on_step("mean of what is seen", 0.0)
    reference = sight.sample("reference")
    if sight.prior is None or len(sight.prior) != reference.n_classes:
        raise InvalidData("The true class shares of the target are needed, one per class.")
    prior = np.asarray(sight.prior, np.float64) / np.sum(sight.prior)

    def distance(indices: NDArray[np.int64]) -> float:
        return total_variation(guessed_prior(reference.labels[indices], reference.scores[indices]), prior)

    everything = np.arange(len(reference))
    low, high = bootstrap(distance, len(reference), seed)
    baseline = total_variation(np.full(len(prior), 1 / len(prior)), prior)
    value = distance(everything)
    reading = Reading(
        "distance to the prior",
        value,
        min(low, value),
        max(high, value),
        len(reference),
        baseline,
        _note(reference),
        leaks_below=True,
    )
    return Measured((reading,))


def guessed_prior(labels: Labels, scores: Scores) -> NDArray[np.float64]:
    """Class shares (class,) that answers (query, class) to queries of every class suggest.

    >>> guessed_prior(np.array([0, 0, 0, 1]), np.array([[1, 0], [1, 0], [1, 0], [0.5, 0.5]]))
    array([0.75, 0.25])
    """
    positive = np.clip(scores, 0.0, None)
    means = np.stack([positive[labels == label].mean(axis=0) for label in np.unique(labels)]).mean(axis=0)
    total = means.sum()
    return np.asarray(means / total if total > 0 else np.full(len(means), 1 / len(means)))


def total_variation(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    """Half the L1 distance of two distributions (class,)."""
    return float(np.abs(p - q).sum() / 2)


def _note(reference: Sample) -> str:
    asked = len(np.unique(reference.labels))
    return "" if asked == reference.n_classes else f"asked about {asked} of {reference.n_classes} classes only"
