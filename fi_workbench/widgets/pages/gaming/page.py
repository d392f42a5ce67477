"""What it pays one party to be dishonest, and what that costs all: a sweep over behaviours, rewards and rules."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.core.messages import Question
from fi_workbench.core.progress import OnProgress, Progress
from fi_workbench.parties.behaviours import behaviours
from fi_workbench.session.federation import Federation
from fi_workbench.session.gaming import gaming_matrix_of
from fi_workbench.session.gaming_result import GamingMatrix
from fi_workbench.widgets.pages.gaming.choice import SweepChoice
from fi_workbench.widgets.pages.gaming.maps import SUMMARY, cost_map, gain_map, marks, summary_rows, tidy
from fi_workbench.widgets.pages.gaming.maps import changed as what_changes
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.pages.saving import SaveButton
from fi_workbench.widgets.panels.parts import Quietly, button, changed, column, hint, named, row, shown
from fi_workbench.widgets.running.state import Notice
from fi_workbench.widgets.views import TableView
from fi_workbench.widgets.views.heat_map import HeatMap
from fi_workbench.widgets.wording import escaped, in_sentence, listed, title

_EMPTY = "Press Sweep: one party is dishonest in every way, under every reward and rule."

_INTRODUCTION = "Simulation: the parties answer honestly, once; the cheating is computed."
_SWEEP = "Sweeping"
_SWEEPING = "The maps come when every cell is computed, or when you press Stop."


class GamingPage(Page):
    """Who cheats, how, and on how many queries; then two heat maps.

    Parameters
    ----------
    desk : Desk
    """

    title = "Gaming"

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self.result: GamingMatrix | None = None
        self._quietly, self._stop = Quietly(), threading.Event()
        self._following = threading.RLock()
        self._sweeping, self._why = False, ""
        self.choice = SweepChoice()
        self.go = button(
            "Sweep", "Ask the parties once, then compute every cell", "fi-gaming-go fi-primary", self._start
        )
        self.halt = button("Stop", "Keep what is computed so far", "fi-gaming-stop", self._stop_sweep)
        self.protected = named(
            ipywidgets.Checkbox(False, indent=False, description="Under commit-reveal",
                                tooltip="Everybody commits to an answer before any is shown: nobody can copy"),
            "fi-gaming-protected",
        )  # fmt: skip
        changed(self.protected, self._quietly, lambda _value: self._draw())
        self.progress = named(
            ipywidgets.FloatProgress(0.0, min=0.0, max=1.0, layout={"width": "160px"}), "fi-gaming-bar"
        )
        self._how = hint(_INTRODUCTION, "fi-gaming-how")
        self.verdict = hint(css="fi-gaming-verdict")
        self.gain, self.cost = (
            HeatMap(title=name, scale="diverging", kind=kind, unit=unit, square=False, empty_text=_EMPTY, hint=help_,
                    pick="explain the behaviour", mark_word="flagged by the audit of claims")
            for name, kind, unit, help_ in (
                ("Gain of the cheater", "factor", "×", "Its share, multiplied. Enter or a click explains a behaviour."),
                ("Accuracy lost", "percent", "points", "Points of accuracy that the federation loses."),
            )
        )  # fmt: skip
        for view in (self.gain, self.cost):
            self._needs(view, "each")
            view.on_pick(lambda picked, _column: self._explain(picked))
        self.about = hint(css="fi-gaming-about")
        self.table = TableView(title="Each behaviour at its worst", empty_text=_EMPTY, columns=SUMMARY)
        self.csv = named(SaveButton("Save all (CSV)", "One row for each cell, both ways", self.save_csv, self._tell),
                         "fi-save-gaming-csv")  # fmt: skip
        self.json = named(SaveButton("Save all (JSON)", "Shares and accuracies too", self.save_json, self._tell),
                          "fi-save-gaming-json")  # fmt: skip
        self._results = column(
            row(self.protected, self.csv, self.json), self.verdict, self.gain, self.about, self.cost, self.table,
            css="fi-stack",
        )  # fmt: skip
        self._state.observe(lambda _change: self._follow(), "task")
        return (
            row(self.choice.cheater, self.choice.size, self.go, self.halt, self.progress),
            self._how,
            self.choice.lists,
            self._results,
        )

    def refresh(self) -> None:
        """The list of parties, what may be asked, and what may be shown."""
        self.choice.show([one.party.name for one in self._state.enabled])
        for view in (self.gain, self.cost):
            self._meets(view, "each")
        if self.result is not None and self.result.cheater not in {one.party.name for one in self._state.members}:
            self.result = None  # of parties that are gone
            self._draw()
        self._follow()

    def _follow(self) -> None:
        """Which buttons can be pressed; called from two threads, of which the last must see what is so."""
        with self._following:
            self._show_what_is_so()

    def _show_what_is_so(self) -> None:
        federation, drawn, task = self._state.federation, self.result is not None, self._state.task
        if self._sweeping and (task is None or not task.text.startswith(_SWEEP)):
            self._over()  # other work has taken its place
        why = "" if federation is None else self._why_not(federation)
        self.go.disabled = task is not None or federation is None or bool(why or self.gain.refusal)
        self.halt.disabled = not self._sweeping
        shown(self.progress, self._sweeping)
        for control in (self.protected, self.csv, self.json, self.table):
            shown(control, drawn)
        for text in (self.verdict, self.about):
            shown(text, bool(text.value))
        if not drawn and (why or self._how.value == self._why):
            self._how.value = escaped(why or _INTRODUCTION)
        self._why = escaped(why)
        if not self._sweeping:
            self._say_empty(why or _EMPTY)

    def _why_not(self, federation: Federation) -> str:
        if self.gain.refusal:
            return ""  # said where the maps would be
        if len(federation.parties) < 2:
            return "A sweep takes two parties: enable another one."
        if not self._desk.driver.can_ask or self._desk.driver.sample(1).labels is None:
            return "A sweep needs queries with true labels: fi.Workbench(federation, queries=..., labels=...)."
        return ""

    # sweeping

    def _start(self) -> None:
        federation = self._state.federation
        if federation is None or not self._desk.driver.can_ask:
            return
        question, self._stop = self._desk.driver.sample(self.choice.size.value), threading.Event()
        chosen = self.choice.swept
        self._sweeping = True
        self.progress.value = 0.0
        self._say_empty(_SWEEPING)
        stop = self._stop

        def work(report: OnProgress) -> GamingMatrix | None:
            return self._sweep(federation, question, chosen, stop, report)

        self._desk.jobs.start(_SWEEP, work, self._swept, kept="What was shown before stays.", ended=self._ended)
        self._follow()

    def _sweep(
        self,
        federation: Federation,
        question: Question,
        chosen: dict[str, Any],
        stop: threading.Event,
        report: OnProgress,
    ) -> GamingMatrix | None:
        """In the background; None where it was stopped before anything was computed."""
        shown_at = 0.0

        def tell(progress: Progress) -> None:
            nonlocal shown_at
            report(Progress("cells", progress.done, progress.total))
            if (now := time.monotonic()) - shown_at >= 0.1:
                shown_at = now
                self.progress.value = progress.share
                self._how.value = escaped(
                    f"{progress.done} of {progress.total} cells: {progress.task.replace('_', ' ')}"
                )

        try:
            return gaming_matrix_of(
                federation, question.queries, question.labels, commit_reveal="both",
                payout=federation.settings.payout, on_progress=tell, cancelled=stop, **chosen,
            )  # fmt: skip
        except FederationError:
            if stop.is_set():
                return None
            raise

    def _stop_sweep(self) -> None:
        self._stop.set()
        self.halt.disabled = True

    def _over(self) -> None:
        self._sweeping = False
        self._say_empty(_EMPTY)

    def _say_empty(self, text: str) -> None:
        """What stands where the maps will be."""
        for view in (self.gain, self.cost):
            if view.empty_text != text:
                view.empty_text = text

    def _ended(self) -> None:
        self._over()
        self._how.value = "The sweep did not come to its end; what was shown before stays."
        self._follow()

    def _swept(self, result: GamingMatrix | None) -> None:
        self._over()
        if result is None:
            self._how.value = "Stopped before the parties had answered."
        else:
            self.result = result
            self._how.value = escaped(self._said(result))
            self._draw()
        self._follow()

    def _said(self, result: GamingMatrix) -> str:
        """How it was computed."""
        said = [f"{result.cheater} cheats, all others are honest; shares by the payout {in_sentence(result.payout)}."]
        if not result.complete:
            said.append("Stopped: cells that were not computed show a dash.")
        federation = self._state.federation
        if federation is not None and (set_to := federation.behaviours):
            ways = [f"{name} ({in_sentence(one.name)})" for name, one in set_to.items()]
            said.append(f"Set to misbehave now, and counted as honest here: {listed(ways)}.")
        if result.left_out:
            said.append(f"Left out, for they do not fit: {listed([in_sentence(name) for name in result.left_out])}.")
        return " ".join(said)

    # showing

    def _draw(self) -> None:
        result = self.result
        if result is None:
            for view in (self.gain, self.cost):
                view.update(rows=(), columns=(), values=b"", shades=b"", sentences=(), marks=(), selected=-1)
            self.table.update(rows=())
            self.verdict.value = self.about.value = ""
            return
        place = result.protections.index("commit_reveal") if self.protected.value else 0
        way = "under commit-reveal" if self.protected.value else "the cheater hears its peers first"
        names, flags = [title(name) for name in result.behaviours], marks(result, place)
        for view, drawn in ((self.gain, gain_map(result, place)), (self.cost, cost_map(result, place))):
            view.update(
                rows=names, columns=drawn.columns, values=drawn.values, shades=drawn.shades, marks=flags,
                sentences=drawn.sentences, legend=drawn.legend, summary=drawn.summary, note=way, selected=-1,
            )  # fmt: skip
        self.verdict.value = escaped(what_changes(result))
        self.about.value = ""
        shown(self.about, False)
        self.table.update(rows=summary_rows(result, place))

    def _explain(self, picked: int) -> None:
        if self.result is None or not 0 <= picked < len(self.result.behaviours):
            return
        name = self.result.behaviours[picked]
        known = behaviours[name]
        source = f" Source: {escaped(known.source)}" if known.source else ""
        shown(self.about, True)
        self.about.value = f"<b>{escaped(title(name))}.</b> {escaped(known.explanation)}{source}"
        for view in (self.gain, self.cost):
            view.update(selected=picked, round=view.round)

    # saving

    def save_csv(self) -> tuple[str, str, bytes]:
        """All cells, one a row."""
        return _file("csv", "text/csv", tidy(self._made()).to_csv(index=False))

    def save_json(self) -> tuple[str, str, bytes]:
        """All arrays of the sweep."""
        return _file("json", "application/json", json.dumps(self._made().to_dict(), indent=1))

    def _made(self) -> GamingMatrix:
        if self.result is None:
            raise FederationError("Nothing was swept yet: press Sweep.")
        return self.result

    def _tell(self, text: str) -> None:
        self._state.tell(text, "error")
        self._state.notice = Notice("error", text)


def _file(ending: str, kind: str, text: str) -> tuple[str, str, bytes]:
    return f"fi-workbench-gaming-{time.strftime('%Y%m%d-%H%M%S')}.{ending}", kind, text.encode()
