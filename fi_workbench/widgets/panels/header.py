"""The head of the workbench: the settings in plain words, what goes on, and what went wrong."""

from __future__ import annotations

import functools

import ipywidgets

from fi_workbench.aggregation.combiner import KINDS
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.fit_control import FIT
from fi_workbench.widgets.panels.parts import button, column, named, row, shown
from fi_workbench.widgets.running.funding import deposit
from fi_workbench.widgets.running.link_view import link_sentence
from fi_workbench.widgets.running.state import Notice, Way
from fi_workbench.widgets.views import StatusLine
from fi_workbench.widgets.wording import escaped, sentence, spell

_LABEL = {"info": "Note.", "warning": "Warning.", "error": "Error.", "refused": "Does not fit."}
_HELP = {False: "Choose this instead", True: "Puts money into the client's account in the ledger"}


class Header:
    """Status line and notice.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._state = desk, desk.state
        self.line = StatusLine()
        self._text = named(ipywidgets.HTML(), "fi-notice-text")
        self._ways = row(css="fi-notice-ways")
        self._notice = named(column(self._text, self._ways), "fi-notice")
        self.box = column(self.line, self._notice, css="fi-header")
        self._state.observe(lambda _change: self._show(), ["status", "federation", "members", "task", "frame", "link"])
        self._state.observe(lambda _change: self._show_notice(), "notice")
        self._show()
        self._show_notice()

    def _show(self) -> None:
        state, frame, task = self._state, self._state.frame, self._state.task
        running = state.status == "running"
        values = {
            "status": "lost" if state.link is not None and state.link.status.state == "lost" else state.status,
            "sentence": self._sentence(),
            "round": frame.round if frame else 0,
            "rate": frame.rounds_per_second if frame and running else None,
            "task": spell(task.text) if task else "",
            "progress": task.share if task else None,
        }
        if any(getattr(self.line, name) != value for name, value in values.items()):
            self.line.update(**values)

    def _sentence(self) -> str:
        state = self._state
        if state.link is not None and (said := link_sentence(state.link)):
            return said
        if state.federation is not None:
            n_away = sum(one.asked and one.away == "offline" for one in state.members)
            return sentence(state.federation, len(state.members), n_away)
        return "The parties are being made." if state.status == "preparing" else "No federation yet: make one below."

    def _show_notice(self) -> None:
        notice: Notice | None = self._state.notice
        shown(self._notice, notice is not None)
        if notice is None:
            self._text.value, self._ways.children = "", ()
            return
        for level in _LABEL:
            self._notice.remove_class(f"fi-notice-{level}")
        self._notice.add_class(f"fi-notice-{notice.level}")
        self._text.value = f"<b>{_LABEL[notice.level]}</b> {escaped(notice.text)}"
        self._ways.children = (
            *self._fit(notice),
            *(
                button(way.label, _HELP[bool(way.deposit_micro)], "fi-way", functools.partial(self._go, way))
                for way in notice.ways
            ),
            *(() if notice.level == "refused" else (self._dismiss(),)),
        )

    def _fit(self, notice: Notice) -> tuple[ipywidgets.Button, ...]:
        """The way out for a rule that must be learned first."""
        chosen, fitting = self._state.chosen, self._desk.fitting
        learned = chosen.rule in KINDS and not chosen.rule_options.get("combiner")
        if notice.level != "refused" or not learned or not fitting.n_queries:
            return ()
        label = f"Fit it on {fitting.n_queries} queries"
        return (button(label, FIT, "fi-way", functools.partial(fitting.fit, chosen.rule)),)

    def _dismiss(self) -> ipywidgets.Button:
        return button("Dismiss", "Hide this message; the log keeps it", "fi-dismiss", self._hide)

    def _hide(self) -> None:
        self._state.notice = None

    def _go(self, way: Way) -> None:
        if way.n_helpers:
            self._desk.cohort.add_helpers(way.choice, way.n_helpers)
            return
        self._state.chosen = way.choice
        if way.deposit_micro:
            deposit(self._state, way.deposit_micro)
