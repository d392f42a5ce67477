"""Traits of what a view draws: immutable tuples that never hold NaN, and float32 bytes for long series."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import traitlets

from fi_workbench.core.errors import FederationError


class CannotDraw(FederationError, traitlets.TraitError):
    """Values that a view cannot draw; it keeps what it showed before."""


def _entries(trait: traitlets.TraitType[Any, Any], owner: traitlets.HasTraits, value: object) -> list[Any]:
    """The entries of a sequence, numpy's scalars made plain."""
    if isinstance(value, np.ndarray):
        return list(value.tolist()) if value.ndim else trait.error(owner, value)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        trait.error(owner, value)
    return [entry.item() if isinstance(entry, np.generic) else entry for entry in value]


class Numbers(traitlets.TraitType[tuple[float | None, ...], Any]):
    """Numbers, or None where there is none; NaN and infinity become None.

    Parameters
    ----------
    low, high : float, optional
        Bounds of each number.
    whole : bool
        Whole numbers only.
    """

    default_value: Any = ()
    info_text = "a sequence of numbers or None"

    def __init__(self, *, low: float = -math.inf, high: float = math.inf, whole: bool = False) -> None:
        self.low, self.high, self.whole = low, high, whole
        super().__init__()

    def validate(self, obj: Any, value: Any) -> tuple[float | None, ...]:
        """Check and freeze."""
        return tuple(self._one(obj, index, entry) for index, entry in enumerate(_entries(self, obj, value)))

    def _one(self, obj: object, index: int, entry: object) -> float | None:
        if entry is None or (isinstance(entry, float) and not math.isfinite(entry)):
            return None
        if isinstance(entry, bool) or not isinstance(entry, int | float) or (self.whole and entry != int(entry)):
            kind = "whole numbers" if self.whole else "numbers"
            raise CannotDraw(f"{type(obj).__name__}.{self.name} takes {kind} or None; entry {index} is {entry!r}.")
        if not self.low <= entry <= self.high:
            bounds = f"from {self.low:g} to {self.high:g}"
            raise CannotDraw(f"{type(obj).__name__}.{self.name} takes numbers {bounds}; entry {index} is {entry!r}.")
        return int(entry) if self.whole else entry


class Words(traitlets.TraitType[tuple[str, ...], Any]):
    """Texts, e.g. the parties' names.

    Parameters
    ----------
    known : iterable of str, optional
        The texts that are accepted; all, where empty.
    """

    default_value: Any = ()
    info_text = "a sequence of texts"

    def __init__(self, *, known: Iterable[str] = ()) -> None:
        self.known = tuple(known)
        super().__init__()

    def validate(self, obj: Any, value: Any) -> tuple[str, ...]:
        """Check and freeze."""
        entries = _entries(self, obj, value)
        for index, entry in enumerate(entries):
            where = f"{type(obj).__name__}.{self.name}"
            if not isinstance(entry, str):
                raise CannotDraw(f"{where} takes texts; entry {index} is {entry!r}.")
            if self.known and entry not in self.known:
                raise CannotDraw(f"{where} knows {', '.join(self.known)}; entry {index} is {entry!r}.")
        return tuple(entries)


class Frozen(traitlets.TraitType[tuple[Any, ...], Any]):
    """Rows of a view's own form.

    Parameters
    ----------
    freeze : callable
        Makes a tuple of what is given, or raises CannotDraw.
    info : str
        What is expected, for the refusal of what has no rows at all.
    """

    default_value: Any = ()

    def __init__(self, freeze: Callable[[Any], tuple[Any, ...]], info: str) -> None:
        self.freeze = freeze
        self.info_text = info
        super().__init__()

    def validate(self, obj: Any, value: Any) -> tuple[Any, ...]:
        """Check and freeze."""
        try:
            return self.freeze(value)
        except (TypeError, ValueError):
            self.error(obj, value)


class Float32(traitlets.TraitType[bytes, Any]):
    """An array of numbers, sent as little-endian float32; NaN marks a gap. Takes an array or the bytes themselves."""

    default_value: Any = b""
    info_text = "an array of numbers, or its float32 bytes"

    def validate(self, obj: Any, value: Any) -> bytes:
        """Check and freeze."""
        if isinstance(value, bytes | bytearray | memoryview):
            if len(value) % 4:
                raise CannotDraw(f"{type(obj).__name__}.{self.name} takes float32; {len(value)} bytes are not.")
            return bytes(value)
        try:
            return np.ascontiguousarray(value, dtype="<f4").tobytes()
        except (TypeError, ValueError):
            self.error(obj, value)
