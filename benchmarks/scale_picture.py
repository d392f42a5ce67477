"""The scale study as one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fi_workbench.session.report import LINES, TEMPLATE

AXES = {"parties": "parties", "batch": "queries in a round", "classes": "classes", "bytes": "bytes of the queries",
        "askers": "rounds at once"}  # fmt: skip
DASHES = {"hosted": "solid", "embedded": "dot"}


def picture(points: Sequence[dict[str, Any]]) -> go.Figure:
    """Five panels of median seconds a round over what is varied, and one of rounds a second over rounds at once.

    Both axes are logarithmic; the thin lines are 95th percentiles.
    """
    titles = [f"Seconds, over {axis}" for axis in AXES.values()] + ["Rounds a second, over rounds at once"]
    figure = make_subplots(rows=2, cols=3, subplot_titles=titles, horizontal_spacing=0.07, vertical_spacing=0.14)
    for number, study in enumerate(AXES):
        for where in DASHES:
            _line(figure, number, _of(points, study, where), "median_seconds", where, 2.0)
            _line(figure, number, _of(points, study, where), "p95_seconds", where, 0.8)
    _line(figure, len(AXES), _of(points, "askers", "hosted"), "rounds_per_second", "hosted", 2.0)
    figure.update_xaxes(type="log", dtick=1)
    for panel in range(len(titles)):
        row, column = divmod(panel, 3)
        drawn = [y for trace in figure.select_traces(row=row + 1, col=column + 1) for y in trace.y]
        if drawn:  # whole decades: noise must not look like growth
            ends = [math.floor(math.log10(min(drawn))), math.ceil(math.log10(max(drawn)))]
            figure.update_yaxes(type="log", dtick=1, range=ends, row=row + 1, col=column + 1)
    return figure.update_layout(
        template=TEMPLATE,
        width=1150,
        height=680,
        showlegend=False,
        title="What a round costs as it grows",
        margin={"l": 60, "r": 30, "t": 90, "b": 50},
    )


def _of(points: Sequence[dict[str, Any]], study: str, where: str) -> list[dict[str, Any]]:
    found = [one for one in points if (one["study"], one["where"]) == (study, where)]
    return sorted(found, key=lambda one: one["x"])


def _line(figure: go.Figure, panel: int, points: Sequence[dict[str, Any]], what: str, where: str, width: float) -> None:
    if not points:
        return
    row, column = divmod(panel, 3)
    thick = width > 1
    figure.add_trace(
        go.Scatter(
            x=[one["x"] for one in points], y=[one[what] for one in points], name=where,
            mode="lines+markers+text" if thick else "lines",
            text=[*([""] * (len(points) - 1)), where], textposition="top left", cliponaxis=False,
            line={"color": LINES[list(DASHES).index(where)], "dash": DASHES[where], "width": width},
            hovertemplate=f"{where}: %{{x}}, %{{y:.3g}}<extra></extra>",
        ),
        row=row + 1, col=column + 1,
    )  # fmt: skip
