"""What the parties are paid, against what merit and an equal split would pay them."""

from __future__ import annotations

import time

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.incentives import shares
from fi_workbench.incentives.fairness import Fairness, fairness
from fi_workbench.incentives.ledger.amounts import units
from fi_workbench.incentives.payout import MICRO
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.panels.ledger_line import LedgerLine
from fi_workbench.widgets.panels.parts import Quietly, changed, column, hint, named
from fi_workbench.widgets.running.earning import Account, Earned
from fi_workbench.widgets.running.frames import Frame
from fi_workbench.widgets.views import SeriesLines, TableView
from fi_workbench.widgets.views.pay_bars import PayBars
from fi_workbench.widgets.wording import condition, escaped, in_sentence, per_cent

SLOW_SECONDS = 0.5
"""While the stream runs, figures that cost more than a sum are looked at this often."""

EACH, TOTAL = "each round", "cumulative"

_UNITS = {"unit": "units", "kind": "number"}
_COLUMNS = (
    {"name": "party"},
    {"name": "share", "unit": "%", "kind": "percent"},
    {"name": "paid", **_UNITS},
    {"name": "by merit", **_UNITS},
    {"name": "difference", **_UNITS},
    {"name": "equal split", **_UNITS},
    {"name": "accuracy", "unit": "%", "kind": "percent"},
)
_CREDIT = (
    {"name": "party"},
    {"name": "contribution", "kind": "number"},
    {"name": "share", "unit": "%", "kind": "percent"},
)
_ERROR = {"name": "standard error", "kind": "number"}
_FIGURES = ({"name": "figure"}, {"name": "as paid", "kind": "number"}, {"name": "equal split", "kind": "number"})


class RewardsPage(Page):
    """Pay over rounds, pay against merit, the exact sums, how fair they are, contributions so far, the ledger.

    Parameters
    ----------
    desk : Desk
    """

    title = "Rewards"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._quietly, self._looked = Quietly(), 0.0

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self.over = named(
            ipywidgets.ToggleButtons(
                options=(EACH, TOTAL), value=TOTAL, tooltips=("What each round paid", "What was paid up to each round")
            ),
            "fi-pay-over",
        )
        changed(self.over, self._quietly, lambda _value: self._draw_again())
        self.lines = SeriesLines(
            title="Pay over rounds", unit="units", empty_text="Nothing was paid yet: ask a batch or press Run."
        )
        self.bars = PayBars()
        self.accounts = TableView(
            title="Paid since the stream began",
            empty_text="Nothing was paid yet: ask a batch or press Run.",
            columns=_COLUMNS,
        )
        self.fair = TableView(title="Fairness against merit", columns=_FIGURES)
        self.credit = TableView(
            title="Contribution so far",
            columns=_CREDIT,
        )
        self._how = hint(css="fi-rewards-how")
        self._credit_note = hint(css="fi-credit-note")
        self.ledger = LedgerLine(self._desk)
        self._needs(self.fair, "votes")
        fair_note = hint(
            "F<sub>skill</sub> is 1 less half the distance between shares of merit and of pay; it rewards flatness, so "
            "read it beside the equal split's. Merit is how many queries a party answered rightly."
        )
        return (
            named(ipywidgets.Box((column(self.lines, self.over), self.bars)), "fi-pictures"),
            column(self.accounts, self._how),
            named(
                ipywidgets.Box((column(self.fair, fair_note), column(self.credit, self._credit_note))), "fi-pictures"
            ),
            self.ledger.box,
        )

    def refresh(self) -> None:
        """What follows the settings: who may be shown, what the mechanism shows, the ledger."""
        if self._state.federation is None:
            return
        self._meets(self.fair, "votes")
        self._draw_again()

    def show(self, frame: Frame) -> None:
        """One message to each picture; what costs more than a sum only so often."""
        earned = frame.earned
        conditions = self._conditions(frame)
        self._show_lines(frame)
        accounts = earned.accounts
        statuses = [conditions[one.number] for one in accounts]
        self.bars.update(
            round=frame.round,
            parties=[one.name for one in accounts],
            colours=[one.number for one in accounts],
            paid=[one.paid / MICRO for one in accounts],
            equal=[one.equal / MICRO for one in accounts],
            merit=[None if one.merit is None else one.merit / MICRO for one in accounts],
            statuses=[status for status, _ in statuses],
            reasons=[reason for _, reason in statuses],
            window=_rounds(earned.n_rounds),
        )
        self._show_accounts(frame, statuses)
        self._how.value = _said(earned)
        now = time.monotonic()
        if self._state.status != "running" or now - self._looked >= SLOW_SECONDS:
            self._looked = now
            self._show_fairness(frame)
            self._show_contributed(frame)
            self.ledger.show()

    def _show_accounts(self, frame: Frame, statuses: list[tuple[str, str]]) -> None:
        """The exact sums; a column says how a party is where one is otherwise than present."""
        accounts, marked = frame.earned.accounts, any(status != "present" for status, _ in statuses)
        rows = [_row(one, frame.earned.pot) for one in accounts]
        if marked:
            states = ["" if status == "present" else status for status, _ in statuses]
            rows = [(*row, state) for row, state in zip(rows, states, strict=True)]
        self.accounts.update(
            round=frame.round,
            columns=(*_COLUMNS, {"name": "state"}) if marked else _COLUMNS,
            rows=rows,
            colours=[one.number for one in accounts],
            faults=[
                "" if status == "present" else ": ".join(filter(None, (status, reason))) for status, reason in statuses
            ],
        )

    def _draw_again(self) -> None:
        if self._state.frame is not None:
            self._looked = 0.0
            self.show(self._state.frame)

    def _conditions(self, frame: Frame) -> dict[int, tuple[str, str]]:
        """How each party that was paid is now, by number."""
        here = {one.number: one for one in self._state.members}
        now = {
            line.number: condition(line.status, line.reason, line.behaviour, self._state.simulation)
            for line in frame.parties
        }
        gone = {
            one.number: ("not asked", "it keeps what it was paid.")
            if one.number in here
            else ("has left", "it keeps what it was paid.")
            for one in frame.earned.accounts
        }
        return gone | now

    def _show_lines(self, frame: Frame) -> None:
        earned, each = frame.earned, self.over.value == EACH
        points = earned.each[:, -self._state.window :] if each else earned.total
        n_hidden = earned.total.shape[1] - points.shape[1]
        self.lines.update(
            round=frame.round,
            title="Pay of each round" if each else "Pay up to each round",
            names=[one.name for one in earned.accounts],
            kinds=["party"] * len(earned.accounts),
            colours=[one.number for one in earned.accounts],
            points=points,
            first_round=earned.first_round + n_hidden,
        )

    def _show_fairness(self, frame: Frame) -> None:
        earned = frame.earned
        merits = [one.merit for one in earned.accounts if one.merit is not None]
        if not earned.pot or not merits:
            waiting = "Nothing was paid yet: ask a batch or press Run."
            unknown = "Merit is not known: it needs true labels, and each party's vote."
            self.fair.update(round=frame.round, rows=(), empty_text=unknown if earned.pot else waiting)
            return
        found = fairness([float(merit) for merit in merits], [float(one.paid) for one in earned.accounts])
        self.fair.update(round=frame.round, rows=_figures(found))

    def _show_contributed(self, frame: Frame) -> None:
        federation = self._state.federation
        if federation is None:
            return
        names = [party.name for party in federation.parties]
        method = federation.settings.method(len(names))
        try:
            found = federation.contributed
        except FederationError:
            nothing = f"No round was valued by {in_sentence(method.name)} yet: ask a batch or press Run."
            self.credit.update(round=frame.round, rows=(), colours=(), empty_text=nothing)
            self._credit_note.value = ""
            return
        values, errors, parts = found.values.tolist(), found.standard_errors, shares(found.values).tolist()
        numbers = {one.party.name: one.number for one in self._state.members}
        self.credit.update(
            round=frame.round,
            columns=_CREDIT if errors is None else (*_CREDIT[:2], _ERROR, *_CREDIT[2:]),
            rows=[
                *(
                    zip(names, values, parts, strict=True)
                    if errors is None
                    else zip(names, values, errors.tolist(), parts, strict=True)
                )
            ],
            colours=[numbers.get(name) for name in names],
        )
        sampled = "" if found.exact else " It was sampled."
        note = f"By {in_sentence(method.name)}, over all rounds that this federation valued so, here and elsewhere."
        self._credit_note.value = escaped(f"{note}{sampled} {found.note}".strip())


def _row(account: Account, pot: int) -> tuple[str | float | None, ...]:
    merit, difference = (None, None) if account.merit is None else (account.merit, account.paid - account.merit)
    return (
        account.name,
        account.paid / pot if pot else None,
        units(account.paid),
        None if merit is None else units(merit),
        None if difference is None else units(difference),
        units(account.equal),
        account.accuracy,
    )


def _said(earned: Earned) -> str:
    if not earned.n_rounds:
        return ""
    text = f"{units(earned.pot)} units in {_rounds(earned.n_rounds)}, exact to the last digit."
    if 0 < earned.n_known < earned.n_rounds:
        text += f" Who was right is known of {_rounds(earned.n_known)}; merit is taken from these."
    return text


def _rounds(n_rounds: int) -> str:
    return "1 round" if n_rounds == 1 else f"{n_rounds} rounds"


def _figures(found: Fairness) -> list[tuple[str, str | float | None, str | float | None]]:
    """Rows of the fairness table: each figure of these payments beside the equal split's."""
    equal = found.equal or found  # of an equal split itself there is no other
    return [
        ("F_skill", found.f_skill, equal.f_skill),
        ("rank correlation (Spearman)", found.spearman, equal.spearman),
        ("rank correlation (Kendall)", found.kendall, equal.kendall),
        ("inequality of pay (Gini)", found.gini, equal.gini),
        ("weakest party's share of the pot", per_cent(found.worst_share), per_cent(equal.worst_share)),
    ]
