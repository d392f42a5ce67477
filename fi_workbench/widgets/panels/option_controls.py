"""Controls drawn from a plug-in's options: a slider where there is a range, a list where there are choices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets

from fi_workbench.core.options import Between, OneOf, Option
from fi_workbench.widgets.panels.parts import Quietly, changed, named

STEPS = 100
"""Positions of a slider over its range."""

MOST_WHOLE_STEPS = 250
"""Whole numbers that a slider can still be set to; with more of them, one types."""


class OptionControls:
    """The controls of one plug-in's options, in a box.

    Parameters
    ----------
    options : sequence of Option
    given : mapping
        What differs from the defaults.
    act : callable
        Called with all values that differ from the defaults, whenever one changes.
    """

    def __init__(
        self, options: Sequence[Option], given: Mapping[str, Any], act: Callable[[dict[str, Any]], Any]
    ) -> None:
        self._options = {option.name: option for option in options}
        self._act, self._quietly = act, Quietly()
        self._controls = {option.name: control_for(option) for option in options}
        self.box = named(ipywidgets.VBox(tuple(self._controls.values())), "fi-options")
        self.show(given)
        for control in self._controls.values():
            changed(control, self._quietly, lambda _value: self._changed())

    def show(self, given: Mapping[str, Any]) -> None:
        """Show these values, the defaults where nothing is given."""
        with self._quietly:
            for name, control in self._controls.items():
                control.value = given.get(name, self._options[name].default)

    def _changed(self) -> None:
        values = {name: _exact(self._options[name], control.value) for name, control in self._controls.items()}
        self._act({name: value for name, value in values.items() if value != self._options[name].default})


def control_for(option: Option) -> ipywidgets.Widget:
    """A control for one option, with its help as tooltip."""
    label = option.name.replace("_", " ")
    limits = option.limits
    tooltip = option.help or (f"{label}: {limits}" if limits is not None else label)
    shared = {"description": label, "tooltip": tooltip}
    css = f"fi-option-{option.name.replace('_', '-')}"
    if isinstance(limits, OneOf):
        control: ipywidgets.Widget = ipywidgets.Dropdown(options=limits.choices, value=option.default, **shared)
    elif isinstance(limits, Between) and isinstance(option.default, int | float):
        control = _slider(option, limits, shared)
    elif option.kind is bool:
        control = ipywidgets.Checkbox(value=option.default, indent=False, **shared)
    elif option.kind is int:
        control = ipywidgets.IntText(value=option.default, continuous_update=False, **shared)
    elif option.kind is float:
        control = ipywidgets.FloatText(value=option.default, continuous_update=False, **shared)
    else:
        control = ipywidgets.Text(value=str(option.default), continuous_update=False, **shared)
    return named(control, "fi-option", css)


def _slider(option: Option, limits: Between, shared: dict[str, Any]) -> ipywidgets.Widget:
    if limits.log and limits.low > 0:
        low, high = math.log10(limits.low), math.log10(limits.high)
        return ipywidgets.FloatLogSlider(
            value=option.default, min=low, max=high, step=(high - low) / STEPS,
            readout_format=".3r" if limits.low >= 1e-6 else ".2g", continuous_update=False, **shared,
        )  # fmt: skip
    if option.kind is int:
        whole_step = int(limits.step or 1)
        if (limits.high - limits.low) / whole_step > MOST_WHOLE_STEPS:
            return ipywidgets.BoundedIntText(
                value=option.default, min=int(limits.low), max=int(limits.high), step=whole_step,
                continuous_update=False, **shared,
            )  # fmt: skip
        return ipywidgets.IntSlider(
            value=option.default,
            min=int(limits.low),
            max=int(limits.high),
            step=whole_step,
            continuous_update=False,
            **shared,
        )
    step = limits.step or (limits.high - limits.low) / STEPS
    return ipywidgets.FloatSlider(
        value=option.default, min=limits.low, max=limits.high, step=step, readout_format=".3r",
        continuous_update=False, **shared,
    )  # fmt: skip


def _exact(option: Option, value: Any) -> Any:
    """A control's value as the option takes it: whole where it must be, and inside the range despite rounding."""
    limits = option.limits
    if isinstance(limits, Between) and isinstance(value, int | float):
        if math.isclose(value, option.default, rel_tol=1e-9):
            return option.default
        value = min(max(value, limits.low), limits.high)
        value = float(f"{value:.3g}") if limits.low <= float(f"{value:.3g}") <= limits.high else value
    return option.kind(value) if option.kind in (int, float) else value
