"""Fewer and cheaper nodes with the same value: each pass is exact in real numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fi_workbench.core.affine import Affine
from fi_workbench.mpc.compiler.graph import (
    Convolution,
    Graph,
    Largest,
    Linear,
    Mean,
    Node,
    Rectify,
    Reorder,
    Scale,
    Sum,
)
from fi_workbench.mpc.compiler.refusing import NotSupported


def append(graph: Graph, output: Affine | None) -> None:
    """Put an affine map of the logits behind the last node.

    Raises
    ------
    NotSupported
        The module does not make one vector for each query, or not of the length that the map takes.
    """
    last = graph.nodes[graph.output]
    if len(last.shape) != 1:
        raise NotSupported(
            last.path, last.kind, f"makes {last.shape} for each query", "logits (query, class): nn.Flatten last"
        )
    if output is None:
        return
    matrix = np.asarray(output.matrix, np.float64)
    if matrix.shape[1] != last.shape[0]:
        raise NotSupported(
            last.path,
            last.kind,
            f"makes {last.shape[0]} logits, and the rule is of {matrix.shape[1]} classes",
            "a model of the federation's classes",
        )
    node = Node(
        Linear(matrix, np.asarray(output.offset, np.float64)), (graph.output,), (len(matrix),), "output", "rule"
    )
    graph.output = graph.add(node)


def fold(graph: Graph) -> None:
    """All passes, until none changes anything."""
    while any(change(graph) for change in _PASSES):
        pass


def _skip_idle(graph: Graph) -> bool:
    """Rectify what is not negative anyway."""
    changed = False
    for number in graph.order():
        node = graph.nodes[number]
        for place, taken in enumerate(node.inputs):
            other = graph.nodes[taken]
            if isinstance(other.action, Rectify) and _is_positive(graph, other.inputs[0]):
                inputs = tuple(other.inputs[0] if k == place else value for k, value in enumerate(node.inputs))
                graph.nodes[number] = node = replace(node, inputs=inputs)
                changed = True
    return changed


def _is_positive(graph: Graph, number: int) -> bool:
    node = graph.nodes[number]
    while isinstance(node.action, Largest | Mean | Reorder):
        node = graph.nodes[node.inputs[0]]
    return isinstance(node.action, Rectify)


def _max_before_relu(graph: Graph) -> bool:
    """They commute, and fewer values are rectified after a maximum."""
    n_uses = graph.n_uses()
    for number in graph.order():
        pool = graph.nodes[number]
        if not isinstance(pool.action, Largest):
            continue
        relu = graph.nodes[pool.inputs[0]]
        if isinstance(relu.action, Rectify) and n_uses[pool.inputs[0]] == 1:
            graph.nodes[pool.inputs[0]] = replace(pool, inputs=relu.inputs)
            graph.nodes[number] = replace(relu, inputs=pool.inputs, shape=pool.shape)
            return True
    return False


def _scale_backward(graph: Graph) -> bool:
    """A batch norm into the layer before it; computed twice where its value is used elsewhere, for that is cheaper.

    A step of its own would need a truncation before it.
    """
    for number in graph.order():
        scale = graph.nodes[number]
        if not isinstance(scale.action, Scale):
            continue
        gain, shift = scale.action.gain, scale.action.shift
        before = graph.nodes[scale.inputs[0]]
        match before.action:
            case Linear(weight, bias):
                action = Linear(weight * gain[:, None], bias * gain + shift)
                graph.nodes[number] = replace(before, action=action)
            case Convolution(weight, bias):
                weight, bias = weight * gain[:, None, None, None], bias * gain + shift
                graph.nodes[number] = replace(before, action=replace(before.action, weight=weight, bias=bias))
            case Scale(first, first_shift):
                graph.nodes[number] = replace(before, action=Scale(first * gain, first_shift * gain + shift))
            case _:
                continue
        return True
    return False


def _scale_forward(graph: Graph) -> bool:
    """A gain and a shift into the layer after it, where that does not pad."""
    n_uses = graph.n_uses()
    for number in graph.order():
        layer = graph.nodes[number]
        if not isinstance(layer.action, Linear | Convolution):
            continue
        scale_at = source = layer.inputs[0]
        while isinstance(graph.nodes[scale_at].action, Reorder) and n_uses[scale_at] == 1:
            scale_at = graph.nodes[scale_at].inputs[0]
        scale = graph.nodes[scale_at]
        if not isinstance(scale.action, Scale) or n_uses[scale_at] != 1:
            continue
        gain, shift = scale.action.gain, scale.action.shift
        if isinstance(layer.action, Linear):
            repeat = math.prod(scale.shape[1:])
            gain, shift = np.repeat(gain, repeat), np.repeat(shift, repeat)
            action = Linear(layer.action.weight * gain, layer.action.bias + layer.action.weight @ shift)
            graph.nodes[number] = replace(layer, action=action)
        elif scale_at == source and (layer.action.padding == (0, 0) or not shift.any()):
            graph.nodes[number] = replace(layer, action=_convolution_after(gain, shift, layer.action))
        else:
            continue
        if scale_at == source:
            graph.nodes[number] = replace(graph.nodes[number], inputs=scale.inputs)
        else:
            _bypass(graph, source, scale_at)
        return True
    return False


def _bypass(graph: Graph, source: int, scale_at: int) -> None:
    """Have the last of the reorderings between a scale and a layer take what the scale takes."""
    while graph.nodes[source].inputs[0] != scale_at:
        source = graph.nodes[source].inputs[0]
    graph.nodes[source] = replace(graph.nodes[source], inputs=graph.nodes[scale_at].inputs)


def _convolution_after(gain: np.ndarray, shift: np.ndarray, action: Convolution) -> Convolution:
    n_out, n_in = action.weight.shape[:2]
    by_group = (action.groups, n_in)
    per_output = np.repeat(gain.reshape(by_group), n_out // action.groups, axis=0)  # (n_out, n_in)
    shifts = np.repeat(shift.reshape(by_group), n_out // action.groups, axis=0)
    bias = action.bias + (action.weight.sum(axis=(2, 3)) * shifts).sum(axis=1)
    return replace(action, weight=action.weight * per_output[:, :, None, None], bias=bias)


def _linear_over_sum(graph: Graph) -> bool:
    """W (a + b) = W a + W b, where neither a nor b needs a truncation and their sum would."""
    n_uses = graph.n_uses()
    for number in graph.order():
        layer = graph.nodes[number]
        if not isinstance(layer.action, Linear | Convolution) or n_uses[layer.inputs[0]] != 1:
            continue
        total = graph.nodes[layer.inputs[0]]
        if isinstance(total.action, Sum) and all(_is_rectified(graph, taken) for taken in total.inputs):
            without = replace(layer.action, bias=np.zeros_like(layer.action.bias))
            parts = [
                graph.add(replace(layer, action=action, inputs=(taken,)))
                for action, taken in zip((layer.action, without), total.inputs, strict=True)
            ]
            graph.nodes[number] = replace(total, inputs=tuple(parts), shape=layer.shape)
            return True
    return False


def _is_rectified(graph: Graph, number: int) -> bool:
    """Whether a value is masked as it is, or will be once a scale between is folded into the layer after it."""
    node = graph.nodes[number]
    if isinstance(node.action, Scale) and not node.action.shift.any():
        node = graph.nodes[node.inputs[0]]
    return isinstance(node.action, Rectify)


def _merge_linear(graph: Graph) -> bool:
    """Two matrices without an activation between are one."""
    n_uses = graph.n_uses()
    for number in graph.order():
        after = graph.nodes[number]
        if not isinstance(after.action, Linear) or n_uses[after.inputs[0]] != 1:
            continue
        before = graph.nodes[after.inputs[0]]
        if isinstance(before.action, Linear):
            weight = after.action.weight @ before.action.weight
            bias = after.action.weight @ before.action.bias + after.action.bias
            graph.nodes[number] = replace(before, action=Linear(weight, bias), shape=after.shape)
            return True
    return False


_PASSES = (_skip_idle, _max_before_relu, _scale_backward, _scale_forward, _linear_over_sum, _merge_linear)
