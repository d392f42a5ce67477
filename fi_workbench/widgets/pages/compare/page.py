"""Rules side by side on the same answers: how often right, how sure, on which classes, and where they differ."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets
import numpy as np

from fi_workbench.aggregation import rules
from fi_workbench.core.errors import FederationError
from fi_workbench.core.messages import Question
from fi_workbench.core.progress import OnProgress
from fi_workbench.core.records import RoundRecord
from fi_workbench.session.comparing import compare_rules
from fi_workbench.session.comparison import Comparison, Side
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.compare.rule_list import RuleList
from fi_workbench.widgets.pages.compare.tables import (
    DIFFER_COLUMNS,
    SUMMARY_COLUMNS,
    differ_table,
    spelled,
    summary_columns,
    summary_rows,
)
from fi_workbench.widgets.pages.compare.threshold import SelectivePanel
from fi_workbench.widgets.pages.compare.verdict import party_shares, verdict
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.pages.saving import SaveButton
from fi_workbench.widgets.panels.parts import button, column, hint, named, row, shown
from fi_workbench.widgets.running.state import Notice
from fi_workbench.widgets.views import TableView
from fi_workbench.widgets.views.accuracy_dots import AccuracyDots
from fi_workbench.widgets.views.heat_map import HeatMap
from fi_workbench.widgets.wording import escaped, per_cent, title

SIZES = (100, 300, 1000)
MOST_QUERIES = 2**31 - 1
"""More than any data set has: all of them."""

LookAt = Callable[[RoundRecord, Question, np.ndarray], Any]


class ComparePage(Page):
    """The rules that are compared, a button, and what came of it.

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
        self._comparing = False
        self._refreshing = threading.RLock()
        self.comparison: Comparison | None = None

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self.rules = RuleList(lambda: self._state.federation, self.refresh, self._desk.fitting.options)
        chosen = self._state.chosen
        other = next(name for name in ("soft_vote", "hard_vote", *rules) if name != chosen.rule)
        self.size = named(
            ipywidgets.Dropdown(
                options=[*((f"{size} queries", size) for size in SIZES), ("all queries", None)],
                value=SIZES[1],
                tooltip="How many queries are asked: always the same ones",
            ),
            "fi-compare-size",
        )
        self.go = button("Compare", "Ask the parties and compare the rules", "fi-compare-go fi-primary", self._start)
        self.give_up = button("Give up", "Stop comparing; nothing is changed", "fi-compare-give-up", self._give_up)
        shown(self.give_up, False)
        self._how = hint("All rules answer the same queries; the stream is left alone.", "fi-compare-how")
        self.verdict = hint(css="fi-compare-verdict")
        shown(self.verdict, False)
        self.summary = TableView(
            title="Rules", empty_text="Choose two rules or more and press Compare.", columns=SUMMARY_COLUMNS
        )
        self.dots = AccuracyDots()
        self.classes = HeatMap(
            title="Accuracy by class", kind="percent", square=False, sentence="{row} on class {column}: {value} right",
            legend=[(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")],
        )  # fmt: skip
        self.selective = SelectivePanel(self._desk)
        self.queries = TableView(title="Where they differ", columns=DIFFER_COLUMNS)
        self.look = button("Look at these queries", "Opens them under Queries", "fi-compare-look", self._look)
        self.save = SaveButton(
            "Save every label (CSV)", "Per query: the truth, and each rule's label and confidence", self._labels_csv,
            lambda text: setattr(self._state, "notice", Notice("error", text)),
        )  # fmt: skip
        explained = hint(
            "Gap closed: the gain over the soft vote as a share of what the oracle gains. AURC: area under the "
            "risk-coverage curve; 0 is best. Bounds look at the labels: no rule can."
        )
        self._pictures = column(explained, self.dots, self.selective.box, self.classes, css="fi-compare-pictures")
        self._results = column(
            self._pictures,
            column(self.queries, row(self.look, self.save, css="fi-compare-save")),
            css="fi-compare-results",
        )
        shown(self._results, False)
        self.rules.begin(Side(chosen.rule, dict(chosen.rule_options)), Side(other))
        self._state.observe(lambda _change: self.refresh(), "task")
        controls = row(self.size, self.go, self.give_up)
        return (self.rules.box, controls, self._how, self.verdict, self.summary, self._results)

    def refresh(self) -> None:
        """The button waits while something else is made; the threshold in force may be another."""
        if self._built:
            with self._refreshing:  # the job's thread calls it too; the last one must see what is so
                self.go.disabled = self._state.task is not None or not self._desk.driver.can_ask
                shown(self.give_up, self._comparing and self._state.task is not None)
            self.selective.refresh()

    def _start(self) -> None:
        federation, sides = self._state.federation, self.rules.sides
        if federation is None or not self._desk.driver.can_ask:
            return
        question = self._desk.driver.sample(self.size.value or MOST_QUERIES)
        numbers = [self.rules.number(side) for side in sides]

        def work(report: OnProgress) -> Comparison:
            return spelled(compare_rules(federation, question, sides, on_progress=report).ranked())

        self._comparing = True
        self._desk.jobs.start(
            f"Comparing {len(sides)} rules", work, lambda done: self._show_comparison(done, sides, numbers),
            n_steps=len(sides), kept="Nothing was changed.", ended=self._ended,
        )  # fmt: skip
        self.refresh()

    def _give_up(self) -> None:
        self._desk.jobs.give_up()
        self.give_up.disabled = True  # until the round under way has ended

    def _ended(self) -> None:
        self._comparing = self.give_up.disabled = False
        self.refresh()

    def _show_comparison(self, comparison: Comparison, sides: tuple[Side, ...], numbers: list[int]) -> None:
        figures, known = comparison.figures, comparison.truth is not None
        names = [one.title for one in figures]
        kinds = ["rule"] * len(comparison.outcomes) + [
            "oracle" if one.name == "oracle" else "bound" for one in comparison.bounds
        ]
        colours = [None if one.side is None else numbers[sides.index(one.side)] for one in comparison.rows]
        looks = {"names": names, "kinds": kinds, "colours": colours}
        n_queries = comparison.labels.shape[1]
        said = f"{comparison.how} They agree on {per_cent(comparison.agreement)} of {n_queries} queries."
        if not known:
            said += " Without true labels there is no accuracy and no risk."
        elif not comparison.bounds:
            said += " The bounds need each party's answer, which the mechanism does not show."
        self._how.value = escaped(" ".join((said, *self._flattered(comparison))))
        self.verdict.value = escaped(verdict(comparison))
        shown(self.verdict, known)
        self.summary.update(
            columns=summary_columns(comparison),
            rows=summary_rows(comparison),
            faults=[*[""] * len(figures), *[why for _, why in comparison.failed]],
        )
        shown(self._pictures, known)
        if known:
            self.dots.update(
                **looks,
                accuracies=[one.accuracy for one in figures],
                lows=[one.low for one in figures],
                highs=[one.high for one in figures],
            )
            n_asked, shares = comparison.per_class()
            parties, alone = party_shares(comparison)
            labels = [f"{one.title} (bound)" if one.bound else one.title for one in figures]
            best = [f"{name}: {labels[k]}" for name, k in zip(comparison.record.classes, _best(shares), strict=True)]
            self.classes.update(
                rows=[*labels, *(f"{name} alone" for name in parties)],
                columns=list(comparison.record.classes), values=np.concatenate([shares, alone]),
                note=f"{n_queries} queries, {int(n_asked[n_asked > 0].min())} to {int(n_asked.max())} of a class",
                summary=f"Most often right on {'; '.join(best)}",
            )  # fmt: skip
        self.selective.show(comparison, looks)
        self.queries.update(**differ_table(comparison))
        self.look.disabled = not len(comparison.differ)
        shown(self._results, True)
        self.comparison = comparison
        self._ended()

    def _flattered(self, comparison: Comparison) -> list[str]:
        """Which learned rules were fitted on some of these queries."""
        n_queries, said = comparison.labels.shape[1], []
        for one in comparison.outcomes:
            combiner = None if one.side is None else one.side.options.get("combiner")
            if n_seen := self._desk.fitting.n_seen(combiner, n_queries):
                said.append(f"{title(one.name)} was fitted on {n_seen} of them, which flatters it.")
        return said

    def _look(self) -> None:
        if self.comparison is not None and len(self.comparison.differ):
            self._look_at(self.comparison.record, self.comparison.question, self.comparison.differ)

    def _labels_csv(self) -> tuple[str, str, bytes]:
        if self.comparison is None:
            raise FederationError("Nothing was compared yet.")
        return "comparison.csv", "text/csv", self.comparison.labels_frame().to_csv().encode()


def _best(shares: np.ndarray) -> list[int]:
    """Which row is most often right on each class, (class,)."""
    return [int(place) for place in np.where(np.isnan(shares), -1.0, shares).argmax(axis=0)]
