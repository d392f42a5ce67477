"""A model as a graph of what it computes, in real numbers: between the torch module and the plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Shape: TypeAlias = tuple[int, ...]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Query:
    """The input."""


@dataclass(frozen=True, eq=False)
class Linear:
    """(n_in,) -> (n_out,): ``weight`` (n_out, n_in) and ``bias`` (n_out,)."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, eq=False)
class Convolution:
    """(channel, height, width) -> (channel, height, width), as torch's; the padding is zeros."""

    weight: Floats
    bias: Floats
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True, eq=False)
class Scale:
    """Per channel (the first axis): gain * value + shift, both (channel,)."""

    gain: Floats
    shift: Floats


@dataclass(frozen=True)
class Rectify:
    """max(0, value)."""


@dataclass(frozen=True)
class Largest:
    """The maximum of each window."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]


@dataclass(frozen=True)
class Mean:
    """The sum of each window, padded with zeros, over ``divisor``."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    divisor: int


@dataclass(frozen=True)
class Reorder:
    """The same numbers in another shape."""


@dataclass(frozen=True)
class Sum:
    """Of two values of one shape."""


Action: TypeAlias = Query | Linear | Convolution | Scale | Rectify | Largest | Mean | Reorder | Sum


@dataclass(frozen=True, eq=False)
class Node:
    """One action on the values of other nodes.

    Parameters
    ----------
    action : Action
    inputs : tuple of int
        Nodes, by number.
    shape : tuple of int
        Of its value, for one query.
    path : str
        Where it is in the model.
    kind : str
        Of layer, as its author knows it.
    """

    action: Action
    inputs: tuple[int, ...]
    shape: Shape
    path: str = ""
    kind: str = ""


class Graph:
    """Nodes by number, changed in place by the passes; node 0 is the query.

    Parameters
    ----------
    input_shape : tuple of int
    """

    def __init__(self, input_shape: Shape) -> None:
        self.nodes: dict[int, Node] = {0: Node(Query(), (), input_shape, "", "query")}
        self.output = 0

    def add(self, node: Node) -> int:
        """Add a node; its number."""
        number = len(self.nodes)
        self.nodes[number] = node
        return number

    def order(self) -> list[int]:
        """The nodes that the output needs, each after what it takes."""
        ordered: dict[int, None] = {}
        stack = [(self.output, False)]
        while stack:
            number, ready = stack.pop()
            if ready:
                ordered[number] = None
            elif number not in ordered:
                stack.append((number, True))
                stack.extend((taken, False) for taken in reversed(self.nodes[number].inputs))
        return list(ordered)

    def n_uses(self) -> dict[int, int]:
        """How often each node's value is taken, the output once more."""
        counts = dict.fromkeys(self.nodes, 0)
        counts[self.output] += 1
        for taken in self._taken():
            counts[taken] += 1
        return counts

    def _taken(self) -> Iterator[int]:
        for number in self.order():
            yield from self.nodes[number].inputs
