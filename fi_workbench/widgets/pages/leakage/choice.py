"""What a measurement of leakage is to cover: who looks, at whom, with which meters, on how many samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from fi_workbench.privacy.meters import meters
from fi_workbench.widgets.pages.leakage.words import ROLES, meter_title
from fi_workbench.widgets.panels.parts import Quietly, hint, named, section, set_options

SIZES = (100, 250, 500, 1000)


class LeakageChoice:
    """The controls of a measurement; every meter is run where none is chosen.

    Parameters
    ----------
    changed : callable
        Called when the reader has chosen something else.
    """

    def __init__(self, changed: Callable[[], Any]) -> None:
        self._quietly = Quietly()
        self.role = self._dropdown(
            "who looks", [(words, role) for role, words in ROLES.items()], "Whose eyes the attacker has"
        )
        self.target = self._dropdown("at party", [], "Whose training data and model it is after")
        self.size = self._dropdown(
            "", [(f"{size} samples", size) for size in SIZES], "At most so many members, and as many that are none"
        )
        self.size.value = SIZES[2]
        self.meters = named(
            ipywidgets.SelectMultiple(
                options=[(meter_title(name), name) for name in meters],
                rows=len(meters),
                description="meters",
                tooltip="Which meters are run; all that can be, where none is chosen",
            ),
            "fi-leak-meters",
        )
        for control, css in ((self.role, "role"), (self.target, "target"), (self.size, "size")):
            control.add_class(f"fi-leak-{css}")
        for control in (self.role, self.target, self.size, self.meters):
            control.observe(lambda _change: None if self._quietly.now else changed(), "value")
        self.lists = section(
            "Meters",
            hint("All that can be run are, where none is chosen; Ctrl or Shift chooses several."),
            self.meters,
            css="fi-leak-choice",
            folded=True,
        )

    def show(self, names: Sequence[str]) -> None:
        """The parties that may be looked at."""
        with self._quietly:
            kept = self.target.value if self.target.value in names else next(iter(names), None)
            set_options(self.target, [(name, name) for name in names], kept)

    @property
    def chosen(self) -> dict[str, Any]:
        """Arguments of a measurement."""
        return {
            "role": self.role.value, "target": self.target.value, "meters": self.meters.value or None,
            "n_samples": self.size.value, "n_probes": self.size.value,
        }  # fmt: skip

    def _dropdown(self, words: str, options: list[tuple[str, Any]], tooltip: str) -> ipywidgets.Dropdown:
        return ipywidgets.Dropdown(
            options=options, description=words, tooltip=tooltip, style={"description_width": "initial"}
        )
