"""Words as they are sent: of each only the bits that are needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.peers import Buffer

Array: TypeAlias = NDArray[Any]
"""Of uint8, uint32 or uint64, as its field says."""


@dataclass(frozen=True)
class Field:
    """One array of a message.

    Parameters
    ----------
    name : str
    n : int
        How many entries.
    bits : {1, 8, 16, 32, 48, 64}
        Of each entry: 1 and 8 are uint8, 32 are uint32, the others uint64 of which the low bits are sent.
    """

    name: str
    n: int
    bits: int

    @property
    def n_bytes(self) -> int:
        """Length in a message."""
        return -(-self.n * self.bits // 8)


def packed(field: Field, array: Array) -> tuple[Buffer, ...]:
    """The parts of a message that carry an array; little-endian, and of 48 bits all low 32 before all high 16.

    Raises
    ------
    ValueError
        An array of another size.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.size != field.n:
        raise ValueError(f"{field.name} has {field.n} entries, not {flat.size}.")
    if field.bits == 1:
        return (_buffer(np.packbits(flat)),)
    if field.bits == 8:
        return (_buffer(flat.astype(np.uint8, copy=False)),)
    if field.bits == 48:
        return _buffer(flat.astype("<u4")), _buffer((flat >> np.uint64(32)).astype("<u2"))
    return (_buffer(flat.astype(f"<u{field.bits // 8}", copy=False)),)


def unpacked(field: Field, data: memoryview) -> Array:
    """What :func:`packed` made, from as many bytes; read-only where it is not copied."""
    if field.bits == 1:
        return np.unpackbits(np.frombuffer(data, np.uint8), count=field.n)
    if field.bits == 8:
        return np.frombuffer(data, np.uint8)
    if field.bits == 48:
        low = np.frombuffer(data[: 4 * field.n], "<u4").astype(np.uint64)
        high = np.frombuffer(data[4 * field.n :], "<u2").astype(np.uint64)
        return low | (high << np.uint64(32))
    if field.bits == 16:
        return np.frombuffer(data, "<u2").astype(np.uint64)
    return np.frombuffer(data, f"<u{field.bits // 8}")


def _buffer(array: Array) -> Buffer:
    return array.view(np.uint8).data
