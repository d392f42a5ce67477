"""A trade-off as a static figure, interactive in a page of its own: for a report."""

from __future__ import annotations

import plotly.graph_objects as go

from fi_workbench.core.errors import InvalidData
from fi_workbench.session.report import MUTED, TEMPLATE
from fi_workbench.session.trading_off.result import TradeOff, TradeOffRow
from fi_workbench.widgets.pages.tradeoff.words import By, method_title, sentence
from fi_workbench.widgets.views.rule_palette import ON_LIGHT
from fi_workbench.widgets.wording import title

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "hexagon", "x")
_X = {"epsilon_per_query": "epsilon of a query", "epsilon_answers": "epsilon of all queries"}
_APART = {"hidden": "hidden,<br>no noise", "none": "no<br>guarantee"}


def trade_off_figure(result: TradeOff, by: By = "epsilon_per_query") -> go.Figure:
    """Accuracy against epsilon: one colour a rule, one symbol a mechanism, with intervals.

    Parameters
    ----------
    result : TradeOff
    by : {"epsilon_per_query", "epsilon_answers"}
        Which epsilon the axis shows.

    Raises
    ------
    InvalidData
        Nothing was measured.
    """
    rows = result.measured
    if not rows:
        raise InvalidData("Nothing was measured, so there is no trade-off to draw.")
    known = sorted({value for row in rows if (value := getattr(row, by)) is not None})
    most = known[-1] if known else 1.0
    apart = {"hidden": most * 6, "none": most * 30}
    names = list(dict.fromkeys(row.setting.rule for row in rows))
    methods = list(dict.fromkeys(method_title(row.setting) for row in rows))
    figure = go.Figure(layout={"template": TEMPLATE, "title": "Accuracy against epsilon"})
    for number, rule in enumerate(names):
        mine = [row for row in rows if row.setting.rule == rule]
        ends = [row.interval or (0.0, 0.0) for row in mine]
        colour = ON_LIGHT[number % len(ON_LIGHT)]
        figure.add_scatter(
            x=[_x(row, by, apart) for row in mine], y=[row.accuracy for row in mine], name=title(rule), mode="markers",
            text=[sentence(row, result) for row in mine], hovertemplate="%{text}<extra></extra>",
            error_y={
                "array": [high - (row.accuracy or 0.0) for row, (_, high) in zip(mine, ends, strict=True)],
                "arrayminus": [(row.accuracy or 0.0) - low for row, (low, _) in zip(mine, ends, strict=True)],
                "color": colour, "thickness": 1, "width": 0,
            },
            marker={
                "color": colour, "opacity": 0.75, "size": 10,
                "symbol": [_symbol(methods.index(method_title(row.setting)), row) for row in mine],
            },
        )  # fmt: skip
    for number, method in enumerate(methods):  # the legend of the symbols
        symbol = _SYMBOLS[number % len(_SYMBOLS)]
        marker = {"symbol": f"{symbol}-open", "color": MUTED, "size": 10}
        figure.add_scatter(x=[None], y=[None], name=method, mode="markers", marker=marker)
    ticks = {f"{value:.3g}": value for value in known}
    ticks |= {_APART[place]: apart[place] for place in _APART if any(_place(row) == place for row in rows)}
    figure.update_layout(showlegend=True, margin={"r": 240})
    figure.update_xaxes(title=_X[by], type="log", tickvals=list(ticks.values()), ticktext=list(ticks))
    figure.update_yaxes(title="accuracy", tickformat=".0%", range=[0, 1.02])
    return figure


def _place(row: TradeOffRow) -> str:
    """On the axis, or in one of the places beside it."""
    return "epsilon" if row.epsilon_per_query is not None else row.guarantee


def _symbol(number: int, row: TradeOffRow) -> str:
    """Of a mechanism; hollow where the answers are protected and something else is not."""
    return f"{_SYMBOLS[number % len(_SYMBOLS)]}{'-open' if row.unprotected else ''}"


def _x(row: TradeOffRow, by: By, apart: dict[str, float]) -> float:
    return float(getattr(row, by)) if _place(row) == "epsilon" else apart[row.guarantee]
