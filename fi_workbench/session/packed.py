"""Rounds as they are kept in memory: JSON, compressed, for a stream may go on for hours.

A round of five parties takes some 5 KB as Python objects and a tenth of that packed: most of it, the settings above
all, stands in the first round already, which serves as the others' dictionary (RFC 1950).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

_LEVEL, _WINDOW_BITS, _MEMORY_LEVEL = 1, 13, 6
"""A window of 8 KB, a round or two: zlib's own choice takes four times as long, most of it to clear its tables."""

_WINDOW = 2**_WINDOW_BITS


class Packed:
    """Entries in their order; an entry that is taken out is made anew each time."""

    def __init__(self) -> None:
        self._first = b""
        self._packed: list[bytes] = []

    def append(self, line: str) -> None:
        """Keep one entry, given as JSON."""
        data = line.encode()
        if not self._packed:
            self._first = data[-_WINDOW:]
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL, zdict=self._first)
        self._packed.append(packer.compress(data) + packer.flush())

    def __len__(self) -> int:
        return len(self._packed)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._open(self._packed[index])

    def snapshot(self) -> Iterator[dict[str, Any]]:
        """The entries that are there now, whatever is appended meanwhile."""
        return map(self._open, list(self._packed))

    @property
    def n_bytes(self) -> int:
        """What all of them take, packed."""
        return sum(map(len, self._packed))

    def _open(self, packed: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = json.loads(zlib.decompressobj(zdict=self._first).decompress(packed))
        return entry
