"""Arithmetic in the ring of integers modulo 2^64: numbers as words, linear layers, windows.

Words are numpy's uint64, which wrap around; products and convolutions are torch's on the same bits as int64, which
wrap around alike.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.errors import FederationError
from fi_workbench.mpc.plan import FRACTION_BITS, Conv, Dense, Maximum, SumPool

Words = NDArray[np.uint64]

_FEW = 4
"""So many products of a matrix and a vector are faster than one of two matrices."""


class OutOfRing(FederationError, ValueError):
    """A number that no word stands for: not finite, or too large for its fractional bits."""


def encode(values: ArrayLike, fraction_bits: int = FRACTION_BITS) -> Words:
    """The nearest words: round(x 2^fraction_bits) modulo 2^64, of any shape.

    Raises
    ------
    OutOfRing
        A number that is not finite, or not smaller than 2^(63 - fraction_bits).
    """
    scaled = np.rint(np.asarray(values, dtype=np.float64) * 2.0**fraction_bits)
    if not np.all(np.abs(scaled) < 2.0**63):
        raise OutOfRing(
            f"A number is not finite or not smaller than 2^{63 - fraction_bits}, the most that a word with "
            f"{fraction_bits} fractional bits holds. Scale the model or the query down."
        )
    return scaled.astype(np.int64).view(np.uint64)


def decode(words: Words, fraction_bits: int = FRACTION_BITS) -> NDArray[np.float64]:
    """The real numbers that words stand for, upper half negative."""
    return np.asarray(np.ascontiguousarray(words).view(np.int64) * 2.0**-fraction_bits)


def linear(operation: Dense | Conv, weight: Words, values: Words) -> Words:
    """A linear layer without its bias.

    Parameters
    ----------
    operation : Dense or Conv
    weight : ndarray of uint64
        (n_out, n_in), or the ``weight_shape`` of the convolution.
    values : ndarray of uint64
        (query, n_in), or (query, channel, height, width).

    Returns
    -------
    ndarray of uint64
        (query, n_out), or (query, channel, height, width).
    """
    if isinstance(operation, Dense):
        return matmul(weight, values)
    out = torch.conv2d(
        _signed(values),
        _signed(weight),
        stride=operation.stride,
        padding=operation.padding,
        dilation=operation.dilation,
        groups=operation.groups,
    )
    return _words(out)


def matmul(matrix: Words, vectors: Words) -> Words:
    """(n_out, n_in) times each of (query, n_in): (query, n_out)."""
    left, right = _signed(matrix), _signed(vectors)
    if len(right) <= _FEW:
        return _words(torch.stack([left @ vector for vector in right]))
    return _words((left @ right.t().contiguous()).t().contiguous())


def windows(operation: SumPool | Maximum, values: Words, padding: int) -> Words:
    """Each place of a window as a row: (place, query, channel, height out, width out), a copy.

    Parameters
    ----------
    operation : SumPool or Maximum
    values : ndarray of uint64
        (query, channel, height, width).
    padding : int
        The word around them.
    """
    (above, beside), (down, across) = operation.padding, operation.stride
    if above or beside:
        rim = ((0, 0), (0, 0), (above, above), (beside, beside))
        values = np.pad(values, rim, constant_values=np.uint64(padding))
    vertical, horizontal = operation.dilation if isinstance(operation, Maximum) else (1, 1)
    height, width = operation.kernel
    reach = ((height - 1) * vertical + 1, (width - 1) * horizontal + 1)
    views = sliding_window_view(values, reach, axis=(2, 3))[:, :, ::down, ::across, ::vertical, ::horizontal]
    places = views.transpose(4, 5, 0, 1, 2, 3)
    return places.reshape(height * width, *views.shape[:4])


def sum_pool(operation: SumPool, values: Words) -> Words:
    """The sum of each window: (query, channel, height, width) to (query, channel, height out, width out)."""
    (above, beside), (down, across) = operation.padding, operation.stride
    if above or beside:
        values = np.pad(values, ((0, 0), (0, 0), (above, above), (beside, beside)))
    height, width = operation.kernel
    n_down = (values.shape[2] - height) // down + 1
    n_across = (values.shape[3] - width) // across + 1
    total: Words = np.zeros((*values.shape[:2], n_down, n_across), np.uint64)
    for row in range(height):
        for column in range(width):
            total += values[:, :, row : row + down * n_down : down, column : column + across * n_across : across]
    return total


def _signed(words: Words) -> torch.Tensor:
    """The same bits for torch, without a copy where they lie in one piece."""
    whole = np.ascontiguousarray(words)
    if not whole.flags.writeable:  # torch warns of what it could write to, though it is only read here
        whole = whole.copy()
    return torch.from_numpy(whole.view(np.int64))


def _words(tensor: torch.Tensor) -> Words:
    return np.ascontiguousarray(tensor.numpy()).view(np.uint64)
