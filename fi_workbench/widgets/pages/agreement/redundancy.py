"""Which parties are redundant, and which complement each other: the map of order-2 Shapley interactions."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.progress import OnProgress, Progress
from fi_workbench.incentives.games.interaction import Interactions
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.agreement.counting import AT_ONCE_UP_TO, Counting, redundancy
from fi_workbench.widgets.panels.parts import button, column, hint, row, shown
from fi_workbench.widgets.views.heat_map import HeatMap
from fi_workbench.widgets.wording import escaped

EMPTY = "No rounds yet: ask a batch or press Run."

EVERY_SECONDS = 1.0
"""At most so often while the stream runs."""


class Redundancy:
    """The map, computed by itself for few parties, and by a button for many.

    Parameters
    ----------
    desk : Desk
    counting : callable
        ``() -> Counting or None``: what is counted now.
    """

    def __init__(self, desk: Desk, counting: Callable[[], Counting | None]) -> None:
        self._desk, self._counting = desk, counting
        self._computed = 0.0
        self._computed_of: object = None  # which counts the map is of
        self._names: tuple[str, ...] = ()
        self.allowed = True
        self.map = HeatMap(
            title="Redundancy",
            kind="points",
            unit="points",
            scale="diverging",
            hint="Negative: one can stand in for the other. Positive: each is worth more where the other is.",
            empty_text=EMPTY,
        )
        self.words = hint(css="fi-redundancy-words")
        self.go = button(
            "Compute redundancy", "Values groups of parties on the last rounds; many parties take a while",
            "fi-redundancy-go", self._start,
        )  # fmt: skip
        self.box = column(self.map, self.words, row(self.go))
        self.follow()

    def follow(self) -> None:
        """The button stands where there are many parties, and waits while something else is made."""
        shown(self.go, self.allowed and len(self._desk.state.enabled) > AT_ONCE_UP_TO)
        self.go.disabled = self._desk.state.task is not None or self._counting() is None

    def draw(self) -> None:
        """Bring the map up to date, where that is quick and a second has passed."""
        self.follow()
        counting, running = self._counting(), self._desk.state.status == "running"
        names = tuple(one.party.name for one in self._desk.state.enabled)
        state = None if counting is None else (id(counting), names, counting.running.n_rounds)
        if counting is None or not self.allowed or set(self._names) - set(names) or not counting.running.n_rounds:
            self._clear()
        if counting is None or not self.allowed or state == self._computed_of:
            return
        if len(names) > AT_ONCE_UP_TO:
            if not self.map.rows:
                self.map.empty_text = f"With {len(names)} parties it is computed when you press the button."
            return
        if running and time.monotonic() - self._computed < EVERY_SECONDS:
            return
        last = counting.last_answers(quick=True)
        if last is None:
            self.map.empty_text = "It takes two parties that answered." if counting.running.n_rounds else EMPTY
            return
        self._show(redundancy(last[1]), last[0], last[1].n_queries, last[1].labels is not None)
        self._computed, self._computed_of = time.monotonic(), state

    def _start(self) -> None:
        counting = self._counting()
        last = None if counting is None else counting.last_answers(quick=False)
        if last is None:
            return
        names, view = last

        def work(report: OnProgress) -> Interactions:
            report(Progress(f"groups of {len(names)} parties", 0, 0))
            found = redundancy(view)
            report(Progress(f"groups of {len(names)} parties", 1, 1))  # where it was given up meanwhile, it ends here
            return found

        show = partial(self._show, names=names, n_queries=view.n_queries, labelled=view.labels is not None)
        self._desk.jobs.start("Computing redundancy", work, show, kept="Nothing was changed.")

    def _clear(self) -> None:
        if not self.map.rows and not self.words.value:
            return
        self._names, self._computed, self._computed_of = (), 0.0, None
        self.words.value = ""
        self.map.update(
            round=0, rows=(), columns=(), values=b"", shades=b"", row_colours=(), column_colours=(), sentences=(),
            empty_text=EMPTY,
        )  # fmt: skip

    def _show(self, found: Interactions, names: tuple[str, ...], n_queries: int, labelled: bool) -> None:
        numbers = {one.party.name: one.number for one in self._desk.state.members}
        if any(name not in numbers for name in names):
            return  # the parties changed meanwhile
        pairs = found.pairs.copy()
        np.fill_diagonal(pairs, np.nan)
        most = max(float(np.nanmax(np.abs(pairs))), 0.001)
        colours = [numbers[name] for name in names]
        self._names = names
        what = "accuracy of a group's soft vote" if labelled else "agreement of a group's soft vote with that of all"
        self.map.update(
            rows=names, columns=names, row_colours=colours, column_colours=colours,
            values=pairs, shades=pairs / most, sentences=sentences(names, pairs),
            legend=((-1.0, f"{_points(-most)} redundant"), (0.0, "0"), (1.0, f"complementary {_points(most)}")),
            note=f"{n_queries} queries" + (", sampled" if found.standard_errors is not None else ""),
            summary=(said := verdict(names, pairs)),
        )  # fmt: skip
        self.words.value = escaped(f"{said} Measured by the {what}.")


def verdict(names: tuple[str, ...], pairs: NDArray[np.float64]) -> str:
    """Who is most redundant with whom, and who complements whom most, in words.

    >>> verdict(("A", "B", "C"), np.array([[np.nan, -0.1, 0.02], [-0.1, np.nan, 0], [0.02, 0, np.nan]]))
    'Most redundant: A and B, −10.0 points. Most complementary: A and C, +2.00 points.'
    """
    a, b = np.unravel_index(np.nanargmin(pairs), pairs.shape)
    c, d = np.unravel_index(np.nanargmax(pairs), pairs.shape)
    said = []
    if pairs[a, b] < 0:
        said.append(f"Most redundant: {names[a]} and {names[b]}, {_points(pairs[a, b])} points.")
    if pairs[c, d] > 0:
        said.append(f"Most complementary: {names[c]} and {names[d]}, {_points(pairs[c, d])} points.")
    elif len(names) > 2:
        said.append(f"No two complement each other; nearest to it are {names[c]} and {names[d]}.")
    return " ".join(said)


def sentences(names: tuple[str, ...], pairs: NDArray[np.float64]) -> list[str]:
    """One for each cell, row after row."""

    def one(a: int, b: int) -> str:
        if a == b:
            return f"{names[a]} with itself: no pair."
        value = pairs[a, b]
        meaning = (
            "redundant, one can stand in for the other" if value < 0
            else "complementary, each is worth more where the other is" if value > 0 else "neither"
        )  # fmt: skip
        return f"{names[a]} and {names[b]}: {_points(value)} points, {meaning}."

    return [one(a, b) for a in range(len(names)) for b in range(len(names))]


def _points(value: float) -> str:
    return f"{100 * value:+#.3g}".replace("-", "−") if value else "0"
