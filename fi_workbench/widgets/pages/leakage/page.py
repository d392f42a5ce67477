"""What leaks to one role about one party: meters run in real rounds, beside an earlier run."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.core.progress import OnProgress, Progress
from fi_workbench.session.federation import Federation
from fi_workbench.session.leaking.leakage import leakage, n_leakage_queries
from fi_workbench.session.leaking.result import Leakage
from fi_workbench.session.trading_off.result import Setting
from fi_workbench.widgets.pages.leakage.choice import LeakageChoice
from fi_workbench.widgets.pages.leakage.words import (
    COLUMNS,
    Run,
    drawn,
    looks,
    setting_in_force,
    table_rows,
    tidy,
    to_compare,
    verdict,
)
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.pages.saving import SaveButton
from fi_workbench.widgets.panels.parts import Quietly, button, changed, column, hint, named, row, set_options, shown
from fi_workbench.widgets.running.state import Notice
from fi_workbench.widgets.views import TableView
from fi_workbench.widgets.views.leak_dots import LeakDots
from fi_workbench.widgets.wording import escaped

MAIN, EVERY = "main figures", "all figures"

MOST_RUNS = 20
"""So many runs are kept; the oldest goes first."""

_TASK = "Measuring leakage"
_EMPTY = "Press Measure: the parties are asked, and attackers try what they can with what the role sees."
_WAITING = "The picture comes when every meter is done, or when you press Stop."


class LeakagePage(Page):
    """Who looks at whom, what it found, and what it found before.

    Parameters
    ----------
    desk : Desk
    """

    title = "Leakage"

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self.runs: tuple[Run, ...] = ()
        self._stop, self._following, self._quietly = threading.Event(), threading.RLock(), Quietly()
        self._measuring, self._n_runs, self._known = False, 0, ((), "", "")
        self.choice = LeakageChoice(self._follow)
        self.go = button("Measure", "Ask the parties, then run the meters", "fi-leak-go fi-primary", self._start)
        self.halt = button("Stop", "Keep what is measured so far", "fi-leak-stop", self._stop_measuring)
        self.progress = named(ipywidgets.FloatProgress(0.0, min=0.0, max=1.0, layout={"width": "160px"}), "fi-leak-bar")
        self._how, self.verdict = hint(css="fi-leak-how"), hint(css="fi-leak-verdict")
        self.which = self._dropdown("now", "fi-leak-which", "Which run is drawn as now")
        self.before = self._dropdown("before", "fi-leak-before", "Which run it is compared with")
        changed(self.which, self._quietly, self._choose)
        changed(self.before, self._quietly, lambda _value: self._draw())
        self.figures = named(
            ipywidgets.ToggleButtons(
                options=(MAIN, EVERY), value=MAIN,
                tooltips=("Each meter's first figure, and members told for sure", "All figures of each meter"),
            ),
            "fi-leak-figures",
        )  # fmt: skip
        changed(self.figures, self._quietly, lambda _value: self._draw())
        self.dots = LeakDots(empty_text=_EMPTY)
        self.table = named(TableView(title="Every figure", empty_text=_EMPTY, columns=COLUMNS), "fi-leak-table")
        self.csv = named(SaveButton("Save all runs (CSV)", "One row for each figure", self.save_csv, self._tell),
                         "fi-save-leakage-csv")  # fmt: skip
        self.json = named(SaveButton("Save all runs (JSON)", "Curves too", self.save_json, self._tell),
                          "fi-save-leakage-json")  # fmt: skip
        self._results = column(
            column(row(self.which, self.before, css="fi-leak-runs"), self.verdict), self.dots,
            row(self.figures, self.csv, self.json), self.table, css="fi-stack",
        )  # fmt: skip
        self._state.observe(lambda _change: self._follow(), "task")
        return (
            row(self.choice.role, self.choice.target, self.choice.size, self.go, self.halt, self.progress),
            self._how,
            self.choice.lists,
            self._results,
        )

    def refresh(self) -> None:
        """The list of parties, what may be asked, and how much."""
        self.choice.show([one.party.name for one in self._state.enabled])
        self._follow()

    def _follow(self) -> None:
        """Which buttons can be pressed; called from two threads, of which the last must see what is so."""
        with self._following:
            self._show_what_is_so()

    def _show_what_is_so(self) -> None:
        federation, task = self._state.federation, self._state.task
        if self._measuring and (task is None or not task.text.startswith(_TASK)):
            self._measuring = False  # other work has taken its place
        said, why = ("", "") if federation is None else self._price(federation)
        self.go.disabled = task is not None or federation is None or bool(why)
        self.halt.disabled = not self._measuring or self._stop.is_set()
        shown(self.progress, self._measuring)
        drawn_ = bool(self.runs)
        for part in (*self._results.children[:1], *self._results.children[2:]):
            shown(part, drawn_)
        if not self._measuring:
            self._how.value = escaped(why or said)
        empty = _WAITING if self._measuring else why or _EMPTY
        for view in (self.dots, self.table):
            if view.empty_text != empty:
                view.empty_text = empty

    def _price(self, federation: Federation) -> tuple[str, str]:
        """What a measurement would ask, or why it cannot be made; reckoned anew where something has changed."""
        chosen = self.choice.chosen
        if chosen["target"] is None:
            return "", "A measurement needs a party to look at: enable one."
        key = federation, *chosen.values()
        if self._known[0] != key:
            said = why = ""
            try:
                n_queries = n_leakage_queries(federation, **chosen)
            except FederationError as error:
                why = str(error)
            else:
                who = looks(chosen["role"])
                said = (
                    f"Measure asks each party {n_queries:,} queries, which count against budgets and are not paid for."
                    if n_queries
                    else f"Measure asks nothing: under these settings {who} nothing of the answers."
                )
            self._known = key, said, why
        return self._known[1], self._known[2]

    # measuring

    def _start(self) -> None:
        federation = self._state.federation
        if federation is None:
            return
        stop, chosen, setting = threading.Event(), self.choice.chosen, setting_in_force(federation)
        with self._following:
            self._measuring, self._stop = True, stop
        self.progress.value = 0.0

        def work(report: OnProgress) -> tuple[Setting, Leakage | None]:
            return setting, self._measure(federation, chosen, stop, report)

        self._desk.jobs.start(_TASK, work, self._measured, kept="Earlier runs stay.", ended=self._ended)
        self._follow()

    def _measure(
        self, federation: Federation, chosen: dict[str, Any], stop: threading.Event, report: OnProgress
    ) -> Leakage | None:
        """In the background; None where it was stopped before anything was measured."""
        shown_at = 0.0

        def tell(progress: Progress) -> None:
            nonlocal shown_at
            report(Progress("steps", progress.done, progress.total))
            if (now := time.monotonic()) - shown_at >= 0.1:
                shown_at = now
                self.progress.value = min(progress.share, 1.0)
                self._how.value = escaped(progress.task.replace("_", " "))

        try:
            found = leakage(federation, on_progress=tell, cancelled=stop, **chosen)
        except FederationError:
            if stop.is_set():
                return None
            raise
        return found if found.rows or not stop.is_set() else None

    def _stop_measuring(self) -> None:
        with self._following:
            self._stop.set()
            self.halt.disabled = True

    def _ended(self) -> None:
        with self._following:
            self._measuring = False
        self._follow()

    def _measured(self, made: tuple[Setting, Leakage | None]) -> None:
        setting, found = made
        with self._following:
            self._measuring = False
            if found is not None:
                self._n_runs += 1
                self.runs = (*self.runs, Run(self._n_runs, setting, found))[-MOST_RUNS:]
        if found is not None:
            self._choose(self._n_runs)
        self._follow()

    # showing

    def _choose(self, number: int) -> None:
        """Draw a run, beside what it is best held against."""
        run = self._run(number)
        if run is None:
            return
        other = to_compare(self.runs, run)
        with self._quietly:
            newest = tuple(reversed(self.runs))
            set_options(self.which, [(one.title, one.number) for one in newest], number)
            rest = [(one.title, one.number) for one in newest if one is not run]
            set_options(self.before, [("nothing", 0), *rest], 0 if other is None else other.number)
        self._draw()

    def _draw(self) -> None:
        run, before = self._run(self.which.value), self._run(self.before.value)
        if run is None:
            return
        self.dots.update(**drawn(run, before, self.figures.value == EVERY))
        self.table.update(rows=table_rows(run, before))
        self.verdict.value = escaped(verdict(run, before))

    def _run(self, number: int | None) -> Run | None:
        return next((one for one in self.runs if one.number == number), None)

    # saving

    def save_csv(self) -> tuple[str, str, bytes]:
        """All figures of all runs, one a row."""
        return _file("csv", "text/csv", tidy(self._made()).to_csv(index=False))

    def save_json(self) -> tuple[str, str, bytes]:
        """All runs, with their curves."""
        runs = [{"run": one.number, "setting": one.setting.to_dict(), **one.leakage.to_dict()} for one in self._made()]
        return _file("json", "application/json", json.dumps(runs, indent=1))

    def _made(self) -> tuple[Run, ...]:
        if not self.runs:
            raise FederationError("Nothing was measured yet: press Measure.")
        return self.runs

    def _dropdown(self, words: str, css: str, tooltip: str) -> ipywidgets.Dropdown:
        control = ipywidgets.Dropdown(description=words, tooltip=tooltip, style={"description_width": "48px"})
        return named(control, css)

    def _tell(self, text: str) -> None:
        self._state.tell(text, "error")
        self._state.notice = Notice("error", text)


def _file(ending: str, kind: str, text: str) -> tuple[str, str, bytes]:
    return f"fi-workbench-leakage-{time.strftime('%Y%m%d-%H%M%S')}.{ending}", kind, text.encode()
