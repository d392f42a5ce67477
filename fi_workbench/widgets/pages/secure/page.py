"""A look inside secure inference: who sends what to whom in each step, and what each role holds."""

from __future__ import annotations

import functools
import json
import time

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.core.progress import OnProgress, Progress
from fi_workbench.session.secure_seen import SecureView, can_be_viewed
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.pages.saving import SaveButton
from fi_workbench.widgets.pages.secure.words import (
    ABOUT,
    COLUMNS,
    EMPTY,
    NOBODY,
    NOT_IN_FORCE,
    VALUE_COLUMNS,
    about,
    compared,
    compared_note,
    holds,
    players,
    sent,
    table_rows,
    title,
    totals,
)
from fi_workbench.widgets.panels.parts import Quietly, button, changed, column, hint, named, row, set_options, shown
from fi_workbench.widgets.running.choosing import SECURE, way_to_secure
from fi_workbench.widgets.running.state import Notice
from fi_workbench.widgets.views import ChoiceTable, MessageFlow, TableView
from fi_workbench.widgets.wording import escaped

_TASK = "Looking inside secure inference"


class SecurePage(Page):
    """Which party's model, which step of it, the messages, who holds what, plain beside secure, and all layers.

    Parameters
    ----------
    desk : Desk
    """

    title = "Secure"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.view: SecureView | None = None
        self.step = 0

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self._quietly, self._looking = Quietly(), False
        self._missing = hint(css="fi-secure-missing")
        self.use = button("", "Choose it from the next round on", "fi-secure-use fi-primary", self._use)
        self._refused = column(self._missing, row(self.use), css="fi-secure-refused")
        self.whose = self._dropdown("model of", "fi-secure-party", "Through whose model the query goes")
        self.query = named(
            ipywidgets.BoundedIntText(
                1, min=1, max=1, description="query", tooltip="Which query of the test set goes through the model",
                layout={"width": "140px"},
            ),
            "fi-secure-query",
        )  # fmt: skip
        self.go = button("Look inside", "Send one query through the model, and record every message",
                         "fi-secure-go fi-primary", self._start)  # fmt: skip
        self.back = button("◀", "The step before", "fi-secure-back fi-icon", functools.partial(self._move, -1))
        self.on = button("▶", "The next step", "fi-secure-on fi-icon", functools.partial(self._move, 1))
        self.which = self._dropdown("step", "fi-secure-step", "Which step of the model is drawn")
        changed(self.which, self._quietly, self._choose)
        self._said, self._what, self._note = hint(css="fi-secure-said"), hint(css="fi-secure-what"), hint()
        self.flow = MessageFlow(title="Messages", empty_text=EMPTY)
        self.holdings = MessageFlow(title="Who holds what", empty_text=EMPTY)
        self.values = TableView(title="Plain against secure", empty_text=EMPTY, columns=VALUE_COLUMNS)
        self.layers = named(
            ChoiceTable(title="All steps", empty_text=EMPTY, columns=COLUMNS, pick="look at the step"),
            "fi-secure-layers",
        )
        self.layers.on_pick(self._choose)
        self.csv = named(SaveButton("Save steps (CSV)", "One row for each step", self.save_csv, self._tell),
                         "fi-save-secure-csv")  # fmt: skip
        self.json = named(SaveButton("Save all (JSON)", "Messages and what is held, too", self.save_json, self._tell),
                          "fi-save-secure-json")  # fmt: skip
        self._steps = row(self.back, self.which, self.on, self.csv, self.json, css="fi-secure-steps")
        self._drawn = column(
            column(self._steps, self._what, self.flow),
            self.holdings,
            column(self.values, self._note),
            column(self.layers, self._said),
            css="fi-stack",
        )
        self._open = column(row(self.whose, self.query, self.go), hint(ABOUT), self._drawn, css="fi-secure-open")
        self._state.observe(lambda _change: self.refresh(), "task")
        return self._refused, self._open

    def refresh(self) -> None:
        """Whether there is something to look into, and at whom."""
        federation = self._state.federation
        if federation is None or not self._built:
            return
        names = [one.name for one in federation.parties if can_be_viewed(one)]
        secure = federation.settings.mechanism.carrier.name == SECURE
        way = None if secure else way_to_secure(federation, self._state.chosen)
        missing = NOT_IN_FORCE if not secure else "" if names else NOBODY
        if self._missing.value != missing:
            self._missing.value = missing
        if way is not None and self.use.description != way.label:
            self.use.description = way.label
        shown(self._refused, bool(missing))
        shown(self.use, way is not None)
        shown(self._open, not missing)
        if names:
            with self._quietly:
                set_options(self.whose, [(name, name) for name in names],
                            self.whose.value if self.whose.value in names else names[0])  # fmt: skip
        n_queries = self._n_queries()
        if n_queries and self.query.max != n_queries:
            self.query.max = n_queries
        self.go.disabled = self._state.task is not None or not n_queries or not names
        shown(self._steps, self.view is not None)
        if self.view is None:
            return
        self._draw()

    def _n_queries(self) -> int:
        federation = self._state.federation
        return 0 if federation is None or federation.dataset is None else len(federation.dataset.test_images)

    def _use(self) -> None:
        federation = self._state.federation
        way = None if federation is None else way_to_secure(federation, self._state.chosen)
        if way is not None:
            self._state.chosen = way.choice

    # looking

    def _start(self) -> None:
        federation = self._state.federation
        if federation is None or federation.dataset is None or self.whose.value is None:
            return
        whose, query = self.whose.value, federation.dataset.test_images[self.query.value - 1]

        def work(report: OnProgress) -> SecureView:
            from fi_workbench.session.secure_view import secure_view  # noqa: PLC0415 (torch takes seconds)

            report(Progress("the three roles work", 0, 1))
            return secure_view(federation, whose, query)

        self._desk.jobs.start(_TASK, work, self._looked, kept="What was looked at before stays.")

    def _looked(self, view: SecureView) -> None:
        self.view = view
        busiest = max(range(len(view.steps)), key=lambda number: len(view.steps[number].messages))
        self._choose(busiest)
        self.refresh()

    # showing

    def _choose(self, number: int) -> None:
        self.step = number
        self._draw()

    def _move(self, by: int) -> None:
        if self.view is not None:
            self._choose(min(max(self.step + by, 0), len(self.view.steps) - 1))

    def _draw(self) -> None:
        view = self.view
        if view is None:
            return
        self.step = min(self.step, len(view.steps) - 1)
        step = view.steps[self.step]
        with self._quietly:
            titles = [(title(view, number).split(": ", 1)[1], number) for number in range(len(view.steps))]
            set_options(self.which, [(f"{number + 1}. {name}", number) for name, number in titles], self.step)
        self.back.disabled, self.on.disabled = self.step == 0, self.step == len(view.steps) - 1
        who = players(view, {one.party.name: one.number for one in self._state.members})
        self.flow.update(
            title=title(view, self.step), lines=sent(step), **who,
            empty_text="Nothing is sent in this step: each role works on what it has.",
        )  # fmt: skip
        self.holdings.update(lines=holds(step), **who)
        self.values.update(rows=compared(step))
        self.layers.update(rows=table_rows(view), selected=self.step)
        self._what.value, self._note.value = escaped(about(step)), escaped(compared_note(step))
        self._said.value = escaped(totals(view))

    # saving

    def save_csv(self) -> tuple[str, str, bytes]:
        """One row a step."""
        return _file("csv", "text/csv", self._made().to_frame().to_csv())

    def save_json(self) -> tuple[str, str, bytes]:
        """All of it."""
        return _file("json", "application/json", json.dumps(self._made().to_dict(), indent=1))

    def _made(self) -> SecureView:
        if self.view is None:
            raise FederationError("Nothing was looked at yet: press Look inside.")
        return self.view

    def _dropdown(self, words: str, css: str, tooltip: str) -> ipywidgets.Dropdown:
        return named(ipywidgets.Dropdown(options=(), description=words, tooltip=tooltip), css)

    def _tell(self, text: str) -> None:
        self._state.tell(text, "error")
        self._state.notice = Notice("error", text)


def _file(ending: str, kind: str, text: str) -> tuple[str, str, bytes]:
    return f"fi-workbench-secure-{time.strftime('%Y%m%d-%H%M%S')}.{ending}", kind, text.encode()
