"""Which rule turns the answers into one."""

from __future__ import annotations

from fi_workbench.aggregation import rules
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.method_picker import MethodPicker
from fi_workbench.widgets.panels.parts import section


class RulePicker:
    """The rules of the registry.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._state = desk.state
        self.picker = MethodPicker(
            "rule",
            tuple(rules),
            rules.__getitem__,
            lambda name: desk.state.choose(rule=name),
            lambda options: desk.state.choose(rule_options=options),
            "How the parties' answers become one; takes effect from the next round on",
        )
        self.box = section("Rule", self.picker.box, css="fi-rule-section")
        self._state.observe(lambda _change: self._show(), ["chosen", "federation", "revision"])
        self._show()

    def _show(self) -> None:
        chosen, federation = self._state.chosen, self._state.federation
        remark = ""
        if federation is not None and federation.settings.rule != chosen.rule:
            remark = f"Not in force: {federation.settings.the_rule.title.lower()} still answers."
        self.picker.show(chosen.rule, chosen.rule_options, tuple(rules), remark)
