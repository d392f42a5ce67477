"""What happened, line by line."""

from __future__ import annotations

import ipywidgets

from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.views import LogLines


class LogPage(Page):
    """The log of this workbench."""

    title = "Log"

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self.lines = LogLines()
        return (self.lines,)

    def refresh(self) -> None:
        """Show the lines there are."""
        if self.lines.lines != self._state.log:
            self.lines.update(lines=self._state.log)
