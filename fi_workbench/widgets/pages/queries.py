"""One query at a time: what it shows, what each party said, what came out."""

from __future__ import annotations

import time

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.messages import Question
from fi_workbench.core.records import RoundRecord
from fi_workbench.widgets.pages import query_order
from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.panels.parts import Quietly, changed, hint, named, row
from fi_workbench.widgets.running.frames import Frame
from fi_workbench.widgets.views import QueryView
from fi_workbench.widgets.wording import per_cent, title

FOLLOW_SECONDS = 1.0
"""While the stream runs, the newest batch is shown this often: less, and nobody could read it."""


class QueriesPage(Page):
    """The drill-down: disagreements first, the newest batch until somebody steps."""

    title = "Queries"

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self._quietly = Quietly()
        self._held: tuple[RoundRecord, Question] | None = None
        self._order = np.zeros(0, dtype=np.int64)
        self._taken = 0.0
        self.view = QueryView(title="Query")
        self.view.on_request(self.step)
        self.follow = named(
            ipywidgets.Checkbox(
                value=True, indent=False, description="follow the stream",
                tooltip="Show the newest batch; stepping through the queries holds the one on show",
            ),
            "fi-follow",
        )  # fmt: skip
        self.only = named(
            ipywidgets.Dropdown(
                options=[(words, name) for name, words in query_order.FILTERS.items()], tooltip="Which queries to show"
            ),
            "fi-query-filter",
        )
        self.first = named(
            ipywidgets.Checkbox(
                value=True, indent=False, description="disagreements first",
                tooltip="Queries on which the parties gave the most different labels come first",
            ),
            "fi-disagreements-first",
        )  # fmt: skip
        self._where = hint(css="fi-query-batch")
        changed(self.only, self._quietly, lambda _value: self._arrange())
        changed(self.first, self._quietly, lambda _value: self._arrange())
        changed(self.follow, self._quietly, self._followed)
        return (row(self.only, self.first, self.follow), self.view, self._where)

    def show(self, frame: Frame) -> None:
        """Take the newest batch, where the stream is followed."""
        if frame.record is None or frame.question is None or not self.follow.value:
            return
        if self._held is not None and self._held[0] is frame.record:
            return
        now = time.monotonic()
        if self._held is None or self._state.status != "running" or now - self._taken >= FOLLOW_SECONDS:
            self._taken = now
            self.hold(frame.record, frame.question)

    def hold(self, record: RoundRecord, question: Question) -> None:
        """Look at this batch."""
        self._held = record, question
        self._arrange()

    def look_at(self, record: RoundRecord, question: Question, queries: np.ndarray) -> None:
        """Look at some queries of a batch, and leave the stream."""
        if not self._built:
            self.open()
        with self._quietly:
            self.follow.value = False
        self._held = record, question
        self._order = np.asarray(queries)
        self._select(0)

    def refresh(self) -> None:
        """Draw again: what may be shown can have changed."""
        if self._held is not None:
            self._draw()

    def step(self, kind: str) -> None:
        """A press on the page: next, previous, next_disagreement."""
        if self._held is None or not len(self._order):
            return
        with self._quietly:
            self.follow.value = False
        place, n_queries = self._state.selection, len(self._order)
        if kind == "next":
            place = (place + 1) % n_queries
        elif kind == "previous":
            place = (place - 1) % n_queries
        elif kind == "next_disagreement":
            different = np.flatnonzero(query_order.disagreements(self._held[0])[self._order])
            later = different[different > place]
            place = int(later[0] if len(later) else different[0]) if len(different) else place
        self._select(place)

    def _followed(self, follow: bool) -> None:
        self._taken = 0.0
        if follow and self._state.frame is not None:
            self._held = None
            self.show(self._state.frame)

    def _arrange(self) -> None:
        if self._held is None:
            return
        self._order = query_order.order(self._held[0], only=self.only.value, disagreements_first=self.first.value)
        self._select(0)

    def _select(self, place: int) -> None:
        self._state.selection = place
        self._draw()

    def _draw(self) -> None:
        if self._held is None:
            return
        record, question = self._held
        n_shown, place = len(self._order), self._state.selection
        if not n_shown or place >= n_shown or record.scores is None:
            nothing = "Nobody answered this batch." if record.scores is None else "No query of this batch is like that."
            self.view.show_query(
                np.zeros(0), title="Query", round=record.round, n_queries=0, position=0, scores=(), answers=b"",
                truth=None, parties=(), colours=(), empty_text=nothing,
            )  # fmt: skip
            return
        query = int(self._order[place])
        numbers = {one.party.name: one.number for one in self._state.members}
        names = [name for name in record.parties if name in numbers]
        federation = self._state.federation
        carrier = None if federation is None else federation.settings.mechanism.carrier
        disclosed = record.answers is not None and (carrier is None or satisfies(carrier.offers, "each"))
        answers: NDArray[np.float32] | bytes = b""
        if disclosed and record.answers is not None:
            each = np.array(record.answers[[record.parties.index(name) for name in names], query], np.float32)
            each[[name not in record.present for name in names]] = np.nan
            answers = each
        mechanism = title(carrier.name) if carrier is not None else "The mechanism"
        self.view.show_query(
            question.queries[query],
            title=_heading(record, query),
            round=record.round,
            position=place,
            n_queries=n_shown,
            classes=record.classes,
            parties=names,
            colours=[numbers[name] for name in names],
            scores=record.scores[query],
            answers=answers,
            abstains=record.answered is not None and not record.answered[query],
            truth=None if record.truth is None else int(record.truth[query]),
            disclosed=disclosed,
            hidden_reason=f"{mechanism}: each party's answer is not shown.",
        )
        rule = title(str(record.settings.get("rule", ""))).lower()
        self._where.value = f"Query {query + 1} of the {record.n_queries} in round {record.round}, answered by {rule}."


def _heading(record: RoundRecord, query: int) -> str:
    """What stands above a query: that the federation does not know, where it was not sure enough."""
    if record.answered is None or record.scores is None or record.answered[query]:
        return "Query"
    below = float(record.settings.get("abstain_below", 0.0))
    sure = per_cent(float(record.scores[query].max()))
    return f"Query: do not know ({sure} sure, answers from {per_cent(below)} on)"
