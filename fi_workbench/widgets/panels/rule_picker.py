"""Which rule turns the answers into one, from calibrated answers or not, and how sure it must be to answer."""

from __future__ import annotations

import ipywidgets

from fi_workbench.aggregation import rules
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.fit_control import FitControl
from fi_workbench.widgets.panels.method_picker import MethodPicker
from fi_workbench.widgets.panels.parts import Quietly, changed, column, named, section, set_options
from fi_workbench.widgets.wording import in_sentence, per_cent

SURE = (*(step / 20 for step in range(20)), 0.99)
"""Confidences to choose from; 0 is always."""


class RulePicker:
    """The rules of the registry, a toggle and a slider.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._state, self._fitting, self._quietly = desk.state, desk.fitting, Quietly()
        self.picker = MethodPicker(
            "rule",
            tuple(rules),
            rules.__getitem__,
            self._pick,
            lambda options: desk.state.choose(rule_options=options),
            "How the parties' answers become one; takes effect from the next round on",
        )
        self.calibrate = named(
            ipywidgets.Checkbox(
                value=False, indent=False, description="Calibrate each party (temperature)",
                tooltip="Each party divides its logits by the temperature that its owner fitted on held-out data, so "
                "that how sure it says it is matches how often it is right",
            ),
            "fi-calibrate",
        )  # fmt: skip
        self.sure = named(
            ipywidgets.SelectionSlider(
                options=_labelled(0.0), value=0.0, description="Answer only when surer than",
                tooltip="Where the highest score is below this, the federation says that it does not know",
                continuous_update=False,
            ),
            "fi-option", "fi-abstain",
        )  # fmt: skip
        answering = column(self.calibrate, self.sure, css="fi-options")
        self.fit = FitControl(desk)
        self.box = section("Rule", self.picker.box, self.fit.box, answering, css="fi-rule-section")
        changed(self.calibrate, self._quietly, self._calibrate)
        changed(self.sure, self._quietly, lambda value: desk.state.choose(abstain_below=value))
        self._state.observe(lambda _change: self._show(), ["chosen", "federation", "revision"])
        self._show()

    def _pick(self, name: str) -> None:
        options = self._fitting.options(name)
        self._state.choose(rule=name, **({"rule_options": options} if options else {}))

    def _calibrate(self, wished: bool) -> None:
        self._state.choose(calibration="temperature" if wished else "none")

    def _show(self) -> None:
        chosen, federation = self._state.chosen, self._state.federation
        remark = ""
        if federation is not None and federation.settings.rule != chosen.rule:
            remark = f"Not in force: {in_sentence(federation.settings.rule)} still answers."
        self.picker.show(chosen.rule, chosen.rule_options, tuple(rules), remark)
        with self._quietly:
            self.calibrate.value = chosen.calibration == "temperature"
            set_options(self.sure, _labelled(chosen.abstain_below), chosen.abstain_below)


def _labelled(value: float) -> tuple[tuple[str, float], ...]:
    """The slider's places; one that code has set comes in where it belongs."""
    return tuple((per_cent(one) if one else "always", one) for one in sorted({*SURE, value}))
