"""The workbench: settings on the left, pictures on the right, a sentence above that is always true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets

from fi_workbench.session.federation import Federation
from fi_workbench.widgets.cells import replace_earlier
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.agreement.page import AgreementPage
from fi_workbench.widgets.pages.compare.page import ComparePage
from fi_workbench.widgets.pages.cost import CostPage
from fi_workbench.widgets.pages.export import ExportPage
from fi_workbench.widgets.pages.gaming.page import GamingPage
from fi_workbench.widgets.pages.leakage.page import LeakagePage
from fi_workbench.widgets.pages.live import LivePage
from fi_workbench.widgets.pages.log import LogPage
from fi_workbench.widgets.pages.privacy.page import PrivacyPage
from fi_workbench.widgets.pages.queries import QueriesPage
from fi_workbench.widgets.pages.rewards import RewardsPage
from fi_workbench.widgets.pages.secure.page import SecurePage
from fi_workbench.widgets.pages.tabs import Tabs
from fi_workbench.widgets.pages.tradeoff.page import TradeoffPage
from fi_workbench.widgets.panels.contribution_picker import ContributionPicker
from fi_workbench.widgets.panels.empty import EmptyPanel
from fi_workbench.widgets.panels.header import Header
from fi_workbench.widgets.panels.link import LinkPanel
from fi_workbench.widgets.panels.nobody import NobodyPanel
from fi_workbench.widgets.panels.parties import PartiesPanel
from fi_workbench.widgets.panels.parts import column, named, shown
from fi_workbench.widgets.panels.privacy_picker import PrivacyPicker
from fi_workbench.widgets.panels.rule_picker import RulePicker
from fi_workbench.widgets.panels.run_controls import RunControls
from fi_workbench.widgets.running.state import WorkbenchState
from fi_workbench.widgets.views import KeyCatcher

_STYLE = Path(__file__).parent / "panels.css"


class Workbench(ipywidgets.VBox):
    """A federation on a page: ask it, change it, and watch what comes of it.

    It works on copies of the federation that share its runtime; the one that it was given never changes. Several
    workbenches do not disturb each other, also over the same federation. Over a link it follows who joins and leaves,
    and comes to life when the first party is there.

    Parameters
    ----------
    federation : Federation, optional
        Where there is none, the workbench offers to make a demo.
    queries : array (query, *input_shape), optional
        What is asked; the test set of the federation's data set where not given.
    labels : array (query,), optional
        True labels of ``queries``; they stay with the client.
    simulation : bool
        Whether private facts of parties that this kernel made (their class counts) are drawn.

    Raises
    ------
    InvalidQuery
        Queries or labels that do not fit the federation.

    Examples
    --------
    >>> workbench = Workbench()
    >>> workbench.state.status
    'empty'
    >>> workbench.close()
    """

    def __init__(
        self,
        federation: Federation | None = None,
        *,
        queries: Any = None,
        labels: Any = None,
        simulation: bool = True,
    ) -> None:
        desk = Desk.new(simulation=simulation)
        if federation is not None:
            desk.driver.take(federation, queries, labels)
        self._desk = desk
        self._header, self._keys = Header(desk), KeyCatcher()
        self._queries_page = QueriesPage(desk)
        pages = (
            LivePage(desk),
            RewardsPage(desk),
            self._queries_page,
            ComparePage(desk, self._look_at),
            AgreementPage(desk),
            GamingPage(desk),
            PrivacyPage(desk),
            SecurePage(desk),
            LeakagePage(desk),
            TradeoffPage(desk),
            CostPage(desk),
            LogPage(desk),
            ExportPage(desk),
        )
        self._controls, self._empty = RunControls(desk), EmptyPanel(desk)
        self._parties, self._rule = PartiesPanel(desk), RulePicker(desk)
        self._contribution, self._privacy = ContributionPicker(desk), PrivacyPicker(desk)
        self._link, self._nobody = LinkPanel(desk), NobodyPanel(desk)
        left = column(
            self._controls.box,
            self._link.box,
            self._parties.box,
            self._rule.box,
            self._contribution.box,
            self._privacy.box,
            css="fi-left",
        )
        self._tabs = Tabs(desk, pages)
        right = column(self._nobody.box, self._tabs.box, css="fi-right")
        self._body = named(ipywidgets.HBox((left, right)), "fi-body")
        style = ipywidgets.HTML(f"<style>{_STYLE.read_text(encoding='utf-8')}</style>", layout={"display": "none"})
        super().__init__((style, self._header.box, self._empty.box, self._body, self._keys))
        self.add_class("fi-workbench")
        self._keys.on_request(self._pressed)
        desk.state.observe(lambda _change: self._show(), ["federation", "members"])
        self._show()
        replace_earlier(self)

    @property
    def state(self) -> WorkbenchState:
        """All that it shows and lets choose; writing to it is the same as using the controls."""
        return self._desk.state

    @property
    def federation(self) -> Federation | None:
        """What is in force now; ``workbench.federation.ask(...)`` asks the same parties in the same way."""
        return self._desk.state.federation

    def run(self, n_rounds: int | None = None) -> None:
        """Ask batch after batch, or ``n_rounds`` of them; returns at once."""
        self._desk.driver.run(n_rounds)

    def pause(self) -> None:
        """Finish the round under way and wait."""
        self._desk.driver.pause()

    def stop(self) -> None:
        """Give up the round under way."""
        self._desk.driver.stop()

    def wait(self, seconds: float = 10.0) -> bool:
        """Wait until nothing is under way any more; whether that is so."""
        return self._desk.wait(seconds)

    def close(self) -> None:
        """Stop everything and take the workbench off the page; the federation stays open."""
        self._desk.close()
        _close(self.children)
        super().close()

    def _show(self) -> None:
        federation = self.state.federation
        shown(self._body, federation is not None)
        shown(self._tabs.box, federation is not None and bool(federation.parties))

    def _pressed(self, kind: str) -> None:
        if self.state.federation is None or (kind not in ("run_pause", "stop") and not self.state.members):
            return
        if kind == "run_pause":
            self._desk.driver.toggle()
        elif kind == "stop":
            self.stop()
        else:
            self._tabs.open(QueriesPage.title)
            self._queries_page.step(kind)

    def _look_at(self, *batch: Any) -> None:
        self._queries_page.look_at(*batch)
        self._tabs.open(QueriesPage.title)


def _close(widgets: tuple[ipywidgets.Widget, ...]) -> None:
    """Close widgets with all that is in them, so that a kernel does not keep what no page shows."""
    for widget in widgets:
        _close(getattr(widget, "children", ()))
        for part in (getattr(widget, "layout", None), getattr(widget, "style", None), widget):
            if part is not None:
                part.close()
