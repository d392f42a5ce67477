"""What is promised, who sees what, what each method must see, and how much of the parties' budgets is spent."""

from __future__ import annotations

import time

import ipywidgets

from fi_workbench.core.disclosure import Need
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.pages.privacy.budgets import BudgetPart
from fi_workbench.widgets.pages.privacy.promise import Required, baseline, n_that_fit, promise, required
from fi_workbench.widgets.panels.parts import column, hint, named
from fi_workbench.widgets.panels.privacy_picker import disclosure_matrix, show_disclosure
from fi_workbench.widgets.running.frames import Frame
from fi_workbench.widgets.views import TableView
from fi_workbench.widgets.wording import escaped, protects_nobody, seen

LOOK_SECONDS = 0.5
"""While the stream runs, budgets are looked at this often: each look composes all that was released."""

_COLUMNS = ({"name": "what"}, {"name": "by name"}, {"name": "must see"}, {"name": "met"})
_SEEN: dict[Need, str] = {"each": "each answer", "votes": "each vote", "sum": "the sum", "nothing": "nothing"}


class PrivacyPage(Page):
    """A promise in sentences, the matrix of who sees what, a table of needs, and the budgets.

    Parameters
    ----------
    desk : Desk
    """

    title = "Privacy"

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self._looked = 0.0
        self.promise = named(ipywidgets.HTML(), "fi-promise")
        self.matrix = disclosure_matrix()
        self.needs = named(TableView(title="What must see what", columns=_COLUMNS), "fi-needs")
        self._needs_note = hint(css="fi-needs-note")
        self.budgets = BudgetPart(self._desk)
        return (
            self.promise,
            named(ipywidgets.Box((self.matrix, column(self.needs, self._needs_note))), "fi-pictures"),
            self.budgets.box,
        )

    def refresh(self) -> None:
        """All of it: settings, parties and what was asked may have changed."""
        federation = self._state.federation
        if federation is None:
            return
        said = " ".join(promise(federation))
        css = "fi-error" if protects_nobody(federation.settings.mechanism) else ""
        words = f'<p class="{css}">{escaped(said)}</p>'
        if self.promise.value != words:
            self.promise.value = words
        show_disclosure(self.matrix, federation.disclosure, baseline(federation))
        rows = required(federation)
        self.needs.update(rows=[_row(one) for one in rows], faults=[_fault(one) for one in rows])
        note = n_that_fit(federation.settings.mechanism.carrier.offers)
        if self._needs_note.value != note:
            self._needs_note.value = note
        self._look()

    def show(self, frame: Frame) -> None:
        """The budgets, every so often."""
        if self._state.status != "running" or time.monotonic() - self._looked >= LOOK_SECONDS:
            self._look()

    def _look(self) -> None:
        self._looked = time.monotonic()
        self.budgets.show()


def _row(one: Required) -> tuple[str, str, str, str]:
    return one.what, one.name, _SEEN[one.need], "yes" if one.met else "no"


def _fault(one: Required) -> str:
    return "" if one.met else f"It needs {seen(one.need)}, which is hidden here."
