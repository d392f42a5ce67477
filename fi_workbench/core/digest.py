"""A canonical byte form of plain data and arrays, and its SHA-256."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np


def canonical(value: Any) -> bytes:
    """Bytes that are equal exactly when the values are, on every machine.

    Each value is a type letter, a length and its content; mappings are sorted by key; arrays carry dtype and shape
    and are little-endian in C order. ``-0.0`` and ``0.0`` are the same number.

    Raises
    ------
    TypeError
        For a type that has no canonical form.
    """
    if value is None:
        return b"n"
    if isinstance(value, bool | np.bool_):
        return b"t" if value else b"f"
    if isinstance(value, int | np.integer):
        return _framed(b"i", str(int(value)).encode())
    if isinstance(value, float | np.floating):
        return _framed(b"d", struct.pack("<d", float(value) + 0.0))
    if isinstance(value, str):
        return _framed(b"s", value.encode())
    if isinstance(value, bytes):
        return _framed(b"b", value)
    if isinstance(value, np.ndarray):
        plain = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"))
        if plain.dtype.kind == "f":
            plain = plain + plain.dtype.type(0)
        return _framed(b"a", canonical([plain.dtype.str, list(value.shape)]) + plain.tobytes())
    if isinstance(value, Mapping):
        pairs = sorted((canonical(str(key)), canonical(item)) for key, item in value.items())
        return _framed(b"m", b"".join(key + item for key, item in pairs))
    if isinstance(value, frozenset | set):
        return _framed(b"u", b"".join(sorted(canonical(item) for item in value)))
    if isinstance(value, list | tuple):
        return _framed(b"l", b"".join(canonical(item) for item in value))
    raise TypeError(f"{type(value).__name__} has no canonical form")


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
