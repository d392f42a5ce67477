"""A page behind a tab: built when it is first opened, drawn only while it is open."""

from __future__ import annotations

from typing import ClassVar

import ipywidgets

from fi_workbench.core.disclosure import Need, satisfies
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.parts import column
from fi_workbench.widgets.running.choosing import mechanisms_that_show, way_to_show
from fi_workbench.widgets.running.frames import Frame
from fi_workbench.widgets.views import View
from fi_workbench.widgets.wording import in_sentence, listed, seen


class Page:
    """One tab.

    Parameters
    ----------
    desk : Desk
    """

    title: ClassVar[str]

    def __init__(self, desk: Desk) -> None:
        self._desk, self._state = desk, desk.state
        self._built = False
        self.box = column(css=f"fi-page fi-page-{self.title.lower()}")

    @property
    def built(self) -> bool:
        """Whether it was ever opened."""
        return self._built

    def open(self) -> None:
        """Build it where that has not been done, and show what is so."""
        if not self._built:
            self.box.children = self._build()
            self._built = True
        self.refresh()
        if self._state.frame is not None:
            self.show(self._state.frame)

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        """The widgets of the page."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Follow the settings, the parties, the status."""

    def show(self, frame: Frame) -> None:
        """Draw a frame."""

    def _needs(self, view: View, need: Need) -> None:
        """Let a view that cannot be drawn under the mechanism say so, and offer one under which it can."""
        view.on_request(lambda kind: self._way_out(need) if kind == "way_out" else None)

    def _meets(self, view: View, need: Need) -> bool:
        """Whether the mechanism shows what a view needs; the view says so where not."""
        federation = self._state.federation
        if federation is None:
            return False
        carrier = federation.settings.mechanism.carrier
        refusal = way_out = ""
        if not satisfies(carrier.offers, need):
            would = mechanisms_that_show(need)
            which = f"{listed([in_sentence(name) for name in would])} would." if would else "none of those here would."
            refusal = f"It needs {seen(need)}; {in_sentence(carrier.name)} shows {seen(carrier.offers)}, {which}"
            way = way_to_show(federation, self._state.chosen, need)
            way_out = way.label if way else ""
        if (view.refusal, view.way_out) != (refusal, way_out):
            view.update(refusal=refusal, way_out=way_out, round=view.round)
        return not refusal

    def _way_out(self, need: Need) -> None:
        federation = self._state.federation
        way = None if federation is None else way_to_show(federation, self._state.chosen, need)
        if way is not None:
            self._state.chosen = way.choice
