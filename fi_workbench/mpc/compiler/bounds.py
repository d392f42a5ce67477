"""How large each value may get: proved for every query in range, or calibrated on the owner's own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fi_workbench.mpc.compiled import LayerBound
from fi_workbench.mpc.compiler.lowering import Lowered
from fi_workbench.mpc.evaluating import Real, applied
from fi_workbench.mpc.plan import (
    FRACTION_BITS,
    MAX_BOUND,
    RELU_BOUND,
    ROUNDING,
    Conv,
    Dense,
    Maximum,
    Plan,
    Relu,
    Truncate,
)

OUTPUT_BOUND = 2.0**30
"""An output must be smaller, either side of zero."""

MARGIN = 16
"""Times the largest value on a sample, for queries that are not in it."""

_UNIT = 2.0**-FRACTION_BITS
_SLACK = 1 + 2.0**-30
"""Covers the rounding of the interval arithmetic itself."""

_BATCH = 16


class _Interval(Real):
    """A plan on two rows, the lower and the upper end of every entry; all but linear layers keep their order."""

    def linear(
        self, operation: Dense | Conv, value: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        """The layer on the middle of the interval, and the absolute weights on half its width."""
        middle, half = (value[1:] + value[:1]) / 2, (value[1:] - value[:1]) / 2
        centre = applied(operation, middle, weight, bias)
        reach = applied(operation, half, weight.abs(), bias.abs() * (_SLACK - 1)) * _SLACK
        return torch.cat((centre - reach, centre + reach))

    def truncated(self, value: torch.Tensor) -> torch.Tensor:
        """The owner's rounding, and one unit in the last place for the carry, either way."""
        off = ROUNDING / 2.0 ** (2 * FRACTION_BITS) + _UNIT
        return value + torch.tensor([-off, off], dtype=value.dtype).reshape(2, *[1] * (value.ndim - 1))


def limits_of(plan: Plan) -> dict[int, float]:
    """By step whose value has a limit: no entry may be larger, either side of zero."""
    limits = {len(plan.steps) - 1: OUTPUT_BOUND}
    for step in plan.steps:
        if isinstance(step.operation, Relu | Truncate | Maximum):
            limit = MAX_BOUND if isinstance(step.operation, Maximum) else RELU_BOUND
            made_by = step.inputs[0] - 1
            limits[made_by] = min(limit, limits.get(made_by, math.inf))
    return limits


def proved(lowered: Lowered) -> dict[int, float]:
    """By step that has a limit: what no query within the plan's bound exceeds."""
    limits = limits_of(lowered.plan)
    edge = lowered.plan.input_bound + _UNIT / 2
    ends = torch.stack([torch.full(lowered.plan.input_shape, end, dtype=torch.float64) for end in (-edge, edge)])
    values = _Interval(lowered.plan, lowered.weights).values(ends)
    return {number: float(value.abs().max()) for number, value in values if number in limits}


def on_sample(lowered: Lowered, sample: NDArray[np.floating]) -> dict[int, float]:
    """By step that has a limit: the largest value on a sample, with the margin."""
    limits = limits_of(lowered.plan)
    model = Real(lowered.plan, lowered.weights, torch.float32)
    largest = dict.fromkeys(limits, 0.0)
    for start in range(0, len(sample), _BATCH):
        batch = torch.from_numpy(np.asarray(sample[start : start + _BATCH], np.float32))
        for number, value in model.values(batch):
            if number in largest:
                largest[number] = max(largest[number], float(value.abs().max()))
    return {number: MARGIN * value for number, value in largest.items()}


def judged(lowered: Lowered, sample: NDArray[np.floating] | None) -> tuple[LayerBound, ...]:
    """A bound for each step that has a limit, in order.

    What is proved behind a value that is only calibrated counts as calibrated too.
    """
    intervals = proved(lowered)
    limits = limits_of(lowered.plan)
    if sample is None or all(intervals[number] < limits[number] for number in limits):
        return tuple(_bound(lowered.plan, number, intervals[number], limits, proven=True) for number in sorted(limits))
    measured = on_sample(lowered, sample)
    assumed = _behind(lowered.plan, {number for number in limits if not intervals[number] < limits[number]})
    return tuple(
        _bound(
            lowered.plan,
            number,
            measured[number] if number in assumed else intervals[number],
            limits,
            number not in assumed,
        )
        for number in sorted(limits)
    )


def over(bounds: Sequence[LayerBound]) -> list[LayerBound]:
    """Those that are not within their limit."""
    return [bound for bound in bounds if not bound.bound < bound.limit]


def _bound(plan: Plan, number: int, bound: float, limits: dict[int, float], proven: bool) -> LayerBound:
    return LayerBound(number, plan.steps[number].path, bound, limits[number], "proved" if proven else "calibrated")


def _behind(plan: Plan, numbers: set[int]) -> set[int]:
    """Those steps, and all that are computed from them."""
    found = set(numbers)
    for number, step in enumerate(plan.steps):
        if any(value - 1 in found for value in step.inputs):
            found.add(number)
    return found
