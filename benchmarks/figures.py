"""What a benchmark returns, and how two ways are timed side by side."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Parameters
    ----------
    name : str
        What was measured.
    value : float
        In `unit`.
    target : float
        What it should at most be, or at least where `at_least`.
    detail : str
        What it was measured on and its baseline.
    """

    name: str
    value: float
    unit: str
    target: float
    detail: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def interleaved(first: Callable[[], Any], second: Callable[[], Any], n: int) -> tuple[list[float], list[float]]:
    """Seconds of `n` calls of each, taken in turns, so that a busy machine slows both alike."""
    first(), second()
    times: tuple[list[float], list[float]] = ([], [])
    gc.collect()
    for turn in range(n):
        order = ((0, first), (1, second)) if turn % 2 else ((1, second), (0, first))
        for index, call in order:
            started = time.perf_counter()
            call()
            times[index].append(time.perf_counter() - started)
    return times


def median(times: list[float]) -> float:
    return statistics.median(times)
