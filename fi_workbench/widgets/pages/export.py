"""Saving what happened and how it was set, and setting it so again."""

from __future__ import annotations

import functools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.pages.saving import LoadButton, SaveButton
from fi_workbench.widgets.panels.parts import column, hint, named, row
from fi_workbench.widgets.running.state import Notice

_KINDS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".html": "text/html",
    ".png": "image/png",
}
_BIGGEST_SETTINGS = 1_000_000


class ExportPage(Page):
    """Buttons that save, and a field that loads settings."""

    title = "Export"

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self.csv = self._button("History (CSV)", "One row for each round and party", self.history_csv)
        self.lines = self._button("History (JSON lines)", "All that is kept of each round", self.history_lines)
        self.settings = self._button(
            "Settings (JSON)", "How this federation is set, to be loaded again", self.settings_json
        )
        self.figures = tuple(
            self._button(
                f"{words} ({ending[1:].upper()})", f"{words} as a figure", functools.partial(self.figure, name, ending)
            )
            for ending in (".html", ".png")
            for words, name in (
                ("Accuracy", "accuracy"),
                ("Contributions", "contribution"),
                ("Class counts", "partition"),
            )
        )
        self.upload = named(
            LoadButton("Load settings", "Takes a settings file that was saved here", ".json", self.load),
            "fi-load-settings",
        )
        return (
            _group("History", row(self.csv, self.lines),
                   "Every round that this federation has answered, in this workbench and elsewhere."),
            _group("Settings", row(self.settings, self.upload),
                   "Rule, privacy, contribution, and how demo parties were made. Your own models are named, not saved: "
                   "<code>fi.Federation.from_dict(json.load(file), parties=[...])</code>."),
            _group("Figures", row(*self.figures[:3]), "Interactive pages that stand alone, for a report."),
            _group("Images", row(*self.figures[3:]),
                   "These need the package kaleido and a browser where the kernel runs. Without them, the ⋯ menu of "
                   "each picture saves it as it is on the page."),
        )  # fmt: skip

    def _button(self, label: str, tooltip: str, make: Callable[[], tuple[str, str, bytes]]) -> SaveButton:
        css = "fi-save-" + "-".join("".join(c if c.isalnum() else " " for c in label.lower()).split())
        return named(SaveButton(label, tooltip, make, self._tell), css)

    def history_csv(self) -> tuple[str, str, bytes]:
        """The tidy table."""
        return _file("history", ".csv", self._history().table().to_csv(index=False).encode())

    def history_lines(self) -> tuple[str, str, bytes]:
        """All entries, one JSON object a line."""
        return _file("history", ".jsonl", "".join(json.dumps(entry) + "\n" for entry in self._history()).encode())

    def settings_json(self) -> tuple[str, str, bytes]:
        """The settings in force."""
        if self._state.federation is None:
            raise FederationError("There is no federation yet.")
        return _file("settings", ".json", json.dumps(self._state.federation.to_dict(), indent=2).encode())

    def figure(self, name: str, ending: str) -> tuple[str, str, bytes]:
        """A figure of the whole history, or of the parties' class counts."""
        from fi_workbench.session import report  # noqa: PLC0415 (plotly takes a while to import)

        if name == "partition":
            if self._state.federation is None:
                raise FederationError("There is no federation yet.")
            drawn = {
                one.party.name: counts
                for one in self._state.enabled
                if one.party.made_here
                and self._state.simulation
                and (counts := one.party.facts.class_counts) is not None
            }
            figure = report.partition_figure(drawn, self._state.federation.classes)
        else:
            make = report.accuracy_figure if name == "accuracy" else report.contribution_figure
            figure = make(self._history())
        with tempfile.TemporaryDirectory() as folder:
            content = report.save_figure(figure, Path(folder) / f"{name}{ending}").read_bytes()
        return _file(name, ending, content)

    def load(self, content: bytes) -> None:
        """Work on the federation that a settings file describes."""
        try:
            if len(content) > _BIGGEST_SETTINGS:
                raise ValueError("it is too big for settings")
            given: Any = json.loads(content)
        except ValueError as error:  # also what is no text at all
            self._tell(f"This file was not loaded: it is no JSON ({error}). Choose a file that Settings (JSON) saved.")
            return
        self._desk.cohort.load(given)

    def _history(self) -> Any:
        if self._state.federation is None or not len(self._state.federation.history):
            raise FederationError("There are no rounds yet: ask a batch or press Run.")
        return self._state.federation.history

    def _tell(self, text: str) -> None:
        self._state.tell(text, "error")
        self._state.notice = Notice("error", text)


def _group(title: str, controls: ipywidgets.Widget, words: str) -> ipywidgets.Widget:
    head = named(ipywidgets.HTML(f"<b>{title}</b>"), "fi-group-head")
    return column(head, controls, hint(words), css="fi-group")


def _file(name: str, ending: str, content: bytes) -> tuple[str, str, bytes]:
    return f"fi-workbench-{name}-{time.strftime('%Y%m%d-%H%M%S')}{ending}", _KINDS[ending], content
