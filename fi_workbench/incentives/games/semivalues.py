"""Exact values of a game from the values of all its coalitions: Shapley, Banzhaf, and interactions of pairs.

Sources: L. Shapley, A value for n-person games, 1953; J. Banzhaf, Weighted voting doesn't work, Rutgers Law Review 19,
1965; M. Grabisch, M. Roubens, An axiomatic approach to the concept of interaction among players in cooperative games,
International Journal of Game Theory 28, 1999, equation 5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidData


def shapley_of_values(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Exact Shapley values from the values of all coalitions.

    phi_k = sum over S without k of |S|! (K - |S| - 1)! / K! (v(S + k) - v(S)).

    Parameters
    ----------
    values : array (2^party,)
        Bit k of the index says whether party k is in the coalition.

    Returns
    -------
    array (party,)
        They sum to v(all) - v(none).

    Raises
    ------
    InvalidData
        The values are not as many as a number of parties has coalitions.
    """
    n_parties = _n_parties(values)
    weights = np.array([1.0 / (n_parties * math.comb(n_parties - 1, size)) for size in range(n_parties)])
    return _gains(values, weights[_sizes(n_parties - 1)])


def banzhaf_of_values(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Exact Banzhaf values from the values of all coalitions, as :func:`shapley_of_values` takes them.

    beta_k = 2^-(K-1) sum over S without k of v(S + k) - v(S): coalitions count alike. They need not sum to v(all).
    """
    n_parties = _n_parties(values)
    return _gains(values, np.full(1 << (n_parties - 1), 0.5 ** (n_parties - 1)))


def interactions_of_values(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Exact Shapley interaction indices of all pairs, from the values that :func:`shapley_of_values` takes.

    I_ij = sum over S without i, j of |S|! (K - |S| - 2)! / (K - 1)! (v(S + i + j) - v(S + i) - v(S + j) + v(S)).

    Returns
    -------
    array (party, party)
        Symmetric, with zeros on the diagonal.
    """
    n_parties = _n_parties(values)
    pairs = np.zeros((n_parties, n_parties))
    if n_parties < 2:
        return pairs
    by_size = np.array([1.0 / ((n_parties - 1) * math.comb(n_parties - 2, size)) for size in range(n_parties - 1)])
    weights = by_size[_sizes(n_parties - 2)]
    for i in range(n_parties):
        halves = values.reshape(-1, 2, 1 << i)  # (parties above i, without or with i, parties below i)
        gains = (halves[:, 1] - halves[:, 0]).reshape(-1)  # the coalitions of the others, i left out of the index
        for j in range(i + 1, n_parties):
            both = gains.reshape(-1, 2, 1 << (j - 1))
            pairs[i, j] = pairs[j, i] = (both[:, 1] - both[:, 0]).reshape(-1) @ weights
    return pairs


def _n_parties(values: NDArray[np.floating[Any]]) -> int:
    n_parties = len(values).bit_length() - 1
    if values.ndim != 1 or n_parties < 1 or len(values) != 1 << n_parties:
        raise InvalidData(f"Values of all coalitions are 2^K numbers for K parties, not of shape {values.shape}.")
    return n_parties


def _sizes(n_parties: int) -> NDArray[np.intp]:
    """How many are in each coalition, (2^party,)."""
    sizes = np.zeros(1, dtype=np.intp)
    for _ in range(n_parties):
        sizes = np.concatenate([sizes, sizes + 1])
    return sizes


def _gains(values: NDArray[np.floating[Any]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each party's gains over the coalitions of the others, weighted: (party,)."""
    found = np.empty(_n_parties(values))
    for k in range(len(found)):
        pairs = values.reshape(-1, 2, 1 << k)  # (parties above k, without or with k, parties below k)
        found[k] = (pairs[:, 1] - pairs[:, 0]).reshape(-1) @ weights
    return found
