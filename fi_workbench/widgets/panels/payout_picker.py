"""How a round's budget is split by contribution, and how much that is."""

from __future__ import annotations

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.incentives.payout import payouts
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.method_picker import MethodPicker, Shown
from fi_workbench.widgets.panels.parts import Quietly, changed, column, hint, named, shown
from fi_workbench.widgets.running.funding import amount_of
from fi_workbench.widgets.wording import brief_units, escaped, in_sentence


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
            micro = amount_of(text)
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
            remark = f"Not in force: {in_sentence(federation.settings.payout)} still pays."
        self.picker.show(chosen.payout, chosen.payout_options, tuple(payouts), remark)
        with self._quietly:
            self.budget.value = brief_units(chosen.budget_micro)
        shown(self._wrong, False)


def _look_up(name: str) -> Shown:
    rule = payouts[name]
    return Shown(rule.explanation, rule.formula, options=rule.options)
