"""The comparison as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from fi_workbench.session.report import LINES, TEMPLATE

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")


def picture(cases: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Milliseconds of a batch for each case and system, on a logarithmic axis, with quartiles; trust on hover.

    Every system has its own colour and its own symbol.
    """
    figure = go.Figure()
    shown = [_label(case) for case in cases]
    for number, name in enumerate(dict.fromkeys(name for case in cases for name in case["systems"])):
        points = [
            (_label(case), case["systems"][name])
            for case in cases
            if case["systems"].get(name, {}).get("samples")
        ]  # fmt: skip
        if not points:
            continue
        middle = [1e3 * one["median_seconds"] for _, one in points]
        low, high = zip(*(one["quartile_seconds"] for _, one in points), strict=True)
        figure.add_trace(
            go.Scatter(
                x=middle, y=[label for label, _ in points], name=name, mode="markers",
                marker={"size": 10, "color": LINES[number % len(LINES)], "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
                error_x={
                    "type": "data", "symmetric": False, "thickness": 1,
                    "array": [1e3 * most - one for most, one in zip(high, middle, strict=True)],
                    "arrayminus": [one - 1e3 * least for least, one in zip(low, middle, strict=True)],
                },
                customdata=[one["trust"] for _, one in points],
                hovertemplate=f"{name}: %{{x:.3g}} ms<br>%{{customdata}}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(type="log", dtick=1, title="milliseconds a batch, median and quartiles")
    figure.update_yaxes(categoryorder="array", categoryarray=shown[::-1])
    return figure.update_layout(
        template=TEMPLATE, width=1100, height=160 + 64 * max(1, len(shown)), title="Secure inference: time of a batch",
        legend={"orientation": "h", "y": -0.2}, margin={"l": 260, "r": 30, "t": 60, "b": 110},
    )  # fmt: skip


def _label(case: Mapping[str, Any]) -> str:
    return f"{case['title']}{', WAN' if case['where'] == 'wan' else ''}"
