"""Windows and shapes, as torch's layers and functions describe them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fi_workbench.mpc.compiler.tracked import N_QUERIES, Pair, Tracked, Trail


def pair(value: Any) -> Pair:
    """(height, width), from one number for both or from two."""
    if isinstance(value, Sequence):
        first, last = int(value[0]), int(value[-1])
        return (first, last)
    return (int(value), int(value))


def max_pool(
    trail: Trail,
    value: Tracked,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tracked:
    """As torch.nn.functional.max_pool2d."""
    if return_indices:
        raise trail.refused("returns where the maxima are", "return_indices=False")
    kernel, reach = pair(kernel_size), pair(dilation)
    step, edge = _stride(stride, kernel), pair(padding)
    if any(2 * one > side for one, side in zip(edge, kernel, strict=True)):
        raise trail.refused("pads more than half of its window", "a padding of at most half the window")
    trail.check_image(value)
    _check_ceiling(trail, value, kernel, step, edge, reach, ceil_mode)
    return trail.largest(value, kernel, step, edge, reach)


def avg_pool(
    trail: Trail,
    value: Tracked,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tracked:
    """As torch.nn.functional.avg_pool2d."""
    kernel = pair(kernel_size)
    step, edge = _stride(stride, kernel), pair(padding)
    if not count_include_pad and edge != (0, 0) and divisor_override is None:
        raise trail.refused("divides by less at the border", "count_include_pad=True, or no padding")
    trail.check_image(value)
    _check_ceiling(trail, value, kernel, step, edge, (1, 1), ceil_mode)
    return trail.mean(value, kernel, step, edge, divisor_override)


def adaptive(trail: Trail, value: Tracked, output_size: Any) -> Tracked:
    """As torch.nn.functional.adaptive_avg_pool2d, where its windows are equal."""
    trail.check_image(value)
    asked = output_size if isinstance(output_size, Sequence) else (output_size, output_size)
    sides = value.shape[1:]
    made = [side if one is None else int(one) for one, side in zip(asked, sides, strict=True)]
    if any(one < 1 or side % one for one, side in zip(made, sides, strict=True)):
        raise trail.refused(f"makes {made} of {list(sides)}, by windows of unequal size", "an output size that divides")
    kernel = (sides[0] // made[0], sides[1] // made[1])
    return trail.mean(value, kernel, kernel, (0, 0))


def over_positions(trail: Trail, value: Tracked, dim: Any, keepdim: bool, *, mean: bool) -> Tracked:
    """The mean or the sum over height, width or both."""
    n_axes = len(value.shape) + 1
    axes = {int(axis) % n_axes for axis in (dim if isinstance(dim, Sequence) else (dim,))} if dim is not None else set()
    if n_axes != 4 or not axes or not axes <= {2, 3}:
        raise trail.refused("is taken over other axes than height and width", "x.mean((2, 3))")
    kernel = tuple(side if axis in axes else 1 for axis, side in enumerate(value.shape[1:], start=2))
    pooled = trail.mean(value, (kernel[0], kernel[1]), (1, 1), (0, 0), None if mean else 1)
    left = tuple(side for axis, side in enumerate(value.shape, start=1) if axis not in axes)
    return pooled if keepdim else trail.reorder(pooled, left)


def reordered(trail: Trail, value: Tracked, change: Callable[[torch.Tensor], torch.Tensor]) -> Tracked:
    """What only changes the shape, and keeps the queries apart."""
    try:
        shape = tuple(change(value.stand_in()).shape)
    except (RuntimeError, TypeError, IndexError) as error:
        raise trail.refused(f"does not fit values of shape {value.shape} ({error})", "nn.Flatten") from error
    if shape[:1] != (N_QUERIES,):
        raise trail.refused("mixes queries with one another", "a shape that begins with the number of queries")
    return trail.reorder(value, shape[1:])


def _stride(stride: Any, kernel: Pair) -> Pair:
    return kernel if stride is None or stride == [] else pair(stride)


def _check_ceiling(
    trail: Trail, value: Tracked, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> None:
    sides = zip(value.shape[1:], kernel, stride, padding, dilation, strict=True)
    if ceil_mode and any((side + 2 * edge - reach * (k - 1) - 1) % step for side, k, step, edge, reach in sides):
        raise trail.refused("has windows that reach over the edge", "ceil_mode=False, or padding")
