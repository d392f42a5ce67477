"""A canonical byte form of plain data and arrays, and its SHA-256."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def canonical(value: Any) -> bytes:
    """Bytes that are equal exactly when the values are, on every machine.

    Each value is a type letter, a length and its content; mappings are sorted by key; arrays carry dtype, shape and
    the SHA-256 of their little-endian bytes in C order, so that large ones are not copied. Lists and tuples are the
    same sequence, and the numbers ``-0.0`` and ``0.0`` the same; arrays are the same only bit by bit.

    Raises
    ------
    TypeError
        For a type that has no canonical form.
    """
    if isinstance(value, str):  # first, for most of what is signed is text
        return _framed(b"s", value.encode())
    if value is None:
        return b"n"
    if isinstance(value, list | tuple):
        return _framed(b"l", b"".join([canonical(item) for item in value]))
    if isinstance(value, bool | np.bool_):
        return b"t" if value else b"f"
    if isinstance(value, int | np.integer):
        return _framed(b"i", str(int(value)).encode())
    if isinstance(value, float | np.floating):
        return _framed(b"d", struct.pack("<d", float(value) + 0.0))
    if isinstance(value, bytes):
        return _framed(b"b", value)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiub":
            raise TypeError(f"An array of dtype {value.dtype} has no canonical form")
        plain = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return _framed(b"a", canonical([plain.dtype.str, list(value.shape)]) + _content_digest(plain))
    if isinstance(value, Mapping):
        pairs = sorted((canonical(key), canonical(item)) for key, item in value.items())
        return _framed(b"m", b"".join(key + item for key, item in pairs))
    if isinstance(value, frozenset | set):
        return _framed(b"u", b"".join(sorted(canonical(item) for item in value)))
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _content_digest(array: NDArray[Any]) -> bytes:
    # an array that came in a message is a view of immutable bytes, which all parties of one process share
    owner: object = array.base.base if isinstance(array.base, np.ndarray) else array.base
    if isinstance(owner, bytes) and len(owner) == array.nbytes <= _REMEMBERED_BYTES:
        return _bytes_digest(owner)
    return hashlib.sha256(array.reshape(-1).view(np.uint8).data).digest()


_REMEMBERED_BYTES = 2**22
"""Longer contents are hashed anew for each party: remembering them would keep them in memory."""


@lru_cache(maxsize=4)
def _bytes_digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _framed(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<Q", len(content)) + content


def sha256(value: Any) -> str:
    """Hexadecimal SHA-256 of the canonical form.

    >>> sha256({"a": 1, "b": 2}) == sha256({"b": 2, "a": 1})
    True
    >>> sha256(1) == sha256(1.0)
    False
    """
    return hashlib.sha256(canonical(value)).hexdigest()
