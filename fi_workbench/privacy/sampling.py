"""Privacy noise on the integers, from a cipher's stream: discrete Laplace and Gaussian, and shares that sum to Laplace.

Noise of doubles betrays what it is added to in its lowest bits (I. Mironov, On significance of the least significant
bits for differential privacy, CCS 2012), so all noise here is an integer, for an answer on an integer grid. Rejection
as in C. Canonne, G. Kamath, T. Steinke, The discrete Gaussian for differential privacy, NeurIPS 2020, arXiv:2004.00010,
algorithms 1 to 3; shares of a Laplace after S. Goryczka, L. Xiong, IEEE TDSC 14(5), 2017 (infinite divisibility).

What finite precision costs: every coin is a 53-bit number against exp(-x) in double precision, 0 <= x <= 1; what is
rarer takes several coins. So the odds of any two outcomes of a discrete Laplace or Gaussian within 40 standard
deviations are off by a factor of less than ``1 + 2^-39``, which adds as much to an epsilon. A share of a Laplace comes
from tables and is off by less than 2^-40 in total variation, which adds as much to a delta. How many draws are rejected
shows in time what is drawn, never what it is added to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.keystream import Keystream

Integers = NDArray[np.int64]

MAX_SCALE = 2.0**55
"""Of any noise here, in steps of the grid: what is drawn then stays far below 2^63."""

_DYADS_ABOVE = 7
"""Dyads beyond the scale that are drawn from: the next holds less than e^-128 of the mass."""


def discrete_laplace(stream: Keystream, n: int, scale: int) -> Integers:
    """Integers k with probability proportional to exp(-|k| / scale), (n,).

    Parameters
    ----------
    stream : Keystream
    n : int
    scale : int
        From 1 to 2^55: its share of the sensitivity is the epsilon, exactly.

    Raises
    ------
    ValueError
        A scale out of range.
    """
    scale = int(_within(scale, 1))

    def draw(n_tried: int) -> Integers:
        rest = uniform_below(stream, n_tried, scale)
        rest = rest[stream.uniform(n_tried) < np.exp(-rest / scale)]
        size = rest + scale * _whole(stream, len(rest))
        negative = _signs(stream, len(rest))
        kept = ~(negative & (size == 0))  # or zero would come twice
        return np.asarray(np.where(negative, -size, size)[kept])

    return _until(n, draw)


def discrete_gaussian(stream: Keystream, n: int, stddev: float) -> Integers:
    """Integers k with probability proportional to exp(-k^2 / 2 stddev^2), (n,).

    Their variance is at most stddev^2, and from a stddev of 1 on hardly less: by a share of 1e-6.

    Parameters
    ----------
    stream : Keystream
    n : int
    stddev : float
        Above 0, to 2^55.

    Raises
    ------
    ValueError
        A stddev out of range.
    """
    stddev = _within(stddev, 0)
    scale = min(int(stddev) + 1, int(MAX_SCALE))  # any would do; near the stddev fewest are rejected

    def draw(n_tried: int) -> Integers:
        tried = discrete_laplace(stream, n_tried, scale)
        exponent = 0.5 * (np.abs(tried) / stddev - stddev / scale) ** 2
        whole = np.floor(exponent)
        kept = _whole(stream, n_tried) >= whole
        kept &= stream.uniform(n_tried) < np.exp(whole - exponent)
        return tried[kept]

    return _until(n, draw)


def laplace_share(stream: Keystream, n: int, scale: int, n_shares: int) -> Integers:
    """One of ``n_shares`` independent shares that sum to a discrete Laplace of ``scale``, (n,).

    A discrete Laplace is the difference of two geometric variables, and a geometric one the sum of negative binomial
    ones (so that a share is Polya less Polya), and these are sums of Poisson many logarithmic variables: of which this
    draws them. More shares than ``n_shares`` sum to a Laplace and independent noise on top of it.

    Parameters
    ----------
    stream : Keystream
    n : int
    scale : int
        From 1 to 2^55, of the sum.
    n_shares : int
        At least 1.

    Raises
    ------
    ValueError
        A scale or a number of shares out of range.
    """
    scale = int(_within(scale, 1))
    if n_shares < 1:
        raise ValueError(f"A Laplace in {n_shares} shares cannot be.")
    # P(no summand) of one negative binomial of 1/n_shares is (1 - exp(-1/scale))^(1/n_shares); both signs together
    rate = -2.0 * math.log(-math.expm1(-1.0 / scale)) / n_shares
    n_terms = np.searchsorted(_poisson_table(rate), stream.words(n), side="right")
    where = np.repeat(np.arange(n), n_terms)
    terms = _logarithmic(stream, len(where), scale)
    share = np.zeros(n, dtype=np.int64)
    np.add.at(share, where, np.where(_signs(stream, len(where)), -terms, terms))
    return share


def uniform_below(stream: Keystream, n: int, bound: int) -> Integers:
    """Integers from 0 to ``bound - 1``, each as likely, (n,)."""
    # words at or above the largest multiple of the bound would favour small remainders
    highest = np.uint64(2**64 // bound * bound - 1)

    def draw(n_tried: int) -> Integers:
        words = stream.words(n_tried)
        return np.asarray(words[words <= highest] % np.uint64(bound)).astype(np.int64)

    return _until(n, draw)


def coins(stream: Keystream, n: int, probability: float) -> NDArray[np.bool_]:
    """Independent coins that are true with that probability, to within 2^-53, (n,)."""
    return np.asarray(stream.uniform(n) < probability)


def _logarithmic(stream: Keystream, n: int, scale: int) -> Integers:
    """Integers k >= 1 with probability proportional to exp(-k / scale) / k, (n,): by rejection within dyads.

    Those from 2^j to 2^(j+1) - 1 are proposed with the odds of their first, exp(-2^j / scale) / 2^j each.
    """
    table = _dyad_table(scale)

    def draw(n_tried: int) -> Integers:
        dyad = np.searchsorted(table, stream.words(n_tried), side="right").astype(np.uint64)
        first = np.uint64(1) << dyad
        within = (stream.words(n_tried) & (first - np.uint64(1))).astype(np.int64)
        tried = first.astype(np.int64) + within
        odds = first / tried * np.exp(-within / scale)
        return np.asarray(tried[stream.uniform(n_tried) < odds])

    return _until(n, draw)


@lru_cache(maxsize=64)
def _poisson_table(rate: float) -> NDArray[np.uint64]:
    """Thresholds of a 64-bit word: how many of them it reaches is Poisson of that rate, which is at most 80."""
    chances, chance = [], math.exp(-rate)
    for count in range(1, int(rate + 20.0 * math.sqrt(rate)) + 80):
        chances.append(chance)
        chance *= rate / count
    return _thresholds(chances)


@lru_cache(maxsize=64)
def _dyad_table(scale: int) -> NDArray[np.uint64]:
    odds = [math.exp(-(2.0**dyad) / scale) for dyad in range(scale.bit_length() + _DYADS_ABOVE)]
    return _thresholds([one / math.fsum(odds) for one in odds])


def _thresholds(chances: list[float]) -> NDArray[np.uint64]:
    """Cumulative chances in units of 2^-64; the last outcome takes what rounding leaves."""
    cumulative = [int(math.fsum(chances[: place + 1]) * 2.0**64) for place in range(len(chances) - 1)]
    return np.array([min(one, 2**64 - 1) for one in cumulative], dtype=np.uint64)


def _whole(stream: Keystream, n: int) -> Integers:
    """Integers v >= 0 that are at least v with probability exp(-v), (n,): no cut tail."""
    counts, going = np.zeros(n, dtype=np.int64), np.arange(n)
    while len(going):
        going = going[stream.uniform(len(going)) < math.exp(-1.0)]
        counts[going] += 1
    return counts


def _signs(stream: Keystream, n: int) -> NDArray[np.bool_]:
    return np.asarray(np.frombuffer(stream.bytes(n), np.uint8) & 1, dtype=bool)


def _until(n: int, draw: Callable[[int], Integers]) -> Integers:
    """The first ``n`` of what ``draw(n_tried)`` accepts, again and again."""
    accepted, missing = list[Integers](), n
    while missing > 0:
        accepted.append(draw(int(1.6 * missing) + 8))
        missing -= len(accepted[-1])
    return np.concatenate(accepted)[:n] if accepted else np.zeros(0, dtype=np.int64)


def _within(scale: float, least: float) -> float:
    if not (math.isfinite(scale) and least <= scale <= MAX_SCALE) or scale <= 0:
        raise ValueError(f"Noise of {scale!r} steps of the grid cannot be drawn; {least} to 2^55 can.")
    return float(scale)
