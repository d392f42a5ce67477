"""Accuracy, epsilon, time and bytes of mechanisms and rules, swept in real rounds; a mark's settings can be loaded.

The picture is a small view of ours, not plotly's FigureWidget, which sends five megabytes, takes seconds to appear and
stays white in the dark theme; plotly draws the figure that is saved.
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.core.messages import Question
from fi_workbench.core.progress import OnProgress, Progress
from fi_workbench.session.federation import Federation
from fi_workbench.session.trading_off.result import Setting, TradeOff, TradeOffRow
from fi_workbench.session.trading_off.sweep import Plan, planned, trade_off
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.pages.saving import SaveButton
from fi_workbench.widgets.pages.tradeoff.choice import TradeOffChoice
from fi_workbench.widgets.pages.tradeoff.loading import choice_of, is_in_force
from fi_workbench.widgets.pages.tradeoff.words import (
    COLUMNS,
    REFUSED,
    By,
    drawn,
    full_title,
    refused_rows,
    said_plan,
    said_result,
    table_rows,
)
from fi_workbench.widgets.panels.parts import Quietly, button, changed, column, hint, named, row, section, shown
from fi_workbench.widgets.running.state import Notice
from fi_workbench.widgets.views import TableView
from fi_workbench.widgets.views.choice_table import ChoiceTable
from fi_workbench.widgets.views.trade_off_plot import TradeOffPlot
from fi_workbench.widgets.wording import escaped, in_sentence

N_ROUNDS = 5
"""Rounds that the queries are split into under each setting."""

EACH, ALL = "epsilon of a query", "epsilon of all queries"
LATENCY, BYTES = "latency", "bytes"

_TASK = "Measuring the trade-off"
_EMPTY = "Press Sweep: the same queries are asked under each mechanism and rule."
_WAITING = "The picture comes when every setting is measured, or when you press Stop."
_PICK = "load its settings"


class TradeoffPage(Page):
    """What is swept, the picture, its table, and what did not fit.

    Parameters
    ----------
    desk : Desk
    """

    title = "Trade-off"

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self.result: TradeOff | None = None
        self.rows: tuple[TradeOffRow, ...] = ()
        self._stop, self._following, self._quietly = threading.Event(), threading.RLock(), Quietly()
        self._sweeping = False
        self._planned: tuple[tuple[Any, ...], Plan] = (), Plan(0, 0, 0, 0)  # for what was chosen
        self.choice = TradeOffChoice(self._follow)
        self.go = button("Sweep", "Ask the same queries under each setting", "fi-trade-go fi-primary", self._start)
        self.halt = button("Stop", "Keep what is measured so far", "fi-trade-stop", self._stop_sweep)
        self.progress = named(
            ipywidgets.FloatProgress(0.0, min=0.0, max=1.0, layout={"width": "160px"}), "fi-trade-bar"
        )
        self._how, self.about = hint(css="fi-trade-how"), hint(css="fi-trade-about")
        self.by = self._toggle((EACH, ALL), "fi-trade-by", ("Of one answer", "Of all answers of the sweep together"))
        self.size = self._toggle(
            (LATENCY, BYTES), "fi-trade-size-by", ("A mark's area is its latency", "A mark's area is its bytes")
        )
        self.plot = TradeOffPlot(empty_text=_EMPTY, pick=_PICK, open_word="its enrolment has no noise",
                                 hint="Arrow keys tell each mark; Enter or a click loads its settings.")  # fmt: skip
        self.table = ChoiceTable(title="Every setting", empty_text=_EMPTY, columns=COLUMNS, pick=_PICK)
        for view in (self.plot, self.table):
            view.on_pick(self.load)
        self.refused = TableView(title="Not asked, or not to the end", columns=REFUSED)
        saves = (
            self._save("Save all (CSV)", "One row for each setting", "csv", self.save_csv),
            self._save("Save all (JSON)", "Every round's latency and bytes too", "json", self.save_json),
            self._save("Save figure (HTML)", "Interactive, and complete in itself", "html", self.save_figure),
        )
        self._results = column(
            self.plot, row(self.by, self.size, css="fi-trade-axes"), self.about, self.table, row(*saves), css="fi-stack"
        )
        self._refused = section("What does not fit", self.refused, css="fi-trade-refused", folded=True)
        self._state.observe(lambda _change: self._follow(), "task")
        return (
            row(self.choice.size, self.go, self.halt, self.progress),
            self._how,
            self.choice.lists,
            self._results,
            self._refused,
        )

    def refresh(self) -> None:
        """What would be asked, and which mark is in force."""
        self._mark()
        self._follow()

    def _follow(self) -> None:
        """Which buttons can be pressed; called from two threads, of which the last must see what is so."""
        with self._following:
            self._show_what_is_so()

    def _show_what_is_so(self) -> None:
        federation, task = self._state.federation, self._state.task
        if self._sweeping and (task is None or not task.text.startswith(_TASK)):
            self._sweeping = False  # other work has taken its place
        why = "" if federation is None else self._why_not()
        said = "" if federation is None or why else self._plan(federation)
        self.go.disabled = task is not None or federation is None or bool(why)
        self.halt.disabled = not self._sweeping or self._stop.is_set()
        shown(self.progress, self._sweeping)
        there = bool(self.rows)
        for part in self._results.children[1:]:
            shown(part, there)
        shown(self.about, there and bool(self.about.value))
        shown(self._refused, bool(self.refused.rows))
        if not self._sweeping:
            names = [] if federation is None else [party.name for party in federation.parties]
            outcome = "" if self.result is None else said_result(self.result, names)
            self._how.value = escaped(" ".join(filter(None, (outcome, why or (f"Sweep asks: {said}" if said else "")))))
        empty = _WAITING if self._sweeping else why or _EMPTY
        for view in (self.plot, self.table):
            if view.empty_text != empty:
                view.empty_text = empty

    def _why_not(self) -> str:
        if not self._desk.driver.can_ask or self._desk.driver.sample(1).labels is None:
            return "A sweep needs queries with true labels: fi.Workbench(federation, queries=..., labels=...)."
        return ""

    def _plan(self, federation: Federation) -> str:
        """What a sweep would ask; reckoned anew where something has changed."""
        key = federation, self.choice.size.value, self.choice.mechanisms.value, self.choice.rules.value
        if self._planned[0] != key:
            n_queries = min(self.choice.size.value, self._desk.driver.n_labelled)
            self._planned = key, planned(federation, self.choice.settings, n_queries, N_ROUNDS)
        return said_plan(self._planned[1], self._state.status == "running")

    # sweeping

    def _start(self) -> None:
        federation = self._state.federation
        if federation is None or not self._desk.driver.can_ask:
            return
        question, stop = self._desk.driver.sample(self.choice.size.value), threading.Event()
        settings = self.choice.settings
        with self._following:
            self._sweeping, self._stop = True, stop
        self.progress.value = 0.0

        def work(report: OnProgress) -> TradeOff:
            return self._sweep(federation, question, settings, stop, report)

        self._desk.jobs.start(_TASK, work, self._swept, kept="What was shown before stays.", ended=self._ended)
        self._follow()

    def _sweep(
        self,
        federation: Federation,
        question: Question,
        settings: tuple[Setting, ...],
        stop: threading.Event,
        report: OnProgress,
    ) -> TradeOff:
        """In the background."""
        shown_at = 0.0

        def tell(progress: Progress) -> None:
            nonlocal shown_at
            report(Progress("rounds", progress.done, progress.total))
            if (now := time.monotonic()) - shown_at >= 0.1:
                shown_at = now
                self.progress.value = progress.share
                under = in_sentence(progress.task)
                self._how.value = escaped(f"{progress.done} of {progress.total} rounds: {under}")

        return trade_off(
            federation, question.queries, question.labels, settings, n_rounds=N_ROUNDS, on_progress=tell, cancelled=stop
        )

    def _stop_sweep(self) -> None:
        with self._following:
            self._stop.set()
            self.halt.disabled = True

    def _ended(self) -> None:
        with self._following:
            self._sweeping = False
        self._follow()

    def _swept(self, result: TradeOff) -> None:
        with self._following:
            self._sweeping = False
        if result.rows or self.result is None:
            self.result = result
            self.rows = tuple(sorted(result.measured, key=lambda one: -(one.accuracy or 0.0)))
            self.about.value = ""
            self._draw()
        self._follow()

    # showing

    def _draw(self) -> None:
        result, measured = self.result, self.rows
        if result is None:
            return
        latency = self.size.value == LATENCY
        self.plot.update(selected=-1, **drawn(result, measured, self._by, latency=latency), x_name=self._x_name(result))
        self.table.update(selected=-1, rows=table_rows(measured))
        self.refused.update(rows=refused_rows(one for one in result.rows if one.refused))
        self._mark()

    @property
    def _by(self) -> By:
        return "epsilon_per_query" if self.by.value == EACH else "epsilon_answers"

    def _x_name(self, result: TradeOff) -> str:
        return f"{self.by.value}, at delta {result.delta:g}"

    def _mark(self) -> None:
        """Which mark is in force."""
        federation = self._state.federation
        place = -1
        if federation is not None:
            place = next((k for k, one in enumerate(self.rows) if is_in_force(one.setting, federation)), -1)
        for view in (self.plot, self.table):
            if view.selected != place:
                view.update(selected=place, round=view.round)

    def load(self, place: int) -> None:
        """Choose the settings of a row; contributions are chosen anew where they do not fit."""
        federation = self._state.federation
        if federation is None or not 0 <= place < len(self.rows):
            return
        setting = self.rows[place].setting
        wished, anew = choice_of(setting, self._state.chosen, federation)
        self._state.chosen = wished
        if self._state.status == "refused":
            return  # the notice says why, and what would fit
        self.about.value = escaped(
            f"In force from the next round on: {full_title(setting)}, {in_sentence(setting.rule)}."
            f"{' Contributions are valued by what it shows.' if anew else ''}"
        )
        self._mark()
        self._follow()

    # saving

    def save_csv(self) -> tuple[str, str, bytes]:
        """All settings, one a row."""
        return _file("csv", "text/csv", self._made().to_frame().to_csv(index=False))

    def save_json(self) -> tuple[str, str, bytes]:
        """All that was measured."""
        return _file("json", "application/json", json.dumps(self._made().to_dict(), indent=1))

    def save_figure(self) -> tuple[str, str, bytes]:
        """The picture as plotly draws it."""
        from fi_workbench.widgets.pages.tradeoff.figure import trade_off_figure  # noqa: PLC0415 (plotly takes a while)

        figure = trade_off_figure(self._made(), self._by)
        return _file("html", "text/html", figure.to_html(include_plotlyjs=True, full_html=True))

    def _made(self) -> TradeOff:
        if self.result is None:
            raise FederationError("Nothing was swept yet: press Sweep.")
        return self.result

    def _save(self, label: str, words: str, kind: str, make: Any) -> SaveButton:
        return named(SaveButton(label, words, make, self._tell), f"fi-save-trade-{kind}")

    def _toggle(self, options: tuple[str, str], css: str, tooltips: tuple[str, str]) -> ipywidgets.ToggleButtons:
        control = named(ipywidgets.ToggleButtons(options=options, value=options[0], tooltips=tooltips), css)
        changed(control, self._quietly, lambda _value: self._draw())
        return control

    def _tell(self, text: str) -> None:
        self._state.tell(text, "error")
        self._state.notice = Notice("error", text)


def _file(ending: str, kind: str, text: str) -> tuple[str, str, bytes]:
    return f"fi-workbench-trade-off-{time.strftime('%Y%m%d-%H%M%S')}.{ending}", kind, text.encode()
