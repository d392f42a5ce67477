"""How it is valued what each party contributed, and how that is paid."""

from __future__ import annotations

from dataclasses import replace

from fi_workbench.incentives import ContributionMethod, contribution_methods
from fi_workbench.session.settings import AUTO
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.method_picker import MethodPicker
from fi_workbench.widgets.panels.parts import section
from fi_workbench.widgets.panels.payout_picker import PayoutPicker
from fi_workbench.widgets.wording import in_sentence, title


class ContributionPicker:
    """The contribution methods of the registry, and ``auto``; beneath, what a round pays by them.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._state = desk.state
        self.picker = MethodPicker(
            "contribution",
            self._names(),
            self._method,
            lambda name: desk.state.choose(contribution=name),
            lambda options: desk.state.choose(contribution_options=options),
            "How a party's contribution is valued; auto is the richest method that the mechanism allows",
        )
        self.payout = PayoutPicker(desk)
        self.box = section("Contribution", self.picker.box, self.payout.box, css="fi-contribution-section")
        self._state.observe(lambda _change: self._show(), ["chosen", "federation", "revision"])
        self._show()

    def _method(self, name: str) -> ContributionMethod | None:
        if name != AUTO:
            return contribution_methods[name]
        federation = self._state.federation
        method = None if federation is None else federation.settings.method(len(federation.parties))
        return None if method is None else replace(method, options=())  # those of a method that may change

    def _names(self) -> tuple[str, ...]:
        return (AUTO, *contribution_methods)

    def _show(self) -> None:
        chosen, federation = self._state.chosen, self._state.federation
        remark = ""
        if federation is not None and chosen.contribution == AUTO:
            method = federation.settings.method(len(federation.parties))
            remark = f"{title(method.name)} is the richest that can be computed here."
        elif federation is not None and federation.settings.contribution != chosen.contribution:
            remark = f"Not in force: {in_sentence(federation.settings.contribution)} still counts."
        self.picker.show(chosen.contribution, chosen.contribution_options, self._names(), remark)
