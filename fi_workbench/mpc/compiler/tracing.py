"""From a torch module to its graph: symbolic tracing, and the shapes of what flows."""

from __future__ import annotations

import copy
import threading
from typing import Any

import torch
from torch import fx, nn

from fi_workbench.mpc.compiler.functions import call_function, call_method
from fi_workbench.mpc.compiler.graph import Graph, Shape
from fi_workbench.mpc.compiler.layers import call_layer
from fi_workbench.mpc.compiler.refusing import SUPPORTED, NotSupported
from fi_workbench.mpc.compiler.tracked import Tracked, Trail

_ROOT = "model"


class _Whole(nn.Module):
    """One argument in, whatever the model's forward takes beside it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, query: torch.Tensor) -> Any:
        return self.model(query)


_one_at_a_time = threading.Lock()
"""Tracing replaces ``nn.Module.__call__`` for the whole process while it lasts."""


class _Tracer(fx.Tracer):
    """Notes in which submodule each step is, and in which tracing failed; leaves other threads' modules alone."""

    failed_in: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """See the base class."""
        if threading.get_ident() != self._thread:  # a model that answers meanwhile
            return forward(*args, **kwargs)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:
            if self.failed_in is None:
                self.failed_in = self.path_of_module(m)
            raise

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """See the base class."""
        node = super().create_node(*args, **kwargs)
        node.meta["inside"] = self.scope.module_path
        return node


def copy_of(module: nn.Module) -> nn.Module:
    """The module on the CPU, in evaluation mode; the one that was given stays as it is.

    Raises
    ------
    NotSupported
        Not a module, or one that cannot be copied.
    """
    if not isinstance(module, nn.Module):
        raise NotSupported(
            "", type(module).__name__, "is no torch.nn.Module", "a torch module that is trained on its answers"
        )
    try:
        with torch.no_grad():
            copied = copy.deepcopy(module).to("cpu").eval()
            return copied if dtype_of(copied).itemsize >= 4 else copied.float()
    except Exception as error:  # a module may hold anything
        raise NotSupported(
            "", type(module).__name__, f"cannot be copied ({error})", "a module of plain layers"
        ) from error


def dtype_of(module: nn.Module) -> torch.dtype:
    """What a module computes in."""
    floating = (parameter.dtype for parameter in module.parameters() if parameter.is_floating_point())
    return next(floating, torch.float32)


def trace(module: nn.Module, input_shape: Shape) -> Graph:
    """The graph of a module in evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
        From :func:`copy_of`.
    input_shape : tuple of int
        Of one query.

    Raises
    ------
    NotSupported
        Names the layer, and what is nearest to it.
    """
    traced, whole = _traced(module)
    trail = Trail(Graph(input_shape))
    values: dict[fx.Node, Any] = {}
    for node in traced.nodes:
        if node.op == "placeholder":
            values[node] = Tracked(0, input_shape)
            continue
        args = fx.map_arg(node.args, values.__getitem__)
        kwargs = fx.map_arg(node.kwargs, values.__getitem__)
        if node.op == "output":
            trail.graph.output = _output(args[0])
            continue
        values[node] = _value(node, args, kwargs, whole, trail)
    return trail.graph


def _traced(module: nn.Module) -> tuple[fx.Graph, nn.Module]:
    whole, tracer = _Whole(module).eval(), _Tracer()
    try:
        with _one_at_a_time:
            return tracer.trace(whole), whole
    except Exception as error:  # tracing runs the model's own code
        path = _path(tracer.failed_in or "")
        kind = type(module.get_submodule(path)).__name__ if _has(module, path) else type(module).__name__
        reason = "has control flow that depends on the data, or code that cannot be traced"
        raise NotSupported(
            path, kind, f"{reason} ({_first_line(error)})", f"a fixed sequence of {SUPPORTED}"
        ) from error


def _value(node: fx.Node, args: Any, kwargs: Any, whole: nn.Module, trail: Trail) -> Any:
    inside = _path(node.meta.get("inside", ""))
    if node.op == "get_attr":
        return _attribute(whole, str(node.target))
    if node.op == "call_module":
        trail.at(_path(str(node.target)), type(layer := whole.get_submodule(str(node.target))).__name__)
        return call_layer(layer, args, kwargs, trail)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    trail.at(f"{inside}.{node.name}".lstrip("."), name)
    if node.op == "call_method":
        return call_method(name, args, kwargs, trail)
    return call_function(node.target, name, args, kwargs, trail)


def _output(value: Any) -> int:
    if not isinstance(value, Tracked):
        kind = type(value).__name__
        raise NotSupported("", kind, "returns something else than one tensor (query, class)", "return the logits alone")
    return value.node


def _attribute(whole: nn.Module, target: str) -> Any:
    value: Any = whole
    for part in target.split("."):
        value = getattr(value, part)
    return value.detach() if isinstance(value, torch.Tensor) else value


def _path(target: str) -> str:
    return "" if target == _ROOT else target.removeprefix(f"{_ROOT}.")


def _has(module: nn.Module, path: str) -> bool:
    return path in dict(module.named_modules())


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
