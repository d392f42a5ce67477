"""Words, linear layers and windows, held against plain integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fi_workbench.mpc import ring
from fi_workbench.mpc.plan import Conv, Dense, Maximum, SumPool


def words(rng, *shape):
    return rng.integers(0, 2**64, shape, dtype=np.uint64)


def out_size(size, kernel, stride, padding, dilation=1):
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def convolved(operation, weight, values):
    """With Python's integers, modulo 2^64 at the end."""
    n, _, height, width = values.shape
    n_out, n_in, rows, columns = operation.weight_shape
    (down, across), (above, beside) = operation.stride, operation.padding
    (vertical, horizontal), per_group = operation.dilation, operation.weight_shape[0] // operation.groups
    shape = (
        n,
        n_out,
        out_size(height, rows, down, above, vertical),
        out_size(width, columns, across, beside, horizontal),
    )
    made = np.zeros(shape, np.uint64)
    for place in np.ndindex(*shape):
        query, channel, top, left = place
        total = 0
        for i, row, column in np.ndindex(n_in, rows, columns):
            y, x = top * down + row * vertical - above, left * across + column * horizontal - beside
            if 0 <= y < height and 0 <= x < width:
                entry = int(values[query, channel // per_group * n_in + i, y, x])
                total += int(weight[channel, i, row, column]) * entry
        made[place] = total % 2**64
    return made


class TestWords:
    def test_a_number_comes_back_to_half_a_unit(self):
        numbers = np.array([0.0, 1.5, -1.5, 2.0**30, -(2.0**30), 2.0**-16, -(2.0**-17)])
        assert np.abs(ring.decode(ring.encode(numbers)) - numbers).max() <= 2.0**-17

    @pytest.mark.parametrize("bits", [16, 32])
    def test_the_largest_numbers_are_held_and_larger_ones_refused(self, bits):
        limit = 2.0 ** (63 - bits)
        held = np.array([np.nextafter(limit, 0), -np.nextafter(limit, 0)])
        assert ring.decode(ring.encode(held, bits), bits) == pytest.approx(held)
        for number in (limit, -limit, np.inf, np.nan):
            with pytest.raises(ring.OutOfRing, match=str(63 - bits)):
                ring.encode([0.0, number], bits)


class TestLinear:
    @pytest.mark.parametrize("n", [1, 2, 5, 9])
    def test_a_dense_layer_is_that_of_integers(self, n):
        rng = np.random.default_rng(n)
        weight, values = words(rng, 3, 7), words(rng, n, 7)
        products = [[sum(int(w) * int(v) for w, v in zip(row, x, strict=True)) for row in weight] for x in values]
        expected = np.array([[product % 2**64 for product in row] for row in products], np.uint64)
        assert np.array_equal(ring.linear(Dense(7, 3), weight, values), expected)

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(
        st.integers(1, 2),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.integers(1, 2), st.integers(1, 2)),
        st.tuples(st.integers(0, 2), st.integers(0, 1)),
        st.tuples(st.integers(1, 2), st.integers(1, 2)),
        st.integers(1, 2),
        st.integers(0, 999),
    )
    def test_a_convolution_is_that_of_integers(self, n, kernel, stride, padding, dilation, groups, seed):
        rng = np.random.default_rng(seed)
        operation = Conv((2 * groups, 2, *kernel), stride, padding, dilation, groups)
        weight, values = words(rng, *operation.weight_shape), words(rng, n, 2 * groups, 6, 5)
        assert np.array_equal(ring.linear(operation, weight, values), convolved(operation, weight, values))

    def test_what_only_can_be_read_is_taken_too(self):
        weight, values = words(np.random.default_rng(0), 2, 3), words(np.random.default_rng(1), 1, 3)
        expected = ring.matmul(weight, values)
        values.flags.writeable = False
        assert np.array_equal(ring.matmul(weight, values), expected)


class TestWindows:
    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.integers(0, 1), st.integers(0, 1)),
        st.integers(0, 999),
    )
    def test_sums_and_places_of_a_window(self, kernel, stride, padding, seed):
        values = words(np.random.default_rng(seed), 2, 2, 6, 5)
        pool = SumPool(kernel, stride, padding)
        places = ring.windows(Maximum(kernel, stride, padding), values, padding=0)
        assert np.array_equal(ring.sum_pool(pool, values), places.sum(axis=0, dtype=np.uint64))

    def test_the_places_of_a_window_by_hand(self):
        values = np.arange(16, dtype=np.uint64).reshape(1, 1, 4, 4)
        places = ring.windows(Maximum((2, 2), (2, 2), (0, 0), (2, 1)), values, padding=9)
        assert places.reshape(4, -1).T.tolist() == [[0, 1, 8, 9], [2, 3, 10, 11]]
        places = ring.windows(Maximum((2, 2), (3, 3), (1, 1)), values, padding=99)
        assert places.reshape(4, -1).T.tolist() == [[99, 99, 99, 0], [99, 99, 2, 3], [99, 8, 99, 12], [10, 11, 14, 15]]
