"""What a gaming sweep is to cover: who cheats, on how many queries, how, and under which rewards and rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets

from fi_workbench.aggregation import rules
from fi_workbench.incentives import contribution_methods
from fi_workbench.parties.behaviours import behaviours
from fi_workbench.widgets.panels.parts import Quietly, hint, named, section, set_options
from fi_workbench.widgets.wording import title

SIZES = (100, 300, 1000)
WEAKEST = ""
"""Stands for the least accurate party on the queries that are asked."""


class SweepChoice:
    """The controls of a sweep; everything is swept where nothing is chosen."""

    def __init__(self) -> None:
        self._quietly = Quietly()
        self.cheater = named(
            ipywidgets.Dropdown(
                options=[("the weakest party", WEAKEST)],
                description="cheater",
                style={"description_width": "initial"},
                tooltip="Which party is dishonest; all others stay honest",
            ),
            "fi-gaming-cheater",
        )
        self.size = named(
            ipywidgets.Dropdown(
                options=[(f"{size} queries", size) for size in SIZES],
                value=SIZES[1],
                tooltip="How many queries the parties are asked, once",
            ),
            "fi-gaming-size",
        )
        self.chosen = {
            kind: named(
                ipywidgets.SelectMultiple(
                    options=[(title(name), name) for name in known],
                    rows=6,
                    description=kind,
                    tooltip=f"Which {kind} are swept; all, where none is chosen",
                ),
                f"fi-gaming-{kind}",
            )
            for kind, known in (("behaviours", behaviours), ("rewards", contribution_methods), ("rules", rules))
        }
        self.lists = section(
            "Behaviours, rewards and rules",
            hint("All are swept where none is chosen; Ctrl or Shift chooses several."),
            named(ipywidgets.Box(tuple(self.chosen.values())), "fi-grid"),
            css="fi-gaming-choice",
            folded=True,
        )

    def show(self, names: Sequence[str]) -> None:
        """The parties that may cheat."""
        with self._quietly:
            options = [("the weakest party", WEAKEST), *((name, name) for name in names)]
            set_options(self.cheater, options, self.cheater.value if self.cheater.value in names else WEAKEST)

    @property
    def swept(self) -> dict[str, Any]:
        """Arguments of a gaming matrix; None stands for the weakest party, and for all that fit."""
        return {"cheater": self.cheater.value or None} | {
            kind: control.value or None for kind, control in self.chosen.items()
        }
