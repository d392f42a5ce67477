"""Plans in the clear: in the ring, as the roles together compute them, and in real numbers.

For tests, for teaching, and for the compiler, which holds both against the model itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from numpy.typing import NDArray

from fi_workbench.mpc.compiled import Compiled, LayerWeights
from fi_workbench.mpc.plan import (
    FRACTION_BITS,
    Add,
    Conv,
    Dense,
    Lift,
    Maximum,
    Pairs,
    Plan,
    Relu,
    Reshape,
    Sign,
    SumPool,
    Truncate,
    Wins,
)
from fi_workbench.mpc.plan_rules import InvalidPlan

SIGN_BIT = 46
"""Of a shared value: what is not below 2^14, either side of zero, has another's sign there."""


def reference(compiled: Compiled, queries: NDArray[Any]) -> NDArray[np.float64]:
    """What secure evaluation of the plan gives, to the last truncation, without masks and roles.

    All is computed in the ring; a truncation rounds down, where the roles round either way at random. A value that is
    out of its bound goes wrong here just as it does there.

    Parameters
    ----------
    compiled : Compiled
    queries : array (query, *input_shape)

    Returns
    -------
    ndarray of float64 (query, n_outputs)
    """
    words = torch.from_numpy(np.round(np.asarray(queries, np.float64) * 2.0**FRACTION_BITS).astype(np.int64))
    for _, value in Ring(compiled.plan, compiled.weights).values(words):
        last = value
    return np.asarray(last.numpy().astype(np.float64) / 2.0 ** (2 * FRACTION_BITS))


def in_the_clear(compiled: Compiled, queries: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """The value of each step in real numbers, (query, *shape), one after another.

    Parameters
    ----------
    compiled : Compiled
    queries : array (query, *input_shape)
    """
    for _, value in Real(compiled.plan, compiled.weights).values(torch.from_numpy(np.asarray(queries, np.float64))):
        yield value.numpy()


class Real:
    """A plan in real numbers: rounded weights, but no truncation and no wrap.

    Parameters
    ----------
    plan : Plan
    weights : tuple of LayerWeights
    dtype : torch.dtype
    """

    def __init__(self, plan: Plan, weights: tuple[LayerWeights, ...], dtype: torch.dtype = torch.float64) -> None:
        self.plan = plan
        self.layers = {layer.step: self._layer(layer, dtype) for layer in weights}
        uses = [(value, number) for number, step in enumerate(plan.steps) for value in step.inputs]
        self._last_use = dict(uses)

    def values(self, queries: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Each step's number and its value (query, *shape), in order; what no later step needs is let go."""
        kept = {0: queries}
        for number, step in enumerate(self.plan.steps):
            taken = [kept[value] for value in step.inputs]
            for value in step.inputs:
                if self._last_use[value] == number:
                    kept.pop(value, None)
            kept[number + 1] = self._take(number, taken).reshape(-1, *step.shape)
            yield number, kept[number + 1]

    def _take(self, number: int, taken: list[torch.Tensor]) -> torch.Tensor:
        value = taken[0]
        match operation := self.plan.steps[number].operation:
            case Dense() | Conv():
                weight, bias = self.layers[number]
                return self.linear(operation, value, weight, bias)
            case Relu():
                return self.truncated(value).clamp(min=0)
            case Truncate():
                return self.truncated(value)
            case Maximum():
                return self.maximum(operation, value)
            case SumPool():
                return _summed(operation, value)
            case Lift(factor):
                return self.lifted(value, factor)
            case Add():
                return value + taken[1]
            case Reshape():
                return value
            case Pairs() | Sign() | Wins():
                raise InvalidPlan("Comparing outputs is no part of a model, and is not evaluated in the clear.")

    def linear(
        self, operation: Dense | Conv, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        """The layer on a value."""
        return applied(operation, value, weight, bias)

    def truncated(self, value: torch.Tensor) -> torch.Tensor:
        """A value of twice the fractional bits, with half of them."""
        return value

    def maximum(self, operation: Maximum, value: torch.Tensor) -> torch.Tensor:
        """The largest of each window."""
        return F.max_pool2d(value, operation.kernel, operation.stride, operation.padding, operation.dilation)

    def lifted(self, value: torch.Tensor, factor: int) -> torch.Tensor:
        """A value times a public factor."""
        return value * (factor / 2.0**FRACTION_BITS)

    def _layer(self, layer: LayerWeights, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        weight, bias = layer.weight.view(np.int64), layer.bias.view(np.int64)
        return (
            torch.from_numpy(weight * 2.0**-FRACTION_BITS).to(dtype),
            torch.from_numpy(bias * 2.0 ** (-2 * FRACTION_BITS)).to(dtype),
        )


class Ring(Real):
    """A plan in the ring of integers modulo 2^64."""

    def truncated(self, value: torch.Tensor) -> torch.Tensor:
        """Rounded down; the sign is what stands at its bit."""
        return _in_window(value) >> FRACTION_BITS

    def maximum(self, operation: Maximum, value: torch.Tensor) -> torch.Tensor:
        """By differences, as the roles compare."""
        (rows, columns), (top, left) = operation.kernel, operation.padding
        lowest = -(1 << (SIGN_BIT - 1))
        padded = F.pad(value, (left, left, top, top), value=lowest)
        shape = self._windows(operation, padded)
        best: torch.Tensor | None = None
        for row in range(rows):
            for column in range(columns):
                other = _strided(padded, operation, shape, row * operation.dilation[0], column * operation.dilation[1])
                best = other if best is None else other + _in_window(best - other).clamp(min=0)
        assert best is not None  # noqa: S101 (for the type checker: a kernel has at least one entry)
        return best

    def lifted(self, value: torch.Tensor, factor: int) -> torch.Tensor:
        """See the base class; the factor has the fractional bits that are added."""
        return value * factor

    def _layer(self, layer: LayerWeights, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(layer.weight.view(np.int64)), torch.from_numpy(layer.bias.view(np.int64))

    @staticmethod
    def _windows(pool: Maximum, padded: torch.Tensor) -> tuple[int, int]:
        rows, columns = (
            (padded.shape[2 + axis] - pool.dilation[axis] * (pool.kernel[axis] - 1) - 1) // pool.stride[axis] + 1
            for axis in (0, 1)
        )
        return rows, columns


def applied(operation: Dense | Conv, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """A linear layer (query, *shape in) -> (query, *shape out), of real numbers or of int64."""
    if isinstance(operation, Dense):
        return value @ weight.T + bias
    made = F.conv2d(
        value,
        weight,
        stride=operation.stride,
        padding=operation.padding,
        dilation=operation.dilation,
        groups=operation.groups,
    )
    return made + bias[:, None, None]


def _in_window(value: torch.Tensor) -> torch.Tensor:
    """The number within 2^46 either side of zero that has the same bits up to the sign's."""
    n_above = 63 - SIGN_BIT
    return (value << n_above) >> n_above


def _strided(
    value: torch.Tensor, pool: Maximum | SumPool, shape: tuple[int, int], row: int, column: int
) -> torch.Tensor:
    (down, across), (n_rows, n_columns) = pool.stride, shape
    return value[
        :, :, row : row + down * (n_rows - 1) + 1 : down, column : column + across * (n_columns - 1) + 1 : across
    ]


def _summed(pool: SumPool, value: torch.Tensor) -> torch.Tensor:
    (rows, columns), (top, left) = pool.kernel, pool.padding
    padded = F.pad(value, (left, left, top, top))
    if pool.kernel == tuple(padded.shape[2:]):
        return padded.sum(dim=(2, 3), keepdim=True)
    n_rows, n_columns = ((padded.shape[2 + axis] - pool.kernel[axis]) // pool.stride[axis] + 1 for axis in (0, 1))
    total = torch.zeros_like(padded[:, :, :n_rows, :n_columns])
    for row in range(rows):
        for column in range(columns):
            total = total + _strided(padded, pool, (n_rows, n_columns), row, column)
    return total
