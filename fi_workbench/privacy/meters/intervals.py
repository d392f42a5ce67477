"""Confidence intervals: of proportions, of their difference, and of figures that are resampled."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from fi_workbench.core.randomness import generator

CONFIDENCE = 0.95
"""Of every interval that a meter gives, unless it says otherwise."""

_Z = 1.959963984540054
"""Standard normal quantile of :data:`CONFIDENCE`, two-sided."""


def clopper_pearson(n_hits: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact interval of a proportion: covers it with at least the confidence asked for, whatever it is.

    >>> low, high = clopper_pearson(0, 100)
    >>> low, round(high, 4)
    (0.0, 0.0362)
    """
    if n <= 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if n_hits == 0 else float(betaincinv(n_hits, n - n_hits + 1, tail))
    high = 1.0 if n_hits == n else float(betaincinv(n_hits + 1, n - n_hits, 1 - tail))
    return low, high


def difference(hits: tuple[int, int], n: tuple[int, int]) -> tuple[float, float]:
    """Interval of the difference of two proportions, by Newcombe 1998 (method 10: Wilson intervals joined).

    Parameters
    ----------
    hits, n : (int, int)
        Of the first and the second; the difference is first minus second.
    """
    (p, low_p, high_p), (q, low_q, high_q) = (_wilson(k, m) for k, m in zip(hits, n, strict=True))
    low = p - q - math.hypot(p - low_p, high_q - q)
    high = p - q + math.hypot(high_p - p, q - low_q)
    return max(-1.0, low), min(1.0, high)


def _wilson(n_hits: int, n: int) -> tuple[float, float, float]:
    share, square = n_hits / n, _Z * _Z / n
    centre = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    return share, max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(
    figure: Callable[[NDArray[np.int64]], float], n: int, seed: int, n_resamples: int = 500
) -> tuple[float, float]:
    """Percentile interval of a figure of ``n`` samples, resampled with replacement.

    Parameters
    ----------
    figure : callable
        ``(indices) -> float``.
    """
    rng = generator(seed, "bootstrap")
    values = [figure(rng.integers(n, size=n)) for _ in range(n_resamples)]
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
