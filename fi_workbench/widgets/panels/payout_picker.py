"""How a round's budget is split by contribution, and how much that is."""

from __future__ import annotations

from dataclasses import dataclass

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.core.options import Option
from fi_workbench.incentives.ledger.amounts import parse_units
from fi_workbench.incentives.payout import payouts
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.method_picker import MethodPicker
from fi_workbench.widgets.panels.parts import Quietly, changed, column, hint, named, shown
from fi_workbench.widgets.wording import brief_units, escaped


@dataclass(frozen=True)
class _Shown:
    """A payout as the picker shows it."""

    explanation: str
    formula: str
    options: tuple[Option, ...]
    source: str = ""


class PayoutPicker:
    """The payouts of the registry and a field for the budget, in units.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._state, self._quietly = desk.state, Quietly()
        self.picker = MethodPicker(
            "payout",
            tuple(payouts),
            _look_up,
            lambda name: desk.state.choose(payout=name),
            lambda options: desk.state.choose(payout_options=options),
            "How a round's budget is split by contribution",
        )
        self.budget = named(
            ipywidgets.Text(
                description="Budget per round (units)", continuous_update=False,
                tooltip="What each round pays in all, in units of up to six decimals; 0 pays nothing. Enter to take it "
                "over",
            ),
            "fi-option", "fi-budget",
        )  # fmt: skip
        self._wrong = hint(css="fi-error fi-budget-wrong")
        self.box = column(
            named(ipywidgets.HTML("Payout"), "fi-hint", "fi-sub-head"),
            self.picker.box,
            column(self.budget, self._wrong, css="fi-options"),
            css="fi-payout-picker",
        )
        changed(self.budget, self._quietly, self._spend)
        self._state.observe(lambda _change: self._show(), ["chosen", "federation", "revision"])
        self._show()

    def _spend(self, text: str) -> None:
        try:
            micro = budget_of(text)
        except FederationError as error:
            self._wrong.value = escaped(error)
            shown(self._wrong, True)
            return
        self._state.choose(budget_micro=micro)
        self._show()  # also where it is the same amount, written in another way

    def _show(self) -> None:
        chosen, federation = self._state.chosen, self._state.federation
        remark = ""
        if federation is not None and federation.settings.payout != chosen.payout:
            remark = f"Not in force: {payouts[federation.settings.payout].title.lower()} still pays."
        self.picker.show(chosen.payout, chosen.payout_options, tuple(payouts), remark)
        with self._quietly:
            self.budget.value = brief_units(chosen.budget_micro)
        shown(self._wrong, False)


def budget_of(text: str) -> int:
    """Micro-units of a budget as people write it, in units; 0 is one too.

    Raises
    ------
    InvalidAmount
        It is no amount, or has more than six decimals.

    >>> budget_of("0.000001"), budget_of("2.5"), budget_of("0.00")
    (1, 2500000, 0)
    """
    written = text.strip()
    return (
        0 if written and not written.strip("0.") and written.count(".") <= 1 and written != "." else parse_units(text)
    )


def _look_up(name: str) -> _Shown:
    rule = payouts[name]
    return _Shown(rule.explanation, rule.formula, rule.options)
