"""The pages on the right, of which only the open one is built and drawn."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import ipywidgets

from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.panels.parts import named


class Tabs:
    """Shows one page at a time.

    Parameters
    ----------
    desk : Desk
    pages : sequence of Page
    """

    def __init__(self, desk: Desk, pages: Sequence[Page]) -> None:
        self._state, self._pages = desk.state, tuple(pages)
        self._lock = threading.RLock()  # a frame may come from the rounds' thread while a page is being built
        self._failure = ""
        self.box = named(ipywidgets.Tab([page.box for page in pages]), "fi-tabs")
        self.box.titles = [page.title for page in pages]
        self.box.selected_index = 0
        self.box.observe(lambda _change: self._open(), "selected_index")
        settings = ["federation", "members", "chosen", "status", "simulation", "revision", "log"]
        desk.state.observe(lambda _change: self._refresh(), settings)
        desk.state.observe(lambda _change: self._show(), "frame")
        self._open()

    @property
    def page(self) -> Page:
        """The open page."""
        return self._pages[self.box.selected_index or 0]

    def open(self, title: str) -> None:
        """Open the page of that title."""
        self.box.selected_index = next(k for k, page in enumerate(self._pages) if page.title == title)

    def _open(self) -> None:
        with self._lock:
            if not self._nobody:
                self.page.open()

    def _refresh(self) -> None:
        with self._lock:
            if self._nobody:
                return
            if not self.page.built:  # it was the open one when nobody was there
                self.page.open()
            self.page.refresh()

    @property
    def _nobody(self) -> bool:
        """Whether there is a federation whose parties are still to come: nothing can be drawn of it."""
        federation = self._state.federation
        return federation is not None and not federation.parties

    def _show(self) -> None:
        frame = self._state.frame
        if frame is None:
            return
        try:
            with self._lock:
                self.page.show(frame)
        except Exception as error:  # noqa: BLE001 (a picture that cannot be drawn must not end the stream)
            failure = f"The page {self.page.title} could not be drawn: {type(error).__name__}: {error}"
            if failure != self._failure:
                self._failure = failure
                self._state.tell(f"{failure}. The stream goes on.", "error")
