"""Products in floating point are those of the ring, bit by bit, up to the largest weights that are let in."""

import numpy as np
import pytest

from fi_workbench.mpc import ring
from fi_workbench.mpc.small_matrix import SmallMatrix


def product(matrix, vectors):
    """In Python's own integers."""
    rows = [[sum(int(w) * int(x) for w, x in zip(row, vector, strict=True)) for row in matrix] for vector in vectors]
    return np.array([[value % 2**64 for value in row] for row in rows], np.uint64)


@pytest.mark.parametrize("bits", [48, 64])
@pytest.mark.parametrize("n_queries", [1, 2, 3, 40])
@pytest.mark.parametrize("largest", [1, 2**14, 2**19])
def test_equal_to_plain_integers(bits, n_queries, largest):
    rng = np.random.default_rng(n_queries)
    matrix = rng.integers(-largest, largest + 1, (7, 33))
    vectors = rng.integers(0, 2**64, (n_queries, 33), np.uint64)
    made = SmallMatrix.of(matrix.view(np.uint64), bits)
    low = np.uint64((1 << bits) - 1)
    assert made is not None
    assert np.array_equal(made.times(vectors) & low, product(matrix, vectors) & low)


@pytest.mark.parametrize("n_in", [1, 3, 4, 1023, 1024, 4096])
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sums_that_are_let_in_are_exact(n_in, sign):
    """All weights and all words at their ends; with weights of one bit more, no more is promised, and none is made."""
    bits = next(b for b in range(30, 0, -1) if made_of(sign * (2**b - 1), n_in) is not None)
    matrix = np.full((2, n_in), sign * (2**bits - 1))
    vectors = np.full((2, n_in), 2**64 - 1, np.uint64)
    vectors[1] = 2**22 - 1
    made = SmallMatrix.of(matrix.view(np.uint64), 64)
    assert made is not None
    assert np.array_equal(made.times(vectors), ring.matmul(matrix.view(np.uint64), vectors))
    assert made_of(sign * (2 ** (bits + 1) - 1), n_in) is None


def made_of(weight, n_in):
    return SmallMatrix.of(np.full((1, n_in), weight).view(np.uint64), 64)


def test_masked_weights_are_left_to_integers():
    rng = np.random.default_rng(0)
    assert SmallMatrix.of(rng.integers(0, 2**64, (4, 4), np.uint64), 48) is None
    assert SmallMatrix.of(np.full((2, 2), 2**63, np.uint64), 48) is None
