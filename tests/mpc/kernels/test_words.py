"""Words as they are sent: as many bits as are needed come back."""

import numpy as np
import pytest

from fi_workbench.mpc.plan import Add, Conv, Dense, Lift, Maximum, Plan, Relu, Reshape, Step, Truncate
from fi_workbench.mpc.widths import value_bits
from fi_workbench.mpc.words import Field, packed, unpacked


@pytest.mark.parametrize("bits", [1, 8, 16, 32, 48, 64])
@pytest.mark.parametrize("n", [0, 1, 9, 100])
def test_what_is_sent_arrives(bits, n):
    dtype = {1: np.uint8, 8: np.uint8, 32: np.uint32}.get(bits, np.uint64)
    array = np.random.default_rng(n).integers(0, 2 ** min(bits, 8 * np.dtype(dtype).itemsize), n, dtype=dtype)
    field = Field("any", n, bits)
    sent = b"".join(bytes(part) for part in packed(field, array))
    assert len(sent) == field.n_bytes == -(-n * bits // 8)
    assert np.array_equal(unpacked(field, memoryview(sent)), array)


def test_only_the_low_bits_are_sent():
    words = np.array([2**64 - 1, 2**48 + 5, 2**63], np.uint64)
    field = Field("any", 3, 48)
    sent = b"".join(bytes(part) for part in packed(field, words))
    assert unpacked(field, memoryview(sent)).tolist() == [2**48 - 1, 5, 0]


def test_an_array_of_another_size_is_not_sent():
    with pytest.raises(ValueError, match="any has 3 entries, not 2"):
        packed(Field("any", 3, 64), np.zeros(2, np.uint64))


def test_all_bits_are_sent_of_what_reaches_the_output():
    plan = Plan(
        (4,),
        (
            Step(Dense(4, 3), (0,), (3,), "shared"),
            Step(Relu(), (1,), (3,), "masked"),
            Step(Dense(3, 3), (2,), (3,), "shared"),
            Step(Truncate(), (3,), (3,), "masked"),
            Step(Lift(), (2,), (3,), "shared"),
            Step(Lift(), (4,), (3,), "shared"),
            Step(Add(), (5, 6), (3,), "shared"),
        ),
        1.0,
    )
    # the query and the first layer end in a ReLU; the ReLU's value reaches the output beside the truncation
    assert value_bits(plan) == (48, 48, 64, 48, 64, 64, 64, 64)
    straight = Plan((4,), (Step(Dense(4, 3), (0,), (3,), "shared"),), 1.0)
    assert value_bits(straight) == (64, 64)
    pooled = Plan(
        (1, 2, 2),
        (
            Step(Conv((1, 1, 1, 1)), (0,), (1, 2, 2), "shared"),
            Step(Maximum((2, 2), (2, 2)), (1,), (1, 1, 1), "shared"),
            Step(Reshape(), (2,), (1,), "shared"),
        ),
        1.0,
    )
    assert value_bits(pooled) == (64, 64, 64, 64)
