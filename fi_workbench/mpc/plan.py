"""The plan of one model's secure evaluation: public, the same at all three roles, without a single weight.

A plan is a list of steps in the order of their evaluation. Each makes one value of earlier ones; value 0 is the query,
value i + 1 what step i made, and the last one is the output. A value is either *masked* (the owner holds v - B, the
evaluator and the dealer know B; 16 fractional bits) or *shared* (owner and evaluator hold additive shares, the dealer
nothing; 32 fractional bits). All is in the ring of integers modulo 2^64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

FRACTION_BITS = 16
"""Of a masked value and of a weight; a shared value has twice as many."""

ROUNDING = 1 << 17
"""What meets a truncation is rounded at random by so much at most, in units of 2^-32."""

RELU_BOUND = 2.0**14 - 2.0**-14
"""A shared value that meets a ReLU or a truncation must be smaller than this, either side of zero: with the rounding,
and one unit of 2^-16 for the carry, it stays below 2^14."""

MAX_BOUND = 2.0**13
"""And one that meets a maximum smaller than this: differences are compared."""

Held = Literal["masked", "shared"]


@dataclass(frozen=True)
class Dense:
    """masked (n_in,) -> shared (n_out,): a matrix of the owner's, and a bias."""

    n_in: int
    n_out: int


@dataclass(frozen=True)
class Conv:
    """masked (channel, height, width) -> shared: a convolution of the owner's, and a bias.

    Parameters
    ----------
    weight_shape : tuple of int
        (out, in / groups, height, width) of the kernel.
    stride, padding, dilation : tuple of int
        (height, width).
    groups : int
    """

    weight_shape: tuple[int, int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True)
class Relu:
    """shared -> masked: max(0, truncated to 16 fractional bits)."""


@dataclass(frozen=True)
class Truncate:
    """shared -> masked: truncated to 16 fractional bits, sign kept."""


@dataclass(frozen=True)
class Maximum:
    """shared (channel, height, width) -> shared: the maximum of each window; padding counts as less than all."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class SumPool:
    """masked -> masked, or shared -> shared: the sum of each window; the divisor is folded into later weights."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Reshape:
    """masked -> masked, or shared -> shared: the same numbers in the shape of the step."""


@dataclass(frozen=True)
class Lift:
    """masked -> shared: times a public whole number, 2^16 for the same real value."""

    factor: int = 1 << FRACTION_BITS


@dataclass(frozen=True)
class Add:
    """Two shared values -> shared: their sum."""


@dataclass(frozen=True)
class Pairs:
    """shared (class,) -> shared (pair,): each class's value minus that of each class after it."""


@dataclass(frozen=True)
class Sign:
    """shared -> shared: 1 where it is not negative, else 0; exact for multiples of 2^-16."""


@dataclass(frozen=True)
class Wins:
    """shared (pair,), 1 where its first class won -> shared (class,): the pairs that a class won, minus all of its."""


Operation: TypeAlias = Dense | Conv | Relu | Truncate | Maximum | SumPool | Reshape | Lift | Add | Pairs | Sign | Wins
"""The last three are not a model's own: :mod:`fi_workbench.mpc.argmax` puts them behind its outputs."""


@dataclass(frozen=True)
class Step:
    """One operation in its place.

    Parameters
    ----------
    operation : Operation
    inputs : tuple of int
        Values that it takes.
    shape : tuple of int
        Of the value that it makes, without the query axis.
    held : {"masked", "shared"}
        How that value is held.
    path : str
        Where it is in the model, for people: ``"layer1.0.conv2"``.
    """

    operation: Operation
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    held: Held
    path: str = ""


@dataclass(frozen=True)
class Plan:
    """How one model is evaluated.

    Parameters
    ----------
    input_shape : tuple of int
        Of one query.
    steps : tuple of Step
        The last one makes the output: shared, (n_outputs,).
    input_bound : float
        No entry of a query may be larger, either side of zero.
    """

    input_shape: tuple[int, ...]
    steps: tuple[Step, ...]
    input_bound: float

    @property
    def n_outputs(self) -> int:
        """Length of the output, for one query."""
        return self.steps[-1].shape[0]

    def shape_of(self, value: int) -> tuple[int, ...]:
        """Shape of a value, without the query axis."""
        return self.input_shape if value == 0 else self.steps[value - 1].shape

    def held(self, value: int) -> Held:
        """How a value is held; the query is masked."""
        return "masked" if value == 0 else self.steps[value - 1].held
