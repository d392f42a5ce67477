"""From a graph in real numbers to a plan in the ring.

A value of the plan is the real value times a *factor*: a sum pool leaves its divisor to later weights, and a layer may
be scaled down by 2^-shift, which a ReLU carries through, and the next layers up again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fi_workbench.mpc.compiled import LayerWeights
from fi_workbench.mpc.compiler.graph import (
    Convolution,
    Floats,
    Graph,
    Largest,
    Linear,
    Mean,
    Node,
    Query,
    Rectify,
    Reorder,
    Scale,
    Sum,
)
from fi_workbench.mpc.compiler.refusing import NotSupported
from fi_workbench.mpc.plan import (
    FRACTION_BITS,
    Add,
    Conv,
    Dense,
    Lift,
    Maximum,
    Operation,
    Plan,
    Relu,
    Reshape,
    SumPool,
    Truncate,
)
from fi_workbench.mpc.plan_rules import step_of
from fi_workbench.mpc.plan_text import MAX_PATH

MAX_WEIGHT = 2.0**20
MAX_BIAS = 2.0**30


@dataclass(frozen=True)
class Lowered:
    """A plan with its weights, and which node of the graph made each step.

    Parameters
    ----------
    plan : Plan
    weights : tuple of LayerWeights
    nodes : tuple of int
        By step.
    """

    plan: Plan
    weights: tuple[LayerWeights, ...]
    nodes: tuple[int, ...]


@dataclass(frozen=True)
class _Placed:
    """A value of the plan, and how many times the real value it is."""

    value: int
    factor: float


def lower(graph: Graph, input_bound: float, shifts: Mapping[int, int]) -> Lowered:
    """The plan of a graph.

    Parameters
    ----------
    graph : Graph
        Folded.
    input_bound : float
    shifts : mapping of int to int
        By node of a layer: its value is scaled by 2^-shift.

    Raises
    ------
    NotSupported
        Weights that do not fit the ring.
    """
    return _Lowering(graph, input_bound, shifts).run()


class _Lowering:
    def __init__(self, graph: Graph, input_bound: float, shifts: Mapping[int, int]) -> None:
        self.graph, self.shifts = graph, shifts
        self.plan = Plan(graph.nodes[0].shape, (), input_bound)
        self.weights: list[LayerWeights] = []
        self.nodes: list[int] = []
        self.placed: dict[int, _Placed] = {}
        self.again: dict[tuple[int, Operation], int] = {}
        self.at = 0

    def run(self) -> Lowered:
        for number in self.graph.order():
            self.at, node = number, self.graph.nodes[number]
            self.placed[number] = self._place(node, [self.placed[taken] for taken in node.inputs])
        self._finish(self.placed[self.at], self.graph.nodes[self.at])
        return Lowered(self.plan, tuple(self.weights), tuple(self.nodes))

    def _finish(self, last: _Placed, node: Node) -> None:
        if last.factor == 1:
            self._shared(last)
            if last.value == len(self.plan.steps) or self.plan.held(last.value) == "masked":
                return
        identity = Linear(np.eye(node.shape[0]), np.zeros(node.shape[0]))
        self._linear(replace(node, action=identity), identity, last, shift=0)

    def _place(self, node: Node, taken: list[_Placed]) -> _Placed:
        match node.action:
            case Query():
                return _Placed(0, 1.0)
            case Linear():
                return self._linear(node, node.action, taken[0], self.shifts.get(self.at, 0))
            case Convolution():
                return self._convolution(node, node.action, taken[0])
            case Scale():
                return self._scale(node, node.action, taken[0])
            case Rectify():
                return self._step(Relu(), node, self._shared(taken[0]))
            case Largest(kernel, stride, padding, dilation):
                return self._step(Maximum(kernel, stride, padding, dilation), node, self._shared(taken[0]))
            case Mean(kernel, stride, padding, divisor):
                summed = self._step(SumPool(kernel, stride, padding), node, taken[0])
                return replace(summed, factor=taken[0].factor * divisor)
            case Reorder():
                return self._reshape(taken[0], node.shape, node.path)
            case Sum():
                return self._sum(node, taken)

    def _linear(self, node: Node, action: Linear, taken: _Placed, shift: int) -> _Placed:
        taken = self._masked(taken)
        factor = 2.0**-shift
        made = self._step(Dense(action.weight.shape[1], action.weight.shape[0]), node, taken)
        self._weigh(node, action.weight * (factor / taken.factor), action.bias * factor)
        return replace(made, factor=factor)

    def _convolution(self, node: Node, action: Convolution, taken: _Placed) -> _Placed:
        taken = self._masked(taken)
        factor = 2.0 ** -self.shifts.get(self.at, 0)
        n_out, n_in, rows, columns = action.weight.shape
        shape = (n_out, n_in, rows, columns)
        operation = Conv(shape, action.stride, action.padding, action.dilation, action.groups)
        made = self._step(operation, node, taken)
        self._weigh(node, action.weight * (factor / taken.factor), action.bias * factor)
        return replace(made, factor=factor)

    def _scale(self, node: Node, action: Scale, taken: _Placed) -> _Placed:
        """As a convolution of one position and one channel each."""
        n_channels = node.shape[0]
        image = self._reshape(self._masked(taken), (n_channels, *_two(node.shape[1:])), node.path)
        alone = Convolution(action.gain[:, None, None, None], action.shift, (1, 1), (0, 0), (1, 1), n_channels)
        return self._reshape(self._convolution(node, alone, image), node.shape, node.path)

    def _sum(self, node: Node, taken: list[_Placed]) -> _Placed:
        held_shared = [one.factor for one in taken if self.plan.held(one.value) == "shared"]
        target = min(held_shared or [one.factor for one in taken])
        first, second = (self._shared(one, target) for one in taken)
        return self._step(Add(), node, first, second)

    def _masked(self, taken: _Placed) -> _Placed:
        if self.plan.held(taken.value) == "masked":
            return taken
        return self._once(Truncate(), taken)

    def _shared(self, taken: _Placed, factor: float | None = None) -> _Placed:
        factor = factor or taken.factor
        if self.plan.held(taken.value) == "shared":
            if taken.factor == factor:
                return taken
            taken = self._masked(taken)
        times = max(1, round(factor / taken.factor * (1 << FRACTION_BITS)))
        return replace(self._once(Lift(times), taken), factor=factor)

    def _reshape(self, taken: _Placed, shape: tuple[int, ...], path: str) -> _Placed:
        if self.plan.shape_of(taken.value) == shape:
            return taken
        return replace(taken, value=self._append(Reshape(), (taken.value,), path, shape))

    def _once(self, operation: Operation, taken: _Placed) -> _Placed:
        """A step that is not made twice of the same value."""
        key = (taken.value, operation)
        if key not in self.again:
            path = self.graph.nodes[self.at].path if taken.value == 0 else self.plan.steps[taken.value - 1].path
            self.again[key] = self._append(operation, (taken.value,), path)
        return replace(taken, value=self.again[key])

    def _step(self, operation: Operation, node: Node, *taken: _Placed) -> _Placed:
        return replace(taken[0], value=self._append(operation, tuple(one.value for one in taken), node.path))

    def _append(
        self, operation: Operation, inputs: tuple[int, ...], path: str, shape: tuple[int, ...] | None = None
    ) -> int:
        step = step_of(operation, inputs, self.plan, _readable(path), shape)
        self.plan = replace(self.plan, steps=(*self.plan.steps, step))
        self.nodes.append(self.at)
        return len(self.plan.steps)

    def _weigh(self, node: Node, weight: Floats, bias: Floats) -> None:
        for numbers, limit, what in ((weight, MAX_WEIGHT, "weight"), (bias, MAX_BIAS, "bias")):
            largest = float(np.abs(numbers).max(initial=0))
            if not largest < limit:
                raise NotSupported(
                    node.path,
                    node.kind,
                    f"has a {what} of {largest:.3g} (batch norm and pooling folded in); the limit is {limit:.3g}",
                    "weights of usual size: scale the inputs, or leave out channels that are always the same",
                )
        number = len(self.plan.steps) - 1
        self.weights.append(LayerWeights(number, _ring(weight, FRACTION_BITS), _ring(bias, 2 * FRACTION_BITS)))


def _ring(numbers: Floats, fraction_bits: int) -> NDArray[np.uint64]:
    return np.ascontiguousarray(np.round(numbers * 2.0**fraction_bits).astype(np.int64)).view(np.uint64)


def _readable(path: str) -> str:
    """A path as a plan may hold it, whatever the layers are called."""
    plain = path.encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in plain)[-MAX_PATH:]


def _two(sides: tuple[int, ...]) -> tuple[int, int]:
    return (sides[0], math.prod(sides[1:])) if sides else (1, 1)
