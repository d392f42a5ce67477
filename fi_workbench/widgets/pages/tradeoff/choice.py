"""What a trade-off sweep is to cover: which mechanisms, which rules, and how many queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

from fi_workbench.aggregation import rules
from fi_workbench.privacy import mechanisms
from fi_workbench.session.trading_off.grid import RULES, default_settings
from fi_workbench.session.trading_off.result import Setting
from fi_workbench.widgets.pages.tradeoff.words import mechanism_title
from fi_workbench.widgets.panels.parts import hint, named, section
from fi_workbench.widgets.wording import title

SIZES = (50, 200, 500, 1000)


class TradeOffChoice:
    """The controls of a sweep; every mechanism is swept where none is chosen, and the usual rules where none are.

    Parameters
    ----------
    changed : callable
        Called when the reader has chosen something else.
    """

    def __init__(self, changed: Callable[[], Any]) -> None:
        self.size = named(
            ipywidgets.Dropdown(
                options=[(f"{size} queries", size) for size in SIZES],
                value=SIZES[1],
                tooltip="How many queries are asked under each setting: always the same ones",
            ),
            "fi-trade-size",
        )
        self.mechanisms = self._list("mechanisms", [(mechanism_title(name), name) for name in mechanisms])
        self.rules = self._list("rules", [(title(name), name) for name in rules])
        self.rules.value = RULES
        for control in (self.size, self.mechanisms, self.rules):
            control.observe(lambda _change: changed(), "value")
        self.lists = section(
            "Mechanisms and rules",
            hint(
                "Every mechanism is swept where none is chosen, with a few strengths of its noise; Ctrl or Shift "
                "chooses several. Noise on each answer is swept without another mechanism."
            ),
            named(ipywidgets.Box((self.mechanisms, self.rules)), "fi-grid"),
            css="fi-trade-choice",
            folded=True,
        )

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The grid that is swept."""
        return default_settings(self.mechanisms.value or None, self.rules.value or None)

    def _list(self, kind: str, options: list[tuple[str, str]]) -> ipywidgets.SelectMultiple:
        control = ipywidgets.SelectMultiple(
            options=options, rows=8, description=kind, tooltip=f"Which {kind} are swept; Ctrl or Shift chooses several"
        )
        return named(control, f"fi-trade-{kind}")
