"""Functions and methods that a model's forward calls, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

from fi_workbench.mpc.compiler import pooling
from fi_workbench.mpc.compiler.graph import Floats
from fi_workbench.mpc.compiler.layers import batch_norm, clipped, is_floating, leaky, padding_of
from fi_workbench.mpc.compiler.tracked import Tracked, Trail

_ASKED = ("size", "dim", "numel", "ndimension")
_SHAPED = ("shape", "ndim", "dtype", "device")
_SAME = ("contiguous", "clone", "detach", "float", "double", "to", "cpu", "positive", "pos")
_REORDERED = ("view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten")
_DROPOUTS = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
_NAMES = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div", "truediv": "div", "multiply": "mul"}
_NAMES |= {"divide": "div", "true_divide": "div", "subtract": "sub", "negative": "neg", "clip": "clamp"}


def call_function(target: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], trail: Trail) -> Any:
    """What a function makes of values of the query, constants, or both.

    Raises
    ------
    NotSupported
    """
    if not _has_tracked(args, kwargs):
        return target(*args, **kwargs)
    if target is getattr:
        return _property(args[0], args[1], trail)
    if target is F.max_pool2d:
        name = "max_pool2d"
    if not _is_known(target):
        raise trail.refused("is a function of the model's own, whose inside is hidden", "code that can be traced")
    return _call(name, args, kwargs, trail)


def call_method(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], trail: Trail) -> Any:
    """What a tensor's method makes.

    Raises
    ------
    NotSupported
    """
    if not _has_tracked(args, kwargs):
        return getattr(args[0], name)(*args[1:], **kwargs)
    return _call(name, args, kwargs, trail)


def _call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], trail: Trail) -> Any:
    plain = name.rstrip("_") or name
    plain = _NAMES.get(plain, plain)
    first = args[0] if args else kwargs.get("input")
    rest = {key: value for key, value in kwargs.items() if key != "input"}
    if isinstance(first, Tracked):
        if plain in _SAME:
            return first
        if plain in _ASKED:
            return getattr(first.stand_in(), plain)(*args[1:], **rest)
        if plain in _REORDERED:
            return pooling.reordered(trail, first, lambda tensor: getattr(tensor, plain)(*args[1:], **rest))
    handler = _FUNCTIONS.get(plain)
    if handler is None or (not isinstance(first, Tracked) and plain not in _ARITHMETIC):
        raise trail.refused("is neither linear nor a ReLU, a pooling or an addition")
    try:
        return handler(trail, first, *args[1:], **rest)
    except TypeError as error:
        raise trail.refused(f"is called in a way that is not known ({error})") from error


def _property(value: Any, name: str, trail: Trail) -> Any:
    if name not in _SHAPED:
        raise trail.refused(f"asks for {name!r} of a value that comes from the query", "code that can be traced")
    return getattr(value.stand_in(), name)


def _add(trail: Trail, value: Any, other: Any, *, alpha: float = 1) -> Tracked:
    if alpha != 1:
        raise trail.refused("adds a multiple", "a plain sum, with the factor in a layer's weights")
    if isinstance(value, Tracked) and isinstance(other, Tracked):
        return trail.sum(value, other)
    value, other = (value, other) if isinstance(value, Tracked) else (other, value)
    return trail.scale(value, np.ones(value.shape[0]), _constant(trail, value, other))


def _sub(trail: Trail, value: Any, other: Any) -> Tracked:
    if isinstance(value, Tracked) and isinstance(other, Tracked):
        return trail.sum(value, _neg(trail, other))
    if isinstance(value, Tracked):
        return trail.scale(value, np.ones(value.shape[0]), -_constant(trail, value, other))
    return trail.scale(other, -np.ones(other.shape[0]), _constant(trail, other, value))


def _mul(trail: Trail, value: Any, other: Any) -> Tracked:
    if isinstance(value, Tracked) and isinstance(other, Tracked):
        raise trail.refused("multiplies one value with another")
    value, other = (value, other) if isinstance(value, Tracked) else (other, value)
    return trail.scale(value, _constant(trail, value, other), np.zeros(value.shape[0]))


def _div(trail: Trail, value: Any, other: Any, *, rounding_mode: str | None = None) -> Tracked:
    if rounding_mode is not None or isinstance(other, Tracked) or not isinstance(value, Tracked):
        raise trail.refused("divides by something else than a constant", "a division by a constant")
    divisor = _constant(trail, value, other)
    if not divisor.all():
        raise trail.refused("divides by zero", "a division by a constant")
    return trail.scale(value, 1 / divisor, np.zeros(value.shape[0]))


def _neg(trail: Trail, value: Tracked) -> Tracked:
    return trail.scale(value, -np.ones(value.shape[0]), np.zeros(value.shape[0]))


def _relu(trail: Trail, value: Tracked, *_in_place: Any, **_options: Any) -> Tracked:
    return trail.rectify(value)


def _relu6(trail: Trail, value: Tracked, *_in_place: Any, **_options: Any) -> Tracked:
    return trail.clipped(value, 6.0)


def _leaky_relu(trail: Trail, value: Tracked, negative_slope: float = 0.01, *_in_place: Any, **_opt: Any) -> Tracked:
    return leaky(trail, value, negative_slope)


def _prelu(trail: Trail, value: Tracked, weight: Any) -> Tracked:
    return leaky(trail, value, weight)


def _hardtanh(
    trail: Trail, value: Tracked, min_val: float = -1.0, max_val: float = 1.0, *_in_place: Any, **_options: Any
) -> Tracked:
    return clipped(trail, value, min_val, max_val)


def _clamp(trail: Trail, value: Tracked, min: Any = None, max: Any = None) -> Tracked:  # noqa: A002 (torch's names)
    return clipped(trail, value, min, max)


def _mean(trail: Trail, value: Tracked, dim: Any = None, keepdim: bool = False, **_options: Any) -> Tracked:
    return pooling.over_positions(trail, value, dim, keepdim, mean=True)


def _sum(trail: Trail, value: Tracked, dim: Any = None, keepdim: bool = False, **_options: Any) -> Tracked:
    return pooling.over_positions(trail, value, dim, keepdim, mean=False)


def _linear(trail: Trail, value: Tracked, weight: Any, bias: Any = None) -> Tracked:
    return trail.linear(value, weight, bias)


def _conv2d(
    trail: Trail,
    value: Tracked,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tracked:
    step, reach = pooling.pair(stride), pooling.pair(dilation)
    edge = padding_of(trail, padding, trail.checked(weight).shape[2:], step, reach)
    return trail.convolution(value, weight, bias, step, edge, reach, groups)


def _batch_norm(
    trail: Trail,
    value: Tracked,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,  # noqa: ARG001 (torch's signature)
    eps: float = 1e-5,
) -> Tracked:
    if training:
        raise trail.refused("takes the statistics of the batch", "running statistics, as in evaluation mode")
    return batch_norm(trail, value, running_mean, running_var, weight, bias, eps)


def _dropout(trail: Trail, value: Tracked, p: float = 0.5, training: bool = True, **_options: Any) -> Tracked:
    if training and p > 0:
        raise trail.refused("drops values in evaluation mode too", "nn.Dropout, or training=self.training")
    return value


def _constant(trail: Trail, value: Tracked, constant: Any) -> Floats:
    """A constant for each channel of a value, (channel,)."""
    if not is_floating(constant):
        raise trail.refused(f"meets a {type(constant).__name__}", "a constant number")
    numbers = np.asarray(constant.detach().cpu() if isinstance(constant, torch.Tensor) else constant, np.float64)
    try:
        spread = np.broadcast_to(numbers, (1, *value.shape)).reshape(value.shape[0], -1)
    except ValueError as error:
        raise trail.refused("meets a constant of another shape", "one number, or one for each channel") from error
    if (spread != spread[:, :1]).any():
        raise trail.refused("meets constants that differ by position", "one number, or one for each channel")
    return spread[:, 0].copy()


def _has_tracked(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    def within(value: Any) -> bool:
        if isinstance(value, list | tuple):
            return any(map(within, value))
        return isinstance(value, Tracked)

    return within(list(args)) or within(list(kwargs.values()))


def _is_known(target: Any) -> bool:
    module = getattr(target, "__module__", None) or "torch"
    return module.split(".")[0] in ("torch", "_operator", "builtins")


_ARITHMETIC: dict[str, Callable[..., Tracked]] = {"add": _add, "sub": _sub, "mul": _mul, "div": _div}

_FUNCTIONS: dict[str, Callable[..., Tracked]] = {
    **_ARITHMETIC,
    **dict.fromkeys(_DROPOUTS, _dropout),
    "neg": _neg,
    "relu": _relu,
    "relu6": _relu6,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "mean": _mean,
    "sum": _sum,
    "linear": _linear,
    "conv2d": _conv2d,
    "batch_norm": _batch_norm,
    "max_pool2d": pooling.max_pool,
    "avg_pool2d": pooling.avg_pool,
    "adaptive_avg_pool2d": pooling.adaptive,
}
