"""What is done to each answer before it leaves its party: nothing, one thing, or several in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fi_workbench.core.options import options_of_fields
from fi_workbench.privacy.mechanism import mechanisms
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.method_picker import MethodPicker, Shown
from fi_workbench.widgets.panels.parts import button, column, hint, named, shown
from fi_workbench.widgets.running.choosing import answer_noises
from fi_workbench.widgets.wording import escaped, protects_nobody

NONE = "none"

MOST = 3
"""Members in a row that can be picked; more that code has set are shown all the same."""


class NoisePicker:
    """One picker for each member, in the order in which they act, and a button for one more.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._state = desk.state
        self.pickers: list[MethodPicker] = []
        self._one_more = False
        self._add = button(
            "Then another", "Change the answers once more, after this", "fi-quiet fi-more fi-noise-add", self._more
        )
        self._pickers = column()
        self._promise = hint(css="fi-noise-promise")
        self.box = column(
            named(hint("On each answer, before it leaves its party"), "fi-sub-head"),
            self._pickers,
            self._promise,
            self._add,
            css="fi-noise-picker",
        )

    def show(self) -> None:
        """Show what is chosen, and what the noise in force promises."""
        chosen, federation = self._state.chosen.noise, self._state.federation
        in_force = () if federation is None else federation.settings.mechanism.noise
        nothing = federation is None or protects_nobody(federation.settings.mechanism)  # it can be taken off again
        self._one_more = self._one_more and bool(chosen)
        n_pickers = max(len(chosen) + self._one_more, 1)
        while len(self.pickers) < n_pickers:
            self.pickers.append(self._picker(len(self.pickers)))
        for place, picker in enumerate(self.pickers[:n_pickers]):
            name, options = chosen[place] if place < len(chosen) else (NONE, {})
            differs = federation is not None and name != (in_force[place].name if place < len(in_force) else NONE)
            picker.show(name, options, _names(), "Not in force." if differs else "")
        boxes = tuple(picker.box for picker in self.pickers[:n_pickers])
        if self._pickers.children != boxes:
            self._pickers.children = boxes
        said = "" if nothing else escaped(" ".join(text for one in in_force for text in one.assumptions))
        if self._promise.value != said:
            self._promise.value = said
        shown(self._promise, bool(said))
        shown(self._add, len(chosen) == n_pickers < MOST)

    def _picker(self, place: int) -> MethodPicker:
        tooltip = "What each party does to its answer before it leaves; takes effect from the next round on"
        choose: Callable[[str], None] = partial(self._choose, place)
        return MethodPicker("noise", _names(), _look_up, choose, partial(self._configure, place), tooltip)

    def _choose(self, place: int, name: str) -> None:
        noise = list(self._state.chosen.noise)
        noise[place : place + 1] = [] if name == NONE else [(name, {})]
        self._one_more = False
        self._state.choose(noise=tuple(noise))
        self.show()  # also where nothing was chosen instead of nothing

    def _configure(self, place: int, options: dict[str, Any]) -> None:
        noise = list(self._state.chosen.noise)
        noise[place] = (noise[place][0], options)
        self._state.choose(noise=tuple(noise))

    def _more(self) -> None:
        self._one_more = True
        self.show()


def _names() -> tuple[str, ...]:
    return (NONE, *(name for name, _ in answer_noises()))


def _look_up(name: str) -> Shown:
    if name == NONE:
        return Shown("Each answer leaves its party as its model gave it.")
    kind = mechanisms[name]
    return Shown(kind.explanation, kind.formula, kind.source, options_of_fields(kind))
