"""What the rounds cost: messages, bytes, time, and how long each party took."""

from __future__ import annotations

import ipywidgets
import numpy as np

from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.panels.parts import named
from fi_workbench.widgets.running.frames import Frame
from fi_workbench.widgets.views import TableView

_TOTALS = (
    ("messages to the parties", "messages_out"),
    ("messages back", "messages_in"),
    ("bytes to the parties", "bytes_out"),
    ("bytes back", "bytes_in"),
)


class CostPage(Page):
    """Three tables: the stream, the stages of a round, the parties."""

    title = "Cost"

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        empty = "No rounds yet: ask a batch or press Run."
        self.traffic = TableView(
            title="Messages and bytes",
            empty_text=empty,
            columns=[
                {"name": "what"},
                {"name": "last round", "kind": "count"},
                {"name": "per round", "kind": "number"},
                {"name": "since the start", "kind": "count"},
            ],
        )
        self.stages = TableView(
            title="Stages of the last round",
            empty_text=empty,
            columns=[{"name": "stage"}, {"name": "time", "unit": "ms", "kind": "number"},
                     {"name": "share", "unit": "%", "kind": "percent"}],
        )  # fmt: skip
        self.latency = TableView(
            title="Latency of the parties",
            empty_text=empty,
            columns=[
                {"name": "party"},
                {"name": "last", "unit": "ms", "kind": "number"},
                {"name": "median", "unit": "ms", "kind": "number"},
                {"name": "95 % within", "unit": "ms", "kind": "number"},
                {"name": "longest", "unit": "ms", "kind": "number"},
                {"name": "absent", "unit": "rounds", "kind": "count"},
            ],
        )
        return (named(ipywidgets.Box((self.traffic, self.stages, named(self.latency, "fi-whole"))), "fi-tables"),)

    def show(self, frame: Frame) -> None:
        """Fill the tables."""
        record, totals = frame.record, frame.totals
        if record is None:
            for table in (self.traffic, self.stages, self.latency):
                table.update(round=0, rows=(), colours=(), faults=())
            return
        cost = record.cost
        rows: list[tuple[str, float | None, float, float]] = [
            (words, getattr(cost, name), totals[name] / frame.round, totals[name]) for words, name in _TOTALS
        ]
        rows.append(("queries", record.n_queries, totals["n_queries"] / frame.round, totals["n_queries"]))
        self.traffic.update(round=frame.round, rows=rows)
        spent = sum(cost.stage_seconds.values()) or 1.0
        self.stages.update(
            round=frame.round,
            rows=[(stage, 1000 * seconds, seconds / spent) for stage, seconds in cost.stage_seconds.items()]
            + [("whole round", 1000 * cost.seconds, 1.0)],
        )
        self.latency.update(
            round=frame.round,
            rows=[
                (
                    one.name,
                    None if one.latency_seconds is None else 1000 * one.latency_seconds,
                    *(
                        (1000 * float(np.quantile(one.latencies, share)) for share in (0.5, 0.95, 1.0))
                        if one.latencies
                        else (None, None, None)
                    ),
                    one.n_absent,
                )
                for one in frame.parties
            ],
            colours=[one.number for one in frame.parties],
            faults=[f"{one.status}: {one.reason}" if one.reason else "" for one in frame.parties],
        )
