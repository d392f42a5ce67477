"""How much of the parties' privacy budgets this client has spent: gauges, who refuses and why, a table, a file."""

from __future__ import annotations

import csv
import functools
import io
import time

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.saving import SaveButton
from fi_workbench.widgets.panels.parts import button, column, hint, named, row, shown
from fi_workbench.widgets.running.budgets import Budget, budgets_of
from fi_workbench.widgets.running.choosing import ways_to_guarantee
from fi_workbench.widgets.running.state import Notice
from fi_workbench.widgets.views import TableView
from fi_workbench.widgets.views.budget_gauges import BudgetGauges
from fi_workbench.widgets.wording import escaped, listed

MOST_SAID = 4
"""Reasons that are told one by one."""

_EPSILON = {"unit": "epsilon", "kind": "number"}
_COLUMNS = (
    {"name": "party"},
    {"name": "spent", **_EPSILON},
    {"name": "limit", **_EPSILON},
    {"name": "left", **_EPSILON},
    {"name": "queries", "kind": "count"},
    {"name": "last"},
    {"name": "booked by"},
)
_FIELDS = ("party", "client", "epsilon_spent", "epsilon_limit", "epsilon_left", "delta", "accounting", "n_queries",
           "last_spent", "booked_by")  # fmt: skip

_WHAT_TO_DO = (
    "What is spent does not come back: ask the owner for a higher limit, choose noise that costs less where something "
    "is left, or go on without this party."
)
_NO_GUARANTEE = "A party with a budget answers only under noise with an epsilon: choose some, or go on without it."
_HOW = (
    "Each party books what a question costs before it answers, for each client by itself, and refuses what is over its "
    "limit. The owner sets the limit: <code>fi.Federation(parties, policies={&quot;A&quot;: fi.Policy(epsilon=8)})"
    "</code> here, <code>fi-workbench join --epsilon 8</code> elsewhere."
)


class BudgetPart:
    """The lower half of the page Privacy.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._state = desk, desk.state
        self.budgets: tuple[Budget, ...] = ()
        self.gauges = BudgetGauges(title="Privacy budgets")
        self._refused = named(ipywidgets.HTML(), "fi-budget-refused")
        self._ways = row(css="fi-notice-ways")
        self._notice = named(column(self._refused, self._ways), "fi-notice", "fi-notice-error")
        self._offered: tuple[tuple[str, ...], bool] = (), False
        self.table = TableView(title="The budgets in numbers", columns=_COLUMNS)
        self._whose = hint(css="fi-budget-client")
        self.csv = named(
            SaveButton("Save budgets (CSV)", "One row for each party, with whole keys", self.save_csv, self._tell),
            "fi-save-budgets-csv",
        )
        self.box = column(
            column(self.gauges, self._notice, hint(_HOW)),
            column(self.table, self._whose, row(self.csv)),
            css="fi-stack",
        )
        shown(self._notice, False)

    def show(self) -> None:
        """Look again."""
        federation = self._state.federation
        if federation is None:
            return
        self.budgets = budgets_of(federation, self._state.members, self._state.record)
        rows, colours = [one.row for one in self.budgets], [one.number for one in self.budgets]
        faults = [one.sentence if one.refuses else "" for one in self.budgets]
        self.gauges.update(
            parties=[one.party for one in rows],
            colours=colours,
            kinds=[one.kind for one in self.budgets],
            spent=[one.spent for one in self.budgets],
            limits=[one.limit for one in rows],
            left=[one.left for one in rows],
            queries=[one.n_queries for one in rows],
            sentences=[one.sentence for one in self.budgets],
            note=_note(self.budgets),
        )
        self.table.update(rows=[_cells(one) for one in self.budgets], colours=colours, faults=faults)
        whose = f"Booked for this client, whose key begins with {federation.client.public.verify_key.hex()[:12]}."
        if self._whose.value != whose:
            self._whose.value = whose
        self._show_refused([one for one in self.budgets if one.refuses])

    def _show_refused(self, spent: list[Budget]) -> None:
        """Who refuses and why, and what to do: leave them out, or add noise where there was none."""
        shown(self._notice, bool(spent))
        whys: dict[str, list[str]] = {}
        for one in spent:
            why = f"refused the last round: {one.refused}" if one.refused else "has nothing left for this client."
            whys.setdefault(why, []).append(one.row.party)
        said = [
            f"<div><b>{escaped(listed(names))}</b> {escaped(why)}</div>" for why, names in [*whys.items()][:MOST_SAID]
        ]
        unbounded = any("guarantee" in one.refused for one in spent)
        advice = f"<div>{_NO_GUARANTEE if unbounded else _WHAT_TO_DO}</div>"
        text = "".join([*said, advice]) if spent else ""
        if self._refused.value != text:
            self._refused.value = text
        names = tuple(one.row.party for one in spent) if len(spent) < len(self.budgets) else ()
        if (names, unbounded) != self._offered:
            self._offered = names, unbounded
            self._ways.children = self._buttons(names, unbounded)

    def _buttons(self, names: tuple[str, ...], unbounded: bool) -> list[ipywidgets.Button]:
        found = []
        for way in ways_to_guarantee(self._state.chosen) if unbounded else ():
            choose = functools.partial(self._choose, way.label)
            found.append(button(way.label, "With its usual epsilon, from the next round on", "fi-add-noise", choose))
        if names:
            label = f"Leave out {listed(names, 3)}"
            found.append(button(label, "Not asked from the next round on", "fi-leave-out", self._leave_out))
        return found

    def _choose(self, label: str) -> None:
        """What is chosen otherwise may have changed since the button was made."""
        self._state.chosen = next(way.choice for way in ways_to_guarantee(self._state.chosen) if way.label == label)

    def _leave_out(self) -> None:
        for one in self.budgets:
            if one.refuses and one.number is not None:
                self._desk.cohort.enable(one.number, False)

    def save_csv(self) -> tuple[str, str, bytes]:
        """One row for each party that is asked."""
        if not self.budgets:
            raise FederationError("There is no party to ask.")
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(_FIELDS)
        for one in (budget.row for budget in self.budgets):
            numbers = ["" if value is None else f"{value:.12g}" for value in (one.epsilon, one.limit, one.left)]
            writer.writerow(
                (one.party, one.client, *numbers, one.delta, one.accounting, one.n_queries, _when(one.since),
                 one.booked_by)
            )  # fmt: skip
        return f"fi-workbench-budgets-{time.strftime('%Y%m%d-%H%M%S')}.csv", "text/csv", text.getvalue().encode()

    def _tell(self, text: str) -> None:
        self._state.tell(text, "error")
        self._state.notice = Notice("error", text)


def _cells(one: Budget) -> tuple[str | float | int | None, ...]:
    row, spent = one.row, "∞" if one.spent is None else one.spent
    limit = "none" if row.limit is None and one.kind in ("unlimited", "unprotected") else row.limit
    return row.party, spent, limit, row.left, row.n_queries, _when(row.since), row.booked_by


def _when(since: float | None) -> str:
    return "" if since is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(since))


def _note(found: tuple[Budget, ...]) -> str:
    """Delta and accounting, where all agree on them."""
    deltas, ways = {one.row.delta for one in found}, {one.row.accounting for one in found}
    said = [f"delta {next(iter(deltas)):g}"] if len(deltas) == 1 else []
    said += [f"{next(iter(ways)).upper()} accounting"] if len(ways) == 1 else []
    return f"epsilon at {', '.join(said)}" if said else "epsilon; delta and accounting differ"
