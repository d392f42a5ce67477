"""Each operation, held against the ideal functionality in plain integers: exact, with the carry of the truncation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fi_workbench.mpc.plan import ROUNDING, Add, Lift, Maximum, Plan, Relu, Reshape, Step, SumPool, Truncate
from fi_workbench.mpc.streams import Lot
from fi_workbench.mpc.widths import value_bits
from tests.mpc.roles.trio import Trio, on_words

LARGEST = 2**46 - 2**16 - ROUNDING
LEAST = -(2**46) + ROUNDING
EDGES = [0, 1, -1, 2**16 - 1, 2**16, 2**16 + 1, -(2**16), -(2**16) - 1, -(2**16) + 1, LARGEST, LARGEST - 1, LEAST]


def as_words(integers):
    return np.array(integers, dtype=np.int64).view(np.uint64)


def as_integers(words):
    return np.ascontiguousarray(words).view(np.int64)


def truncated(y, r, rounding):
    """floor((y + the owner's rounding) / 2^16) + carry."""
    y = y + rounding
    low = (y & 0xFFFF) + (r & np.uint64(0xFFFF)).astype(np.int64)
    return (y >> 16) + (low >= 2**16)


def some_values(n_random=300, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [np.array(EDGES), rng.integers(-(2**18), 2**18, n_random), rng.integers(LEAST, LARGEST, n_random)]
    )


def relu_then(n, again):
    """A ReLU or truncation, either straight to the output (64 bits), or with another truncation behind it (48 bits)."""
    steps = (Step(Relu(), (1,), (n,), "masked"),)
    if again:
        steps += (Step(Lift(), (2,), (n,), "shared"), Step(Truncate(), (3,), (n,), "masked"))
    return on_words(*steps, n=n)


class TestReluAndTruncate:
    @pytest.mark.parametrize("again", [False, True], ids=["64 bits", "48 bits"])
    def test_a_relu_is_the_ideal_one(self, again):
        y = some_values()
        plan = relu_then(len(y), again)
        assert value_bits(plan)[2] == (48 if again else 64)
        trio = Trio(plan)
        made = as_integers(trio.words(as_words(y)[None]))[0]
        lot = Lot(1, 0)
        expected = np.maximum(0, truncated(y, trio.dealt(lot, 1, len(y)), trio.rounding(lot, 1)))
        if again:
            expected = truncated(expected << 16, trio.dealt(lot, 3, len(y)), trio.rounding(lot, 3))
        assert np.array_equal(made, expected)
        n_truncated = 2 if again else 1
        assert np.abs(made - np.maximum(0, y) / 2**16).max() <= n_truncated * (ROUNDING / 2**16 + 1)

    def test_a_truncation_keeps_the_sign(self):
        y = some_values()
        trio = Trio(on_words(Step(Truncate(), (1,), (len(y),), "masked"), n=len(y)))
        made = as_integers(trio.words(as_words(y)[None]))[0]
        lot = Lot(1, 0)
        assert np.array_equal(made, truncated(y, trio.dealt(lot, 1, len(y)), trio.rounding(lot, 1)))

    def test_it_is_rounded_at_random_and_right_on_average(self):
        y = np.full(4000, -(2**15))
        trio = Trio(on_words(Step(Truncate(), (1,), (4000,), "masked"), n=4000))
        made = as_integers(trio.words(as_words(y)[None]))[0]
        assert set(made) <= {-3, -2, -1, 0, 1, 2}
        assert {-2, -1, 0, 1} <= set(made)
        assert abs(made.mean() + 0.5) < 0.06
        added = trio.rounding(Lot(1, 0), 1)
        assert np.abs(added).max() <= ROUNDING
        assert abs(added.std() / 2**16 - 4**0.5 / 12**0.5) < 0.05, "the sum of four that are uniform over 2^16"

    @settings(max_examples=8, deadline=None, derandomize=True)
    @given(st.lists(st.integers(LEAST, LARGEST), min_size=1, max_size=40), st.integers(1, 3))
    def test_any_numbers_within_the_bounds(self, numbers, n_queries):
        y = np.array([numbers] * n_queries)
        trio = Trio(relu_then(len(numbers), False))
        made = as_integers(trio.words(as_words(y)))
        lot = Lot(n_queries, 0)
        mask, added = trio.dealt(lot, 1, y.size).reshape(y.shape), trio.rounding(lot, 1).reshape(y.shape)
        assert np.array_equal(made, np.maximum(0, truncated(y, mask, added)))

    def test_beyond_the_bound_it_is_wrong(self):
        """Why the bounds are checked at set-up."""
        y = np.full(64, 2**46)
        made = as_integers(Trio(relu_then(64, False)).words(as_words(y)[None]))
        assert not np.array_equal(made, np.full((1, 64), 2**30))


class TestMaximum:
    @settings(max_examples=10, deadline=None, derandomize=True)
    @given(
        st.tuples(st.integers(1, 3), st.integers(1, 3)),
        st.tuples(st.integers(1, 3), st.integers(1, 2)),
        st.tuples(st.integers(0, 1), st.integers(0, 1)),
        st.tuples(st.integers(1, 2), st.integers(1, 2)),
        st.booleans(),
    )
    def test_of_any_windows(self, kernel, stride, padding, dilation, short):
        padding = (min(padding[0], kernel[0] // 2), min(padding[1], kernel[1] // 2))
        operation = Maximum(kernel, stride, padding, dilation)
        rng = np.random.default_rng(sum(kernel))
        y = np.where(rng.random((2, 2, 7, 6)) < 0.5, rng.integers(-(2**45), 2**45, (2, 2, 7, 6)), 5)
        size = [
            (full + 2 * pad - far * (k - 1) - 1) // step + 1
            for full, k, step, pad, far in zip((7, 6), kernel, stride, padding, dilation, strict=True)
        ]
        n = 2 * size[0] * size[1]
        steps = [
            Step(Lift(1), (0,), (84,), "shared"),
            Step(Reshape(), (1,), (2, 7, 6), "shared"),
            Step(operation, (2,), (2, *size), "shared"),
            Step(Reshape(), (3,), (n,), "shared"),
        ]
        if short:
            steps += [Step(Truncate(), (4,), (n,), "masked"), Step(Lift(1), (5,), (n,), "shared")]
        trio = Trio(Plan((84,), tuple(steps), 1.0))
        made = as_integers(trio.words(as_words(y).reshape(2, 84))).reshape(2, 2, *size)
        expected = np.empty_like(made)
        around = np.pad(y, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2), constant_values=-(2**62))
        for i, j in np.ndindex(*size):
            rows = i * stride[0] + dilation[0] * np.arange(kernel[0])
            columns = j * stride[1] + dilation[1] * np.arange(kernel[1])
            expected[:, :, i, j] = around[:, :, rows[:, None], columns].max(axis=(2, 3))
        if short:
            mask, added = trio.dealt(Lot(2, 0), 4, 2 * n), trio.rounding(Lot(2, 0), 4)
            expected = truncated(expected, mask.reshape(expected.shape), added.reshape(expected.shape))
            assert np.array_equal(made, expected)
        else:
            # of two that differ by less than a unit of 2^-16 either may win
            assert np.abs(made - expected).max() < 2**16
            clear = np.abs(made - expected) > 0
            assert clear.mean() < 0.2


class TestLocalSteps:
    def test_sums_lifts_and_reshapes_are_exact(self):
        rng = np.random.default_rng(0)
        v = rng.integers(-(2**20), 2**20, (3, 2, 4, 4))
        pool = SumPool((2, 2), (2, 2), (1, 1))
        plan = Plan(
            (2, 4, 4),
            (
                Step(pool, (0,), (2, 3, 3), "masked"),
                Step(Lift(), (1,), (2, 3, 3), "shared"),
                Step(Lift(3), (0,), (2, 4, 4), "shared"),
                Step(pool, (3,), (2, 3, 3), "shared"),
                Step(Add(), (2, 4), (2, 3, 3), "shared"),
                Step(Reshape(), (5,), (18,), "shared"),
            ),
            1.0,
        )
        made = as_integers(Trio(plan).words(as_words(v)))
        around = np.pad(v, ((0, 0), (0, 0), (1, 1), (1, 1)))
        sums = sum(around[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1))
        assert np.array_equal(made, ((sums << 16) + 3 * sums).reshape(3, 18))
