"""The ensemble game: what a coalition of parties would be worth if it answered alone.

The value v(S) of a coalition is the accuracy of its soft vote where true labels are known, and where they are not, how
often its soft vote is the label of the soft vote of all. The empty coalition is worth 0: it answers nothing (as in
B. Rozemberczki, R. Sarkar, The Shapley Value of Classifiers in Ensemble Games, CIKM 2021, arXiv:2101.02153).

A coalition wins a query when the target class leads every other class in the sum of its members' probabilities, ties
to the lowest index. Probabilities are rounded to integers of at least 2^-24, so sums do not depend on the order of
summation, ties are exact, and equal parties are worth the same to the last bit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Answers, Labels

BLOCK = 1 << 16
"""Integers of one working array (256 KiB): it stays in the processor's cache, and memory does not grow with queries."""

N_THREADS = min(2, os.cpu_count() or 1)
"""Threads that value all coalitions: numpy lets go of the interpreter meanwhile."""

THREADED_FROM = 1 << 24
"""Comparisons from which threads are worth their start."""


@dataclass(frozen=True, eq=False)
class EnsembleGame:
    """Values of coalitions of parties on one batch.

    Parameters
    ----------
    answers : array (party, query, class)
        Probabilities.
    labels : array (query,), optional
        True labels; without them, the labels of the soft vote of all.
    """

    answers: Answers
    labels: Labels | None = None

    @property
    def n_parties(self) -> int:
        """Players of the game."""
        return len(self.answers)

    def all_values(self) -> NDArray[np.float64]:
        """Values of all 2^K coalitions, (2^K,); bit k of the index says whether party k is in it."""
        n_low = min(self.n_parties, 7)  # coalitions of the first parties are added up once, the others come on top
        n_high = self.n_parties - n_low
        n_rivals, n_all = max(1, self.answers.shape[2] - 1), self.answers.shape[1]
        # as many queries as keep one working array in the cache, and the sums of either half over all rivals in bounds
        n_queries = max(1, min(BLOCK >> n_low, (BLOCK << 6) // (n_rivals << max(n_low, n_high))))

        def won(start: int) -> NDArray[np.int64]:
            lead, base = self._lead(start, start + n_queries)
            low = _all_sums(lead[:n_low])  # (coalition, rival, query)
            low = np.ascontiguousarray(low.transpose(1, 0, 2))
            return np.stack([_wins_over(low, high) for high in _all_sums(lead[n_low:], base)])

        starts = range(0, n_all, n_queries)
        if N_THREADS > 1 and len(starts) > 1 and (n_all * n_rivals) << self.n_parties >= THREADED_FROM:
            with ThreadPoolExecutor(N_THREADS) as threads:
                wins = sum(threads.map(won, starts), np.zeros((1 << n_high, 1 << n_low), dtype=np.int64))
        else:
            wins = sum(map(won, starts), np.zeros((1 << n_high, 1 << n_low), dtype=np.int64))
        wins[0, 0] = 0
        return np.asarray(wins.reshape(-1) / n_all)

    def values_of(self, members: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Values of some coalitions, (coalition,), of which ``members`` (coalition, party) says who is in."""
        n_rivals = max(1, self.answers.shape[2] - 1)
        n_queries = max(16, BLOCK // (n_rivals * min(len(members), 64)))
        n_coalitions = max(1, BLOCK // (n_rivals * min(n_queries, self.answers.shape[1])))
        wins = np.zeros(len(members), dtype=np.int64)
        for lead, base in self._leads(n_queries):
            # whole numbers below 2^53: a product of floats is exact, and is the one that numpy is fast at
            flat = lead.reshape(self.n_parties, -1).astype(np.float64)
            for start in range(0, len(members), n_coalitions):
                some = members[start : start + n_coalitions]
                ahead = (some.astype(np.float64) @ flat).reshape(len(some), *base.shape) + base
                wins[start : start + n_coalitions] += _won(ahead)
        wins[~members.any(axis=1)] = 0
        return np.asarray(wins / self.answers.shape[1])

    def prefix_values(self, orders: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Values of the coalitions that form when parties join one by one, (order, party).

        Parameters
        ----------
        orders : array (order, party)
            Permutations of the parties; entry [i, j] of the result is the value of ``orders[i, : j + 1]``.
        """
        n_rivals = max(1, self.answers.shape[2] - 1)
        n_queries = max(16, BLOCK // (n_rivals * min(len(orders), 64)))
        n_orders = max(1, BLOCK // (n_rivals * min(n_queries, self.answers.shape[1])))
        wins = np.zeros(orders.shape, dtype=np.int64)
        for lead, base in self._leads(n_queries):
            for start in range(0, len(orders), n_orders):
                some = orders[start : start + n_orders]
                ahead = np.tile(base, (len(some), 1, 1))  # (order, rival, query)
                for position in range(self.n_parties):
                    ahead += lead[some[:, position]]
                    wins[start : start + n_orders, position] += _won(ahead)
        return np.asarray(wins / self.answers.shape[1])

    def values_without(self) -> tuple[float, NDArray[np.float64]]:
        """Value of the coalition of all, and of all but one, (party,)."""
        n_rivals = max(1, self.answers.shape[2] - 1)
        n_queries = max(16, BLOCK // (self.n_parties * n_rivals))
        everyone, without = 0, np.zeros(self.n_parties, dtype=np.int64)
        for lead, base in self._leads(n_queries):
            grand = lead.sum(axis=0, dtype=lead.dtype) + base
            everyone += int(_won(grand[None])[0])
            without += _won(grand - lead)
        if self.n_parties == 1:
            without[:] = 0
        n = self.answers.shape[1]
        return everyone / n, without / n

    def _leads(self, n_queries: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Leads and bases of :meth:`_lead`, some queries at a time."""
        for start in range(0, self.answers.shape[1], n_queries):
            yield self._lead(start, start + n_queries)

    def _lead(self, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """By how much each party puts the target class ahead of each rival, for some of the queries.

        Returns
        -------
        lead : integers (party, rival, query)
        base : integers (rival, query)
            -1 for rivals of a lower index, which win ties: a coalition wins where base + sum of leads >= 0 for all.
        """
        # 2^bits times the number of parties must fit: 31 bits with one to spare for the sign of differences
        bits = 30 - (self.n_parties - 1).bit_length()
        dtype: np.dtype[Any] = np.dtype(np.int32)
        if bits < 24:
            bits, dtype = 40, np.dtype(np.int64)
        answers = self.answers[:, start:stop]
        # in float64: 2^30 p of a float32 would lose its last bits to the rounding of the product
        whole = np.rint(answers.astype(np.float64) * 2.0**bits).astype(dtype)  # (party, query, class)
        target = whole.sum(axis=0, dtype=dtype).argmax(axis=1) if self.labels is None else self.labels[start:stop]
        rivals = np.arange(self.answers.shape[2] - 1)
        index = rivals[:, None] + (rivals[:, None] >= target)  # (rival, query): all classes but the target
        queries = np.arange(len(target))
        lead = whole[:, queries, target][:, None, :] - whole[:, queries, index]
        return np.ascontiguousarray(lead), -(index < target).astype(dtype)


def _all_sums(parts: NDArray[Any], base: NDArray[Any] | None = None) -> NDArray[Any]:
    """Sums over every subset of ``parts`` (part, ...), on top of ``base``: (2^part, ...), bit k for part k."""
    sums = np.empty((1 << len(parts), *parts.shape[1:]), dtype=parts.dtype)
    sums[0] = 0 if base is None else base
    for k, part in enumerate(parts):
        np.add(sums[: 1 << k], part, out=sums[1 << k : 2 << k])
    return sums


def _wins_over(low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Queries won by ``low`` (rival, coalition, query) on top of ``high`` (rival, query): (coalition,)."""
    _, n_coalitions, n_queries = low.shape
    lost = np.zeros((n_coalitions, n_queries), dtype=np.bool_)
    behind = np.empty_like(lost)
    for rival_low, rival_needed in zip(low, -high, strict=True):
        np.less(rival_low, rival_needed, out=behind)
        np.logical_or(lost, behind, out=lost)
    return np.asarray(n_queries - np.count_nonzero(lost, axis=1))


def _won(ahead: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Queries won by coalitions that are ``ahead`` (coalition, rival, query) of each rival by so much: (coalition,)."""
    return np.asarray(np.count_nonzero(ahead.min(axis=1, initial=0) == 0, axis=1))
