"""Layers that may be scaled down together, so that their values stay within the ring's bounds.

max(0, 2^-s y) = 2^-s max(0, y): a layer scaled by 2^-s shows in nothing but the last bits, once the next layers are
scaled up again. Branches that are added without an activation between have one scale. The factor of a
:class:`~fi_workbench.mpc.plan.Lift` beside such a layer tells the others the shift: about how large its weights are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from fi_workbench.mpc.compiled import LayerBound
from fi_workbench.mpc.compiler.graph import Convolution, Graph, Largest, Linear, Mean, Rectify, Reorder, Scale, Sum
from fi_workbench.mpc.compiler.lowering import Lowered

MAX_SHIFT = 6
"""Each shift costs one bit of what a truncation keeps."""


class Scales:
    """Which layers are scaled together, and which cannot be.

    Parameters
    ----------
    graph : Graph
        Folded.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._behind: dict[int, frozenset[int]] = {}
        for number in graph.order():
            self._behind[number] = self._layers(number)
        self._tied = self._ties()
        self._fixed = self._closed(self._behind[graph.output])

    def initial(self) -> dict[int, int]:
        """Shifts that share the divisor of a mean between the layers before and after it.

        Weights are rounded to 16 fractional bits: a divisor of 64 in those after it is six bits lost. Scaled down
        before the sum, what is truncated loses bits instead; with half of them here, the two errors are about equal.
        """
        shifts: dict[int, int] = {}
        for number in self._graph.order():
            action = self._graph.nodes[number].action
            if isinstance(action, Mean) and action.divisor >= 8:
                rectified = self._rectified(self._graph.nodes[number].inputs[0])
                wanted = min(MAX_SHIFT, round(math.log2(action.divisor) / 2))
                self._raise(shifts, rectified, wanted)
        return shifts

    def raised(self, shifts: Mapping[int, int], lowered: Lowered, bad: Iterable[LayerBound]) -> dict[int, int] | None:
        """Shifts that bring values within their limits; None where scaling cannot."""
        changed = dict(shifts)
        for bound in bad:
            layers = self._closed(self._behind[lowered.nodes[bound.step]])
            if not layers or not math.isfinite(bound.bound):
                return None
            needed = math.floor(math.log2(bound.bound / bound.limit)) + 1
            wanted = max(shifts.get(layer, 0) for layer in layers) + needed
            if wanted > MAX_SHIFT or not self._raise(changed, layers, wanted):
                return None
        return changed

    def _raise(self, shifts: dict[int, int], layers: Iterable[int], wanted: int) -> bool:
        group = self._closed(layers)
        if not group or group & self._fixed:
            return False
        for layer in group:
            shifts[layer] = max(wanted, shifts.get(layer, 0))
        return True

    def _rectified(self, number: int) -> frozenset[int]:
        node = self._graph.nodes[number]
        while isinstance(node.action, Reorder | Mean | Largest):
            node = self._graph.nodes[node.inputs[0]]
        return self._behind[node.inputs[0]] if isinstance(node.action, Rectify) else frozenset()

    def _layers(self, number: int) -> frozenset[int]:
        """Layers whose scale the value has, as it meets the next activation."""
        node = self._graph.nodes[number]
        if isinstance(node.action, Linear | Convolution | Scale):
            return frozenset({number})
        if isinstance(node.action, Largest | Mean | Reorder | Sum):
            return frozenset().union(*(self._behind[taken] for taken in node.inputs))
        return frozenset()

    def _ties(self) -> list[frozenset[int]]:
        groups: list[frozenset[int]] = []
        for number in self._graph.order():
            if isinstance(self._graph.nodes[number].action, Sum) and self._behind[number]:
                touching = [group for group in groups if group & self._behind[number]]
                merged = self._behind[number].union(*touching)
                groups = [group for group in groups if group not in touching] + [merged]
        return groups

    def _closed(self, layers: Iterable[int]) -> frozenset[int]:
        chosen = frozenset(layers)
        return chosen.union(*(group for group in self._tied if group & chosen))
