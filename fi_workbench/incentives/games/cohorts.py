"""What parties add, from what some cohorts of many like games are worth: a regression, carried on cohort by cohort.

Write v(S) for what cohort S is worth, K parties, and D_i(s) for the mean worth of the cohorts of s parties with party
i less that of those without. The Shapley value is

    phi_i = v(all) / K + (1 / K) * sum_{s=1}^{K-1} D_i(s)

(the stratified form of the mean over orders: J. Castro et al., Computers & Operations Research 82, 2017). Weighted
least squares of v(S) on who is in S, each cohort with the Shapley kernel 1 / [C(K, s) s (K - s)] (S. Lundberg, S.-I.
Lee, NeurIPS 2017), over all sizes, comes to the same. Where only sizes of a set A are to be had, and what hangs on the
size alone is taken out, the normal equations decouple by size, each with the same information, and come to

    phi_i = v(all) / K + (K - 1) / K * mean_{s in A} D_i(s):

the sizes that are not seen are taken to be like those that are. The bias is [sum_{s not in A} mean_{A} D_i - D_i(s)] /
K. It is none in additive games, where D_i is the same at every size, and none in total: the values sum to v(all). Where
a party adds more to a small cohort than to a large one, differences between parties come out too small.

Each cohort's worth is set against that of all in the same round, so that easy and hard rounds compare. In additive
games the solution is exact as soon as the cohorts drawn tell all parties apart; until then the shortest solution is
taken, in which those who are not told apart count alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_CONTROLS = 2
"""Columns before those of the parties: a constant, and the size. They take up what hangs on the size alone."""

_RELATIVE_TOLERANCE = 1e-9
"""Eigenvalues below this share of what they are left of are none: membership is of small whole numbers."""


@dataclass(frozen=True, eq=False)
class CohortRegression:
    """Sums over the cohorts that were valued so far; their size hangs on the parties alone.

    Parameters
    ----------
    n_parties, n_cohorts : int
    products, spread : array (column, column)
        Weighted products of columns (constant, size, one per party, gain), and the same by squared weights over
        precision, for the standard errors.
    weight : float
        Sum of the weights over precisions.
    """

    n_parties: int
    n_cohorts: int
    products: NDArray[np.float64]
    spread: NDArray[np.float64]
    weight: float

    @classmethod
    def empty(cls, n_parties: int) -> CohortRegression:
        """Before the first cohort."""
        n_columns = _CONTROLS + n_parties + 1
        return cls(n_parties, 0, np.zeros((n_columns, n_columns)), np.zeros((n_columns, n_columns)), 0.0)

    def add(
        self, members: Sequence[int], present: Sequence[int], gain: float, n_together: int = 1, precision: float = 1.0
    ) -> CohortRegression:
        """One more cohort; this object stays as it was.

        Parameters
        ----------
        members, present : sequence of int
            Parties in the cohort, and in the round that it belongs to: fewer, and more.
        gain : float
            What the cohort is worth, less what all present are.
        n_together : int
            Cohorts of this size that a round asks: each counts the less, so that every size counts alike.
        precision : float
            Queries that the worth was measured on: its variance is proportional to 1 / precision.
        """
        n_parties, size, of = self.n_parties, len(members), len(present)
        there = np.zeros(n_parties)
        there[list(present)] -= 1.0
        there[list(members)] += 1.0  # -1 for those left out, 0 for members and for the absent
        lacking = there.sum() / n_parties
        row = np.concatenate([[1.0, lacking], there - lacking, [gain]])
        weight = 1.0 / (n_together * size * (of - size))
        outer = np.outer(row, row)
        return replace(
            self,
            n_cohorts=self.n_cohorts + 1,
            products=self.products + precision * weight * outer,
            spread=self.spread + precision * weight**2 * outer,
            weight=self.weight + weight,
        )

    def solved(self) -> Solution:
        """What each party adds, less the mean of all."""
        parties, controls, gain = slice(_CONTROLS, -1), slice(0, _CONTROLS), -1
        sums, n_parties = self.products, self.n_parties
        inverse_of_controls, _ = _inverse(sums[controls, controls], sums[controls, controls])
        slope = sums[parties, controls] @ inverse_of_controls
        inverse, rank = _inverse(sums[parties, parties] - slope @ sums[controls, parties], sums[parties, parties])
        right = sums[parties, gain] - slope @ sums[controls, gain]
        added = inverse @ right
        if rank < n_parties - 1:
            return Solution(added, None, rank)
        left = sums[gain, gain] - sums[gain, controls] @ inverse_of_controls @ sums[controls, gain] - right @ added
        to_parties = inverse @ np.hstack([-slope, np.eye(n_parties)])
        spread = self.spread[:gain, :gain]
        # the inverse of the whole normal matrix, by blocks
        whole = np.vstack(
            [np.hstack([inverse_of_controls, np.zeros((_CONTROLS, n_parties))]) - slope.T @ to_parties, to_parties]
        )
        freedom = self.weight - float(np.sum(whole * spread))
        if freedom <= _RELATIVE_TOLERANCE * self.weight:
            return Solution(added, None, rank)
        variance = max(float(left), 0.0) / freedom
        errors = np.sqrt(
            variance * np.clip(np.einsum("ij,jk,ik->i", to_parties, spread, to_parties, optimize=True), 0.0, None)
        )
        return Solution(added, errors, rank)


@dataclass(frozen=True, eq=False)
class Solution:
    """What a regression over cohorts says.

    Parameters
    ----------
    added : array (party,)
        What each party adds, less the mean of all: they sum to 0.
    standard_errors : array (party,) or None
        None while the cohorts do not tell all parties apart, or leave no freedom to tell how far they are off.
    rank : int
        Of the differences between parties, so many are known; all are one fewer than the parties.
    """

    added: NDArray[np.float64]
    standard_errors: NDArray[np.float64] | None
    rank: int


def _inverse(matrix: NDArray[np.float64], scale: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """The Moore-Penrose inverse of a symmetric matrix that is not negative, and its rank; ``scale`` is its size."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    kept = values > max(_RELATIVE_TOLERANCE * float(np.trace(scale)), np.finfo(float).tiny)
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return np.asarray(inverse), int(kept.sum())
