"""Who answers alike, who is redundant with whom, and who mistakes what for what."""

from __future__ import annotations

import threading
import time

import ipywidgets
import numpy as np
import traitlets

from fi_workbench.core.records import RoundRecord
from fi_workbench.session.agreement import Agreement
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.agreement.confusion import Confusions
from fi_workbench.widgets.pages.agreement.counting import Counting
from fi_workbench.widgets.pages.agreement.redundancy import Redundancy
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.panels.parts import Quietly, changed, column, named, row, set_options, shown
from fi_workbench.widgets.running.frames import Frame
from fi_workbench.widgets.running.members import Member
from fi_workbench.widgets.views import TableView
from fi_workbench.widgets.views.heat_map import HeatMap
from fi_workbench.widgets.wording import per_cent

DRAW_SECONDS = 0.25
"""While the stream runs, the maps are drawn this often: their numbers move slowly."""

MOST_DRAWN = 40
"""Parties that a map has room for."""

RECENT, TOTAL = "recent", "total"


class AgreementPage(Page):
    """The agreement map, the redundancy map, and one party's confusion matrices beneath.

    It counts every round that is shown, open or not; what it shows is never computed anew from the start.

    Parameters
    ----------
    desk : Desk
    """

    title = "Agreement"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.counting: Counting | None = None
        self._lock = threading.RLock()  # frames come from the rounds' thread, the list of parties from the page's
        self._drawn = 0.0
        self._party = ""
        self._state.observe(self._begun, "frame")
        self._state.observe(lambda change: self._heard(change["new"]), "record")

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self._quietly = Quietly()
        self.span = named(
            ipywidgets.Dropdown(
                options=[("the last rounds", RECENT), ("the whole stream", TOTAL)],
                description="over", style={"description_width": "initial"},
                tooltip="Which rounds are counted: as many as the shares are taken over, or all",
            ),
            "fi-agreement-span",
        )  # fmt: skip
        self.party = named(
            ipywidgets.Dropdown(
                options=(),
                description="party",
                tooltip="Whose mistakes are shown beneath",
                style={"description_width": "initial"},
            ),
            "fi-agreement-party",
        )
        changed(self.span, self._quietly, lambda _value: self._draw())
        changed(self.party, self._quietly, self._look_at)
        self.map = HeatMap(
            title="Agreement",
            kind="percent",
            unit="%",
            sentence="{row} and {column} give the same label to {value} of the queries that both answered.",
            hint="Point at a cell, or use the arrow keys. A click or Enter shows a party's mistakes beneath.",
            empty_text="No rounds yet: ask a batch or press Run.",
            legend=((0.0, "0 %"), (1.0, "100 % same label")),
            pick="show the party's mistakes",
        )
        self.map.on_pick(lambda at_row, at_column: self._picked(at_row if at_row >= 0 else at_column))
        self.redundancy = Redundancy(self._desk, lambda: self.counting)
        self.confusions = Confusions()
        self.table = TableView(
            title="Skill and nearest peer",
            empty_text="No rounds yet: ask a batch or press Run.",
            columns=[
                {"name": "party"},
                {"name": "skill, without labels", "unit": "%", "kind": "percent"},
                {"name": "skill, by labels", "unit": "%", "kind": "percent"},
                {"name": "most alike"},
                {"name": "same label", "unit": "%", "kind": "percent"},
            ],
        )
        self._needs(self.map, "votes")
        self._needs(self.redundancy.map, "each")
        self._state.observe(lambda _change: self.redundancy.follow(), "task")
        maps = named(ipywidgets.Box((self.map, self.redundancy.box)), "fi-pictures")
        self._below = column(
            column(row(self.party), self.confusions.words), self.confusions.maps, self.table, css="fi-stack"
        )
        return (row(self.span), maps, self._below)

    def refresh(self) -> None:
        """What cannot be drawn under the mechanism; then all again, for the last frame may have been passed over."""
        self._follow_members()
        met = self._meets(self.map, "votes")
        shown(self._below, met)
        self.redundancy.allowed = self._meets(self.redundancy.map, "each")
        self._draw()

    def show(self, frame: Frame) -> None:
        """Draw what is counted, a few times a second."""
        now = time.monotonic()
        if self._state.status != "running" or frame.record is None or now - self._drawn >= DRAW_SECONDS:
            self._draw()

    # counting

    def _begun(self, change: traitlets.Bunch) -> None:
        """A frame without a round begins a new stream."""
        frame: Frame | None = change["new"]
        if frame is None or frame.record is None:
            with self._lock:
                self.counting = None

    def _heard(self, record: RoundRecord | None) -> None:
        """Count a round, whether its frame is drawn or not."""
        with self._lock:
            if record is None or self._state.federation is None:
                return
            if self.counting is None:
                self.counting = Counting(self._state.members, len(record.classes), self._state.window)
            self.counting.adopt(self._state.members)
            self.counting.book(record)

    def _follow_members(self) -> None:
        with self._lock:
            if self.counting is not None:
                self.counting.adopt(self._state.members)

    # drawing

    @property
    def _members(self) -> tuple[Member, ...]:
        return self._state.enabled[:MOST_DRAWN]

    def _picked(self, place: int) -> None:
        members = self._members
        if 0 <= place < len(members):
            self._look_at(members[place].party.name)

    def _look_at(self, name: str | None) -> None:
        self._party = name or ""
        self._draw()

    def _draw(self) -> None:
        if not self._built:
            return
        with self._lock:
            self._drawn = time.monotonic()
            members, counting = self._members, self.counting
            names = [one.party.name for one in members]
            self._party = self._party if self._party in names else (names[0] if names else "")
            with self._quietly:
                set_options(self.party, names, self._party or None)
                window = self._state.window
                set_options(
                    self.span, ((f"the last {window} rounds", RECENT), ("the whole stream", TOTAL)), self.span.value
                )
            if counting is None or not members or counting.running.n_rounds == 0:
                for view in (self.map, self.table):
                    view.update(round=0, rows=(), **({"columns": (), "values": b"", "row_colours": (), "selected": -1,
                                "column_colours": ()} if view is self.map else {"colours": ()}))  # fmt: skip
                self.confusions.clear()
                self.redundancy.draw()
                return
            rows = [counting.members.index(one) for one in members]
            running = counting.running
            counts = (running.recent if self.span.value == RECENT else running.total).picked(rows)
            n_rounds = len(running.rounds) if self.span.value == RECENT else running.n_rounds
            self._draw_map(members, counts, n_rounds)
            self._draw_table(members, counts)
            self.confusions.draw(members, names.index(self._party), counts, self._state.federation)
            self.redundancy.draw()

    def _draw_map(self, members: tuple[Member, ...], counts: Agreement, n_rounds: int) -> None:
        names, colours = [one.party.name for one in members], [one.number for one in members]
        share = counts.share
        np.fill_diagonal(share, np.nan)
        said = f"{counts.n_queries} queries of {n_rounds} round{'s' if n_rounds != 1 else ''}"
        n_left_out = len(self._state.enabled) - len(members)
        summary = ""
        if not np.isnan(share).all():
            a, b = np.unravel_index(np.nanargmax(share), share.shape)
            c, d = np.unravel_index(np.nanargmin(share), share.shape)
            summary = (
                f"Most alike are {names[a]} and {names[b]}, {per_cent(float(share[a, b]))}; "
                f"least {names[c]} and {names[d]}, {per_cent(float(share[c, d]))}."
            )
        self.map.update(
            round=self.map.round + 1, rows=names, columns=names, row_colours=colours, column_colours=colours,
            values=share, note=said + (f"; {n_left_out} more parties are not drawn" if n_left_out else ""),
            summary=summary, selected=names.index(self._party),
        )  # fmt: skip

    def _draw_table(self, members: tuple[Member, ...], counts: Agreement) -> None:
        names, share = [one.party.name for one in members], counts.share
        np.fill_diagonal(share, -1.0)
        share[np.isnan(share)] = -1.0
        nearest = share.argmax(axis=1)
        skill, true_skill = counts.skill, counts.true_skill
        self.table.update(
            rows=[
                (name, skill[k], true_skill[k], names[nearest[k]], share[k, nearest[k]])
                if share[k, nearest[k]] >= 0
                else (name, skill[k], true_skill[k], None, None)
                for k, name in enumerate(names)
            ],
            colours=[one.number for one in members],
        )
