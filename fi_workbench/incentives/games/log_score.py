"""The log-score game: what a coalition of parties would be worth to someone who acts on its probabilities.

The value v(S) of a coalition is the mean over the queries of log p_S(y) + log C, where p_S is its soft vote, y the true
label, or without labels the label of the soft vote of all. The uniform answer is worth 0, and so is the empty
coalition, which answers nothing. Where accuracy sees only whether a coalition is right, this sees how sure it was.

Source of the score: I. J. Good, Rational decisions, Journal of the Royal Statistical Society B 14(1), 1952.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import TINY, Answers, Labels

BLOCK = 1 << 16
"""Numbers of one working array (512 KiB)."""

FACTORS = 16
"""Probabilities multiplied before a logarithm is taken of the product: 1e-12 to this power does not underflow."""


@dataclass(frozen=True, eq=False)
class LogScoreGame:
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

    @cached_property
    def on_target(self) -> NDArray[np.float64]:
        """What each party gave the target class, (party, query): at least 1e-12, as the logarithm asks."""
        target = self.labels
        if target is None:  # in whole numbers, so that a tie does not depend on the parties' order
            target = np.rint(self.answers.astype(np.float64) * 2.0**40).astype(np.int64).sum(axis=0).argmax(axis=1)
        chosen = self.answers[:, np.arange(len(target)), target].astype(np.float64)
        return np.maximum(chosen, TINY)

    def all_values(self) -> NDArray[np.float64]:
        """Values of all 2^K coalitions, (2^K,); bit k of the index says whether party k is in it."""
        n_coalitions, n_all = 1 << self.n_parties, self.answers.shape[1]
        n_queries = FACTORS * max(1, BLOCK // (FACTORS * n_coalitions))
        logs, sizes = np.zeros(n_coalitions), np.zeros(n_coalitions, dtype=np.intp)
        for k in range(self.n_parties):
            sizes[1 << k : 2 << k] = sizes[: 1 << k] + 1
        sums = np.empty((n_coalitions, n_queries))
        for start in range(0, n_all, n_queries):
            part = self.on_target[:, start : start + n_queries]
            these = sums[:, : part.shape[1]]
            these[0] = 1.0  # of the empty coalition, which is set below
            for k, one in enumerate(part):
                np.add(these[: 1 << k], one, out=these[1 << k : 2 << k])
                these[1 << k] = one
            logs += _log_of_products(these)
        return self._centred(logs, sizes)

    def prefix_values(self, orders: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Values of the coalitions that form when parties join one by one, (order, party).

        Parameters
        ----------
        orders : array (order, party)
            Permutations of the parties; entry [i, j] of the result is the value of ``orders[i, : j + 1]``.
        """
        logs = np.zeros(orders.shape)
        n_queries = FACTORS * max(1, BLOCK // (FACTORS * min(len(orders), 64)))
        for first in range(0, len(orders), 64):
            some = orders[first : first + 64]
            for start in range(0, self.answers.shape[1], n_queries):
                part = self.on_target[:, start : start + n_queries]
                sums = np.zeros((len(some), part.shape[1]))
                for position in range(self.n_parties):
                    sums += part[some[:, position]]
                    logs[first : first + 64, position] += _log_of_products(sums)
        return self._centred(logs, np.arange(1, self.n_parties + 1))

    def values_of(self, members: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Values of some coalitions, (coalition,), of which ``members`` (coalition, party) says who is in."""
        logs, sizes = np.zeros(len(members)), members.sum(axis=1)
        weights = members.astype(np.float64)
        n_queries = FACTORS * max(1, BLOCK // (FACTORS * min(len(members), 1024)))
        for first in range(0, len(members), 1024):
            for start in range(0, self.answers.shape[1], n_queries):
                sums = weights[first : first + 1024] @ self.on_target[:, start : start + n_queries]
                sums[sizes[first : first + 1024] == 0] = 1.0
                logs[first : first + 1024] += _log_of_products(sums)
        return self._centred(logs, sizes)

    def values_without(self) -> tuple[float, NDArray[np.float64]]:
        """Value of the coalition of all, and of all but one, (party,)."""
        rows = np.vstack([np.ones(self.n_parties, dtype=np.bool_), ~np.eye(self.n_parties, dtype=np.bool_)])
        values = self.values_of(rows)
        return float(values[0]), values[1:]

    def _centred(self, logs: NDArray[np.float64], sizes: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Values from the logarithms of sums over members, summed over the queries."""
        mean = logs / self.answers.shape[1] - np.log(np.maximum(sizes, 1)) + np.log(self.answers.shape[2])
        return np.asarray(np.where(sizes == 0, 0.0, mean))


def _log_of_products(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the queries of the logarithms of ``sums`` (coalition, query): (coalition,)."""
    n_whole = sums.shape[1] // FACTORS * FACTORS
    products = sums[:, :n_whole].reshape(len(sums), FACTORS, -1).prod(axis=1)
    rest = sums[:, n_whole:].prod(axis=1)
    return np.asarray(np.log(products).sum(axis=1) + np.log(rest))
