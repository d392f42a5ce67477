"""Two rules side by side on the same answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets
import numpy as np

from fi_workbench.aggregation import rules
from fi_workbench.core.messages import Question
from fi_workbench.core.progress import OnProgress
from fi_workbench.core.records import RoundRecord
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.comparing import Comparison, Side, compare
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.panels.method_picker import MethodPicker
from fi_workbench.widgets.panels.parts import button, column, hint, named, row, shown
from fi_workbench.widgets.views import TableView
from fi_workbench.widgets.wording import escaped, per_cent, title

SIZES = (100, 300, 1000)
MOST_ROWS = 200

LookAt = Callable[[RoundRecord, Question, np.ndarray], Any]


class ComparePage(Page):
    """Two pickers, a button, and three tables.

    Parameters
    ----------
    desk : Desk
    look_at : callable
        Shows some queries of a round in the drill-down.
    """

    title = "Compare"

    def __init__(self, desk: Desk, look_at: LookAt) -> None:
        super().__init__(desk)
        self._look_at = look_at
        self.comparison: Comparison | None = None

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        chosen = self._state.chosen
        other = next((name for name in rules if name != chosen.rule), chosen.rule)
        self._sides = [Side(chosen.rule, dict(chosen.rule_options)), Side(other, {})]
        self.pickers = [self._picker(place) for place in range(2)]
        for place in range(2):
            self._show_side(place)
        self.size = named(
            ipywidgets.Dropdown(
                options=[(f"{size} queries", size) for size in SIZES],
                value=SIZES[1],
                tooltip="How many queries are asked",
            ),
            "fi-compare-size",
        )
        self.go = button("Compare", "Ask the parties and compare both rules", "fi-compare-go fi-primary", self._start)
        self._how = hint("Both rules answer the same queries; the stream is left alone.", "fi-compare-how")
        self.summary = TableView(
            title="Both rules",
            empty_text="Choose two rules and press Compare.",
            columns=[
                {"name": "rule"},
                {"name": "accuracy", "unit": "%", "kind": "percent"},
                {"name": "only this one right", "unit": "queries", "kind": "count"},
            ],
        )
        self.classes, self.queries = TableView(title="By class"), TableView(title="Where they differ")
        self.look = button("Look at these queries", "Opens them under Queries", "fi-compare-look", self._look)
        self._results = column(
            named(ipywidgets.Box((self.classes, column(self.queries, self.look))), "fi-tables"),
            css="fi-compare-results",
        )
        shown(self._results, False)
        pair = named(ipywidgets.Box(tuple(picker.box for picker in self.pickers)), "fi-grid")
        self._state.observe(lambda _change: self.refresh(), "task")
        return (pair, row(self.size, self.go), self._how, self.summary, self._results)

    def refresh(self) -> None:
        """The button waits while something else is made."""
        if self._built:
            self.go.disabled = self._state.task is not None or not self._desk.driver.can_ask

    def _picker(self, place: int) -> MethodPicker:
        def choose(name: str) -> None:
            self._sides[place] = Side(name, {})
            self._show_side(place)

        def configure(options: dict[str, Any]) -> None:
            self._sides[place] = Side(self._sides[place].rule, options)

        tooltip = f"The {'first' if place == 0 else 'second'} rule"
        return MethodPicker(f"compare-{place + 1}", tuple(rules), rules.__getitem__, choose, configure, tooltip)

    def _show_side(self, place: int) -> None:
        side = self._sides[place]
        self.pickers[place].show(side.rule, side.options, tuple(rules))

    def _start(self) -> None:
        federation = self._state.federation
        if federation is None or not self._desk.driver.can_ask:
            return
        question, sides = self._desk.driver.sample(self.size.value), tuple(self._sides)

        def work(_report: OnProgress) -> Comparison:
            return compare(federation, question, sides[0], sides[1])

        self._desk.jobs.start("Comparing", work, self._show_comparison, kept="Nothing was changed.")

    def _show_comparison(self, comparison: Comparison) -> None:
        self.comparison = comparison
        names = [title(side.rule) for side in comparison.sides]
        right, n_queries = comparison.right, comparison.labels.shape[1]
        self._how.value = escaped(
            f"{comparison.how} They agree on {per_cent(comparison.agreement)} of {n_queries} queries."
        )
        rows = [
            (
                name,
                None if right is None else float(right[k].mean()),
                None if right is None else int((right[k] & ~right[1 - k]).sum()),
            )
            for k, name in enumerate(names)
        ]
        self.summary.update(rows=rows)
        self.classes.update(
            columns=[
                {"name": "class"},
                {"name": "queries", "kind": "count"},
                {"name": names[0], "unit": "%", "kind": "percent"},
                {"name": names[1] if names[1] != names[0] else f"{names[1]} (2)", "unit": "%", "kind": "percent"},
                {"name": "difference", "unit": "points", "kind": "points"},
            ],
            rows=[(*line, line[3] - line[2]) for line in comparison.per_class()],
            empty_text="Without true labels there is no accuracy by class.",
        )
        classes, truth, differ = comparison.record.classes, comparison.record.truth, comparison.differ
        self.queries.update(
            columns=[{"name": "query", "kind": "count"}, {"name": "truth"}, {"name": names[0]}, {"name": names[1]}],
            rows=[
                (
                    int(query) + 1,
                    None if truth is None else classes[truth[query]],
                    *(classes[label] for label in comparison.labels[:, query]),
                )
                for query in differ[:MOST_ROWS]
            ],
            empty_text="The two rules give every query the same label.",
        )
        self.look.disabled = not len(differ)
        shown(self._results, True)

    def _look(self) -> None:
        if self.comparison is not None and len(self.comparison.differ):
            self._look_at(self.comparison.record, self.comparison.question, self.comparison.differ)
