"""Progress of long work, as data: a terminal, a widget and a test each show it in their own way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Progress:
    """How far some long work has come.

    Parameters
    ----------
    task : str
        What is being done, for people: ``"training party A"``.
    done, total : int
        In ``unit``; ``total`` is 0 while it is not known.
    unit : str
        What is counted: ``"epochs"``, ``"bytes"``, ``"rounds"``.
    """

    task: str
    done: int
    total: int
    unit: str = ""

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.done / self.total if self.total else 0.0


OnProgress: TypeAlias = Callable[[Progress], None]
"""Called from the thread that does the work; an exception raised in it stops the work."""


def quiet(progress: Progress) -> None:
    """Show nothing."""
