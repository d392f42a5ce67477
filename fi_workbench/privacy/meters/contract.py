"""What a meter of leakage is: a function from what an attacker holds to figures with confidence intervals.

A meter is pure: it asks nobody. Who runs it gathers a :class:`Sight`, by real rounds where there is a federation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidData, InvalidOption
from fi_workbench.core.options import Option, check_options, options_of
from fi_workbench.core.registry import Registry
from fi_workbench.privacy.meters.sight import MIN_SAMPLES, Part, Sight

OnStep: TypeAlias = Callable[[str, float], None]
"""Told of each step before it is taken: what it is, for people, and which share of all is done. An exception raised in
it stops the meter."""

Chance: TypeAlias = Callable[[int, "NDArray[np.float64] | None"], tuple[tuple[str, float], ...]]
"""``(n_classes, prior) -> ((figure, value), ...)``: what an attacker gets who sees nothing."""


def unheard(step: str, share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Reading:
    """One figure of a meter.

    Parameters
    ----------
    figure : str
        What it is, for people: ``"AUC"``.
    value, low, high : float
        With its 95 % confidence interval.
    n : int
        Samples that it rests on.
    baseline : float
        What it would be without any leak, or for who does not look.
    note : str
        What must be known to read it.
    leaks_below : bool
        Whether it is what lies below the baseline that leaks: of a distance to the truth.
    """

    figure: str
    value: float
    low: float
    high: float
    n: int
    baseline: float
    note: str = ""
    leaks_below: bool = False


@dataclass(frozen=True, eq=False)
class Curve:
    """A line to draw, with an interval about it where there is one.

    Parameters
    ----------
    x_name, y_name : str
    x, y, low, high : array (point,)
    """

    x_name: str
    y_name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """What a meter found: its figures, the first of them the one to show where there is room for one, and a curve."""

    readings: tuple[Reading, ...]
    curve: Curve | None = None


@dataclass(frozen=True, eq=False)
class Meter:
    """A meter as registered; made by :func:`leakage_meter`.

    Parameters
    ----------
    name, title, explanation : str
        Title and explanation are the docstring's first line and paragraph.
    needs : frozenset of str
        Parts of the sight that it cannot do without.
    options : tuple of Option
    function : callable
        ``(sight, seed, on_step, **options) -> Measured``.
    chance : callable
        See :data:`Chance`.
    """

    name: str
    title: str
    explanation: str
    needs: frozenset[Part]
    options: tuple[Option, ...]
    function: Callable[..., Measured]
    chance: Chance

    def __call__(
        self, sight: Sight, seed: int = 0, on_step: OnStep = unheard, options: Mapping[str, Any] | None = None
    ) -> Measured:
        """Measure.

        Raises
        ------
        InvalidOption
            An option that it does not have, or out of range.
        InvalidData
            The sight lacks what it needs, or holds too little of it.
        """
        checked = check_options(f"Meter {self.name!r}", self.options, options or {})
        if lacking := sight.missing(self.needs):
            raise InvalidData(
                f"Meter {self.name!r} needs {' and '.join(lacking).replace('_', ' ')}, {MIN_SAMPLES} at least; "
                "give them, or leave the meter out."
            )
        return self.function(sight, seed, on_step, **checked)


meters: Registry[Meter] = Registry("meter")


def leakage_meter(
    *, needs: tuple[Part, ...], chance: Chance
) -> Callable[[Callable[..., Measured]], Callable[..., Measured]]:
    """Register a function as a meter under its own name; returns it unchanged.

    Parameters
    ----------
    needs : tuple of str
    chance : callable
        See :data:`Chance`.

    Raises
    ------
    InvalidOption
        It has no docstring: the workbench explains it with that.
    """

    def register(function: Callable[..., Measured]) -> Callable[..., Measured]:
        text = inspect.getdoc(function) or ""
        title, _, rest = text.partition("\n\n")
        if not title:
            raise InvalidOption(f"Meter {function.__name__!r} needs a docstring: title, blank line, explanation.")
        explanation = " ".join(rest.partition("\n\n")[0].split())
        made = Meter(function.__name__, title, explanation, frozenset(needs), options_of(function), function, chance)
        meters.add(made.name, made)
        return function

    return register
