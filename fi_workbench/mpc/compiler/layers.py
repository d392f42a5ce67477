"""Layers of torch.nn, one handler for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from fi_workbench.mpc.compiler import pooling
from fi_workbench.mpc.compiler.tracked import Pair, Tracked, Trail

_Handler = Callable[[Trail, Any, Tracked], Tracked]

_DROPPED = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
"""In evaluation mode they are nothing."""


def call_layer(layer: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], trail: Trail) -> Tracked:
    """The value that a layer makes of another.

    Raises
    ------
    NotSupported
    """
    given = [*args, *kwargs.values()]
    if len(given) != 1 or not isinstance(given[0], Tracked):
        raise trail.refused("is applied to something else than one value that comes from the query")
    value = given[0]
    if isinstance(layer, _DROPPED):
        return value
    for kind, handler in _HANDLERS:
        if isinstance(layer, kind):
            return handler(trail, layer, value)
    raise trail.refused("is neither linear nor a ReLU, a pooling or an addition")


def batch_norm(trail: Trail, value: Tracked, mean: Any, variance: Any, weight: Any, bias: Any, eps: float) -> Tracked:
    """Normalised by running statistics: a gain and a shift for each channel."""
    if mean is None or variance is None:
        raise trail.refused("keeps no running statistics", "track_running_stats=True, and a pass over training data")
    centre = trail.checked(mean)
    gain = (trail.checked(variance) + eps) ** -0.5
    if len(gain) != value.shape[0]:
        raise trail.refused(f"takes {len(gain)} channels, and there are {value.shape[0]}", "matching sizes")
    gain = gain if weight is None else gain * trail.checked(weight)
    shift = -centre * gain
    return trail.scale(value, gain, shift if bias is None else shift + trail.checked(bias))


def padding_of(trail: Trail, padding: Any, kernel: Sequence[int], stride: Pair, dilation: Pair) -> Pair:
    """Of a convolution, where it may be "same" or "valid"."""
    if not isinstance(padding, str):
        return pooling.pair(padding)
    if padding == "valid":
        return (0, 0)
    total = [reach * (side - 1) for side, reach in zip(kernel, dilation, strict=True)]
    if stride != (1, 1) or any(one % 2 for one in total):
        raise trail.refused("pads one side more than the other", "a kernel of odd size, or padding as a number")
    return (total[0] // 2, total[1] // 2)


def clipped(trail: Trail, value: Tracked, lowest: Any, highest: Any) -> Tracked:
    """Between two constants; the lower must be 0."""
    floor = None if lowest is None else float(lowest)
    ceiling = None if highest is None else float(highest)
    if floor != 0:
        raise trail.refused(f"cuts off at {floor} and {ceiling}", "nn.ReLU, or nn.Hardtanh(0, c)")
    if ceiling is None:
        return trail.rectify(value)
    if ceiling <= 0:
        raise trail.refused(f"cuts off at {floor} and {ceiling}", "nn.Hardtanh(0, c) with c above 0")
    return trail.clipped(value, ceiling)


def leaky(trail: Trail, value: Tracked, slope: Any) -> Tracked:
    """With one slope below 0, or one for each channel."""
    numbers = trail.checked(torch.as_tensor(slope)).reshape(-1)
    if len(numbers) not in (1, value.shape[0]):
        raise trail.refused(f"has {len(numbers)} slopes for {value.shape[0]} channels", "one slope, or one each")
    return trail.leaky(value, np.broadcast_to(numbers, value.shape[:1]))


def _linear(trail: Trail, layer: nn.Linear, value: Tracked) -> Tracked:
    return trail.linear(value, layer.weight, layer.bias)


def _conv(trail: Trail, layer: nn.Conv2d, value: Tracked) -> Tracked:
    if layer.padding_mode != "zeros":
        raise trail.refused(f"pads with {layer.padding_mode!r}", 'padding_mode="zeros"')
    stride, dilation = pooling.pair(layer.stride), pooling.pair(layer.dilation)
    padding = padding_of(trail, layer.padding, layer.kernel_size, stride, dilation)
    return trail.convolution(value, layer.weight, layer.bias, stride, padding, dilation, layer.groups)


def _norm(trail: Trail, layer: Any, value: Tracked) -> Tracked:
    return batch_norm(trail, value, layer.running_mean, layer.running_var, layer.weight, layer.bias, layer.eps)


def _reordered(trail: Trail, layer: nn.Module, value: Tracked) -> Tracked:
    return pooling.reordered(trail, value, layer)


def _max_pool(trail: Trail, layer: nn.MaxPool2d, value: Tracked) -> Tracked:
    options = (layer.stride, layer.padding, layer.dilation, layer.ceil_mode, layer.return_indices)
    return pooling.max_pool(trail, value, layer.kernel_size, *options)


def _avg_pool(trail: Trail, layer: nn.AvgPool2d, value: Tracked) -> Tracked:
    options = (layer.stride, layer.padding, layer.ceil_mode, layer.count_include_pad, layer.divisor_override)
    return pooling.avg_pool(trail, value, layer.kernel_size, *options)


_HANDLERS: tuple[tuple[Any, _Handler], ...] = (
    (nn.Linear, _linear),
    (nn.Conv2d, _conv),
    ((nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm), _norm),
    (nn.ReLU, lambda trail, _, value: trail.rectify(value)),
    (nn.Hardtanh, lambda trail, layer, value: clipped(trail, value, layer.min_val, layer.max_val)),  # ReLU6 is one
    (nn.LeakyReLU, lambda trail, layer, value: leaky(trail, value, layer.negative_slope)),
    (nn.PReLU, lambda trail, layer, value: leaky(trail, value, layer.weight)),
    (nn.RReLU, lambda trail, layer, value: leaky(trail, value, (layer.lower + layer.upper) / 2)),
    ((nn.Flatten, nn.Unflatten), _reordered),
    (nn.MaxPool2d, _max_pool),
    (nn.AvgPool2d, _avg_pool),
    (nn.AdaptiveAvgPool2d, lambda trail, layer, value: pooling.adaptive(trail, value, layer.output_size)),
)


def is_floating(value: Any) -> bool:
    """Whether something is a constant that a value can be multiplied with."""
    return isinstance(value, int | float | torch.Tensor) and not isinstance(value, bool)
