"""How well a score tells members from non-members: ROC, area, true positives at few false ones, advantage.

The figures that count are those at a low false-positive rate (Carlini et al., IEEE S&P 2022, arXiv:2112.03570): an
attack that is sure of a few members harms them, whatever the average. Intervals are percentiles of a bootstrap that
resamples members and non-members apart.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.randomness import generator
from fi_workbench.privacy.meters.contract import Curve, Measured, Reading
from fi_workbench.privacy.meters.intervals import CONFIDENCE, clopper_pearson, difference

FALSE_RATES = (0.01, 0.001)
"""False-positive rates at which the true-positive rate is read."""

N_RESAMPLES = 1000


_CELLS = 4_000_000  # of one block of resamples: 32 MB


def by_chance(_n_classes: int, _prior: NDArray[np.float64] | None) -> tuple[tuple[str, float], ...]:
    """The figures, and what they are without a leak; whatever the classes."""
    return ("AUC", 0.5), *((_rate_figure(rate), rate) for rate in FALSE_RATES), ("advantage", 0.0)


def separation(members: NDArray[np.float64], non_members: NDArray[np.float64], seed: int = 0) -> Measured:
    """How well a score that should be larger for members tells them from non-members.

    Parameters
    ----------
    members, non_members : array (sample,)
        Scores; equal ones cannot be told apart.
    seed : int
        Of the resamples, and of the two halves on which a threshold is chosen and judged.

    Returns
    -------
    Measured
        AUC; true-positive rate at 1 % and at 0.1 % false positives, without randomised thresholds; the advantage
        (TPR - FPR at the threshold that is best on the other half of the samples: choosing and judging on the same
        ones would show an advantage where there is none); the ROC as the curve.
    """
    members, non_members = np.asarray(members, np.float64), np.asarray(non_members, np.float64)
    n_members, n_non_members = len(members), len(non_members)
    n = n_members + n_non_members
    values, places = np.unique(-np.concatenate([members, non_members]), return_inverse=True)
    hits, alarms = (np.bincount(one, minlength=len(values))[None] for one in (places[:n_members], places[n_members:]))
    tpr, fpr = _rates(hits, n_members), _rates(alarms, n_non_members)
    figures = _figures(tpr, fpr)[0]
    low, high = _resampled(places[:n_members], places[n_members:], len(values), seed)

    readings = [Reading("AUC", float(figures[0]), low[0], high[0], n, 0.5)]
    for k, rate in enumerate(FALSE_RATES, start=1):
        # where all or none are found, resamples never differ: the exact interval does not pretend to know
        exact = clopper_pearson(round(figures[k] * n_members), n_members)
        bounds = min(low[k], exact[0]), max(high[k], exact[1])
        readings.append(
            Reading(_rate_figure(rate), float(figures[k]), *bounds, n, rate, _resolution(rate, n_non_members))
        )
    readings.append(_advantage(members, non_members, seed))
    nothing = np.full(tpr.shape[1], np.nan)
    return Measured(
        tuple(readings), Curve("false-positive rate", "true-positive rate", fpr[0], tpr[0], nothing, nothing)
    )


def _rate_figure(rate: float) -> str:
    return f"TPR at {100 * rate:g} % FPR"


def _rates(counts: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Share of ``n`` at or above each threshold, from the highest down, (resample, 1 + threshold); none at first."""
    return np.asarray(np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts, axis=1) / n], axis=1))


def _figures(tpr: NDArray[np.float64], fpr: NDArray[np.float64]) -> NDArray[np.float64]:
    """AUC, then the true-positive rate at each of :data:`FALSE_RATES`, (resample, figure)."""
    area = np.minimum((np.diff(fpr, axis=1) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(axis=1), 1.0)  # but for rounding
    last = [(fpr <= rate + 1e-9).sum(axis=1) - 1 for rate in FALSE_RATES]  # 1 of 1,000 is not more than 0.001
    rows = np.arange(len(tpr))
    return np.stack([area, *(tpr[rows, place] for place in last)], axis=1)


def _resampled(
    members: NDArray[np.intp], non_members: NDArray[np.intp], n_values: int, seed: int
) -> tuple[list[float], list[float]]:
    rng = generator(seed, "bootstrap")
    block = max(1, _CELLS // n_values)
    found = []
    for start in range(0, N_RESAMPLES, block):
        size = min(block, N_RESAMPLES - start)
        found.append(_figures(*(_drawn(places, n_values, size, rng) for places in (members, non_members))))
    low, high = np.quantile(np.concatenate(found), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return low.tolist(), high.tolist()


def _drawn(places: NDArray[np.intp], n_values: int, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Rates of ``size`` resamples, (resample, 1 + threshold)."""
    n = len(places)
    drawn = places[rng.integers(n, size=(size, n))] + n_values * np.arange(size)[:, None]
    return _rates(np.bincount(drawn.ravel(), minlength=size * n_values).reshape(size, n_values), n)


def _resolution(rate: float, n_non_members: int) -> str:
    needed = math.ceil(1 / rate)
    if n_non_members >= needed:
        n_allowed = math.floor(rate * n_non_members + 1e-9)
        return f"{n_non_members} non-members: {n_allowed} false alarm{'' if n_allowed == 1 else 's'} allowed"
    return f"{n_non_members} non-members allow no false alarm at all; {needed} would resolve {100 * rate:g} %"


def _advantage(members: NDArray[np.float64], non_members: NDArray[np.float64], seed: int) -> Reading:
    rng = generator(seed, "halves")
    halves = [np.array_split(rng.permutation(scores), 2) for scores in (members, non_members)]
    hits = alarms = 0
    for chosen, judged in ((0, 1), (1, 0)):
        threshold = _best_threshold(halves[0][chosen], halves[1][chosen])
        hits += int((halves[0][judged] >= threshold).sum())
        alarms += int((halves[1][judged] >= threshold).sum())
    n = len(members), len(non_members)
    value = hits / n[0] - alarms / n[1]
    note = f"balanced accuracy {100 * (1 + value) / 2:.1f} %, threshold from the other half"
    return Reading("advantage", value, *difference((hits, alarms), n), sum(n), 0.0, note)


def _best_threshold(members: NDArray[np.float64], non_members: NDArray[np.float64]) -> float:
    """The score from which on to say "member" that is right most often, both kinds weighing the same."""
    tried = np.unique(np.concatenate([members, non_members]))
    below = [np.searchsorted(np.sort(scores), tried) / len(scores) for scores in (members, non_members)]
    place = int(np.argmax(below[1] - below[0]))
    return float(tried[max(place - 1, 0)] + tried[place]) / 2  # halfway to the next score: the others have scores too
