"""What tracing knows of a value, and the graph that it writes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fi_workbench.mpc.compiler.graph import (
    Action,
    Convolution,
    Floats,
    Graph,
    Largest,
    Linear,
    Mean,
    Node,
    Rectify,
    Reorder,
    Scale,
    Shape,
    Sum,
)
from fi_workbench.mpc.compiler.refusing import NotSupported
from fi_workbench.mpc.plan_rules import windows_along

N_QUERIES = 1009
"""Stands for the number of queries where a model asks for it: a prime that no layer is likely to have as a size."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class Tracked:
    """A value that depends on the query: the node that makes it, and its shape for one query."""

    node: int
    shape: Shape

    def stand_in(self) -> torch.Tensor:
        """A tensor of its shape without memory, (N_QUERIES, *shape)."""
        return torch.empty((N_QUERIES, *self.shape), device="meta")


class Trail:
    """Writes nodes into a graph, and knows which layer they come from.

    Parameters
    ----------
    graph : Graph
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.path, self.kind = "", ""

    def at(self, path: str, kind: str) -> None:
        """The layer that is traced now."""
        self.path, self.kind = path, kind

    def refused(self, reason: str, nearest: str = "") -> NotSupported:
        """The error that names the layer of now."""
        return NotSupported(self.path, self.kind, reason, nearest)

    def linear(self, value: Tracked, weight: torch.Tensor, bias: torch.Tensor | None) -> Tracked:
        """A matrix (n_out, n_in) and a bias, on the last axis of a value that has one."""
        if len(value.shape) != 1:
            raise self.refused(f"is applied to values of shape {value.shape}", "nn.Flatten before it")
        matrix = self.checked(weight)
        if matrix.ndim != 2 or matrix.shape[1] != value.shape[0]:
            raise self.refused(f"takes {matrix.shape[-1]} numbers, and there are {value.shape[0]}", "matching sizes")
        return self.add(Linear(matrix, self._bias(bias, len(matrix))), (len(matrix),), value)

    def convolution(
        self,
        value: Tracked,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Tracked:
        """As torch's."""
        self.check_image(value)
        kernel = self.checked(weight)
        n_out, n_in, *sides = kernel.shape
        if n_in * groups != value.shape[0]:
            raise self.refused(f"takes {n_in * groups} channels, and there are {value.shape[0]}", "matching sizes")
        shape = self._windows(value, (sides[0], sides[1]), stride, padding, dilation)
        action = Convolution(kernel, self._bias(bias, n_out), stride, padding, dilation, groups)
        return self.add(action, (n_out, *shape), value)

    def scale(self, value: Tracked, gain: Floats, shift: Floats) -> Tracked:
        """Per channel, (channel,) each."""
        return self.add(Scale(self._finite(gain), self._finite(shift)), value.shape, value)

    def rectify(self, value: Tracked) -> Tracked:
        """max(0, value)."""
        return self.add(Rectify(), value.shape, value)

    def clipped(self, value: Tracked, ceiling: float) -> Tracked:
        """Between 0 and the ceiling: relu(y) - relu(y - ceiling)."""
        ones = np.ones(value.shape[0])
        above = self.rectify(self.scale(value, ones, -ceiling * ones))
        return self.sum(self.rectify(value), self.scale(above, -ones, 0 * ones))

    def leaky(self, value: Tracked, slope: Floats) -> Tracked:
        """Times a slope where it is below 0, by channel, (channel,): slope y + (1 - slope) relu(y)."""
        rectified = self.rectify(value)
        if not slope.any():
            return rectified
        none = np.zeros(value.shape[0])
        return self.sum(self.scale(rectified, 1 - slope, none), self.scale(value, slope, none))

    def largest(self, value: Tracked, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Tracked:
        """The maximum of each window."""
        self.check_image(value)
        shape = self._windows(value, kernel, stride, padding, dilation)
        return self.add(Largest(kernel, stride, padding, dilation), (value.shape[0], *shape), value)

    def mean(self, value: Tracked, kernel: Pair, stride: Pair, padding: Pair, divisor: int | None = None) -> Tracked:
        """The mean of each window; padding counts as zeros."""
        self.check_image(value)
        divisor = divisor or math.prod(kernel)
        if divisor < 1:
            raise self.refused("divides by less than 1", "the plain mean")
        if kernel == (1, 1) and stride == (1, 1) and divisor == 1 and padding == (0, 0):
            return value
        shape = self._windows(value, kernel, stride, padding, (1, 1))
        return self.add(Mean(kernel, stride, padding, divisor), (value.shape[0], *shape), value)

    def reorder(self, value: Tracked, shape: Shape) -> Tracked:
        """The same numbers in another shape."""
        return value if shape == value.shape else self.add(Reorder(), shape, value)

    def sum(self, value: Tracked, other: Tracked) -> Tracked:
        """Of two values of one shape."""
        if value.shape != other.shape:
            raise self.refused(f"adds values of shapes {value.shape} and {other.shape}", "two values of one shape")
        return self.add(Sum(), value.shape, value, other)

    def add(self, action: Action, shape: Shape, *values: Tracked) -> Tracked:
        """A node of the layer of now."""
        node = Node(action, tuple(value.node for value in values), shape, self.path, self.kind)
        return Tracked(self.graph.add(node), shape)

    def check_image(self, value: Tracked) -> None:
        """Refuse what is not (channel, height, width)."""
        if len(value.shape) != 3:
            raise self.refused(f"is applied to values of shape {value.shape}", "values (channel, height, width)")

    def checked(self, weight: Any) -> Floats:
        """A layer's numbers as an array of float64."""
        if not isinstance(weight, torch.Tensor) or weight.is_complex():
            raise self.refused("has weights that are not fixed real numbers", "weights that do not depend on the query")
        return self._finite(weight.detach().to("cpu", torch.float64).numpy())

    def _bias(self, bias: torch.Tensor | None, n_out: int) -> Floats:
        return np.zeros(n_out) if bias is None else self.checked(bias)

    def _finite(self, numbers: Floats) -> Floats:
        if not np.isfinite(numbers).all():
            raise self.refused("has weights that are NaN or infinite", "weights of a training that did not diverge")
        return numbers

    def _windows(self, value: Tracked, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
        sides = zip(value.shape[1:], kernel, stride, padding, dilation, strict=True)
        rows, columns = (windows_along(*side) for side in sides)
        if min(rows, columns) < 1:
            raise self.refused(f"has a window of {kernel} for values of shape {value.shape}", "a smaller window")
        return rows, columns
