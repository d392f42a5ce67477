"""Products of a model's own weights with words: exact, and in floating point.

Weights are small integers, words are uniform over the ring. Cut into pieces that are small enough, words give sums
which a double holds exactly, and the processor's vector instructions are made for doubles: a product of a large matrix
and one vector takes half as long as with 64-bit integers, or less.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_EXACT_BITS = 53
"""All integers up to 2^53 are doubles."""

_MAX_PIECES = 3
_MAX_ENTRIES = 1 << 24
_FEW = 8
"""So many products of the matrix and a vector are faster than one of two matrices."""


class SmallMatrix:
    """(n_out, n_in) small integers, to be multiplied with words modulo 2^bits.

    Parameters
    ----------
    matrix : ndarray of float64
        Integers.
    width : int
        Bits of a piece: a sum of n_in products with pieces stays below 2^53.
    n_pieces : int
    """

    def __init__(self, matrix: NDArray[np.float64], width: int, n_pieces: int) -> None:
        self._matrix, self._width, self._n_pieces = matrix, np.uint64(width), n_pieces

    @classmethod
    def of(cls, words: Words, bits: int) -> Self | None:
        """Of the integers that words stand for, upper half negative; None where integers do better.

        Parameters
        ----------
        words : ndarray of uint64 (n_out, n_in)
        bits : int
            So many low bits of a product are needed.
        """
        signed = words.view(np.int64)
        largest = max(1, int(signed.max(initial=0)), -int(signed.min(initial=0)))
        width = _EXACT_BITS - largest.bit_length() - max(1, words.shape[1]).bit_length()
        if width < 1 or words.size > _MAX_ENTRIES or bits > _MAX_PIECES * width:
            return None
        return cls(signed.astype(np.float64), width, math.ceil(bits / width))

    def times(self, vectors: Words) -> Words:
        """The matrix times each of (query, n_in): (query, n_out), of which the low ``bits`` are right."""
        total = np.zeros((len(vectors), len(self._matrix)), np.uint64)
        for number in range(self._n_pieces):
            shift = np.uint64(number) * self._width
            piece = ((vectors >> shift) & ((np.uint64(1) << self._width) - np.uint64(1))).astype(np.float64)
            total += self._product(piece).astype(np.int64).view(np.uint64) << shift
        return total

    def _product(self, piece: NDArray[np.float64]) -> NDArray[np.float64]:
        if len(piece) * self._n_pieces <= _FEW:
            return np.stack([self._matrix @ row for row in piece])
        return np.asarray(piece @ self._matrix.T)
