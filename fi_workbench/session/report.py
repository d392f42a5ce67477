"""Static figures for reports: accuracy, contributions and class counts, drawn with plotly and one template.

A party has the colour it has in the workbench, and its name beside it; a series of five or fewer is labelled where it
ends, not in a legend; axes of shares begin at zero.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from fi_workbench.core.errors import FederationError, InvalidData, UnknownName
from fi_workbench.session.history import History

COLOURS = ("#0072B2", "#E69F00", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#F0E442", "#7A7A7A")
"""Okabe and Ito's colours in the workbench's order; from the ninth party on they come again, hatched."""

LINES = ("#0072B2", "#C68905", "#3D9DD1", "#D55E00", "#009E73", "#CC79A7", "#6B6400", "#7A7A7A")
"""The same for lines and words, each with at least 3:1 against white."""

TEXT, MUTED, HAIRLINE = "#212121", "#6B6B6B", "#E0E0E0"

TEMPLATE = go.layout.Template(
    layout=go.Layout(
        font={"family": "system-ui, -apple-system, 'Segoe UI', sans-serif", "size": 13, "color": TEXT},
        title={"font": {"size": 16}, "x": 0.0, "xref": "paper"},
        colorway=COLOURS,
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 64, "r": 160, "t": 64, "b": 64},
        showlegend=False,
        hoverlabel={"font": {"size": 11}},
        xaxis={
            "title": {"font": {"size": 13}},
            "showgrid": False,
            "zeroline": False,
            "linecolor": MUTED,
            "ticks": "outside",
            "tickcolor": MUTED,
        },
        yaxis={"title": {"font": {"size": 13}}, "gridcolor": HAIRLINE, "zeroline": False, "linecolor": "white"},
    )
)

DIRECT_LABELS = 5
"""Up to so many series are labelled where they end; more get a legend."""


class CannotSave(FederationError, OSError):
    """A figure that could not be written; says what is missing."""


def accuracy_figure(history: History, *, window: int = 20) -> go.Figure:
    """Accuracy over rounds of the consensus, the best single party and the oracle.

    Parameters
    ----------
    history : History
        Rounds without true labels are left out.
    window : int
        Rounds that each point is the mean of.

    Raises
    ------
    InvalidData
        No round has a known accuracy.
    """
    rounds = [entry for entry in history if entry["accuracy"] is not None]
    if not rounds:
        raise InvalidData("No round of this history has true labels, so there is no accuracy to draw.")
    numbers = [entry["round"] for entry in rounds]
    own = pd.DataFrame([entry.get("party_accuracy") or {} for entry in rounds], index=numbers)
    series = {"consensus": pd.Series([entry["accuracy"] for entry in rounds], index=numbers)}
    if len(own.columns) and not own.isna().to_numpy().all():
        best = own.mean().idxmax()
        series[f"best party, {best}"] = own[best]
        series["oracle"] = pd.Series([entry.get("oracle_accuracy") for entry in rounds], index=numbers, dtype=float)
    figure = go.Figure(layout={"template": TEMPLATE, "title": "Accuracy over rounds"})
    ends: list[tuple[float, str, str]] = []
    for (name, values), dash in zip(series.items(), ("solid", "dash", "dot"), strict=False):
        mean = values.astype(float).rolling(window, min_periods=1).mean()
        width = 2.5 if dash == "solid" else 1.5
        figure.add_scatter(
            x=numbers, y=mean, name=name, mode="lines", line={"color": TEXT, "dash": dash, "width": width}
        )
        ends.append((float(mean.iloc[-1]), f"{name} {100 * mean.iloc[-1]:.3g} %", TEXT))
    _label_ends(figure, ends, 1.02)
    figure.update_xaxes(title=f"round (each point: mean of up to {window})", range=_from_to(numbers))
    figure.update_yaxes(title="accuracy", tickformat=".0%", range=[0, 1.02])
    return figure


def contribution_figure(history: History, *, window: int = 20) -> go.Figure:
    """Share of the contribution over rounds, one line a party.

    Parameters
    ----------
    history : History
    window : int
        Rounds that each point is the mean of.

    Raises
    ------
    InvalidData
        No round has contributions.
    """
    rounds = [entry for entry in history if entry["contributions"] is not None]
    if not rounds:
        raise InvalidData("No round of this history has contributions to draw.")
    numbers = [entry["round"] for entry in rounds]
    rows = [dict(zip(entry["parties"], entry["contributions"], strict=True)) for entry in rounds]
    shares = pd.DataFrame(rows, index=numbers).rolling(window, min_periods=1).mean()
    methods = sorted({entry["contribution"].replace("_", " ") for entry in rounds})
    figure = go.Figure(layout={"template": TEMPLATE, "title": f"Contribution by {', '.join(methods)}"})
    ends: list[tuple[float, str, str]] = []
    for number, party in enumerate(shares.columns):
        values, colour = shares[party], LINES[number % len(LINES)]
        dash = "solid" if number < len(COLOURS) else "dash"
        line = {"color": colour, "width": 2, "dash": dash}
        figure.add_scatter(x=numbers, y=values, name=str(party), mode="lines", line=line)
        known = values.dropna()
        if len(shares.columns) <= DIRECT_LABELS and len(known):
            ends.append((float(known.iloc[-1]), f"{party} {100 * known.iloc[-1]:.3g} %", colour))
    top = 1.1 * max(float(shares.to_numpy(na_value=0.0).max()), 0.05)
    _label_ends(figure, ends, top)
    figure.update_layout(showlegend=len(shares.columns) > DIRECT_LABELS)
    figure.update_xaxes(title=f"round (each point: mean of up to {window})", range=_from_to(numbers))
    figure.update_yaxes(title="share of the contribution", tickformat=".0%", range=[0, top])
    return figure


def partition_figure(class_counts: Mapping[str, ArrayLike], classes: Sequence[str] | None = None) -> go.Figure:
    """How many training samples of each class every party holds.

    Parameters
    ----------
    class_counts : mapping of party to array (class,)
    classes : sequence of str, optional
        ``"0"``, ``"1"``, ... otherwise.

    Raises
    ------
    InvalidData
        No counts, or rows of different lengths.
    """
    counts = {party: np.asarray(row) for party, row in class_counts.items()}
    lengths = {row.shape for row in counts.values()}
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise InvalidData("There are no class counts to draw, or they differ in length; they may be private.")
    names = [str(k) for k in range(next(iter(lengths))[0])] if classes is None else list(classes)
    parties = list(counts)
    figure = go.Figure(layout={"template": TEMPLATE, "title": "Training samples of each class"})
    for number, party in enumerate(parties):
        row, most = counts[party], max(int(one.max()) for one in counts.values()) or 1
        figure.add_bar(
            x=names,
            y=row / most * 0.9,
            base=len(parties) - 1 - number,
            customdata=row,
            hovertemplate=f"{party}: %{{customdata}} of class %{{x}}<extra></extra>",
            marker={
                "color": COLOURS[number % len(COLOURS)],
                "pattern": {"shape": "/" if number >= len(COLOURS) else ""},
            },
            name=party,
        )
        _label(figure, 1.0, len(parties) - 0.75 - number, f"{int(row.sum())} samples", MUTED)
    places = [len(parties) - 0.6 - number for number in range(len(parties))]
    figure.update_layout(barmode="overlay", height=96 + 48 * len(parties))
    figure.update_xaxes(title="class", type="category")
    figure.update_yaxes(tickvals=places, ticktext=parties, range=[0, len(parties)], showgrid=False)
    return figure


def matrix_figure(
    table: pd.DataFrame,
    *,
    title: str,
    unit: str = "",
    middle: float | None = None,
    worse: Literal["above", "below"] = "above",
    form: str = ".3g",
) -> go.Figure:
    """A table of numbers as shaded cells with the numbers in them: rules by setting, behaviours by reward.

    Parameters
    ----------
    table : DataFrame
        Rows and columns as they are to be drawn; missing cells stay empty.
    title : str
    unit : str
        Of the numbers, for the title.
    middle : float, optional
        Where it is given, cells below it are shaded in another colour than those above.
    worse : {"above", "below"}
        On which side of ``middle`` the cells are brown.
    form : str
        How numbers are written, as Python formats them.

    Raises
    ------
    InvalidData
        Nothing to draw.
    """
    values = table.to_numpy(dtype=np.float64, na_value=np.nan)
    known = values[np.isfinite(values)]
    if not known.size:
        raise InvalidData("There are no numbers to draw.")
    colours = [[0, "#F5F7FA"], [1, "#4A6FA5"]]
    if middle is not None:
        # a few cells far out would leave all the others white
        reach = max(float(np.quantile(np.abs(known - middle), 0.95)), 1e-9)
        ends = ("#3B8686", "#B26B3C") if worse == "above" else ("#B26B3C", "#3B8686")
        colours = [[0, ends[0]], [0.5, "#FFFFFF"], [1, ends[1]]]
    columns, rows = [_in_words(name) for name in table.columns], [_in_words(name) for name in table.index]
    figure = go.Figure(layout={"template": TEMPLATE, "title": f"{title}, {unit}" if unit else title})
    figure.add_heatmap(
        z=values, x=columns, y=rows, colorscale=colours, showscale=False, xgap=1, ygap=1,
        zmin=None if middle is None else middle - reach, zmax=None if middle is None else middle + reach,
        customdata=values, text=[[_written(value, form) for value in line] for line in values],
        texttemplate="%{text}", hovertemplate="%{y}, %{x}: %{customdata:.4g}<extra></extra>",
    )  # fmt: skip
    left, top = (7 * max(map(len, names)) for names in (rows, columns))  # pixels of the longest name
    upright = 7 * max(map(len, columns)) > 700 / len(columns)
    head = 64 + (top if upright else 24)
    figure.update_layout(height=head + 26 * len(rows) + 24, margin={"l": 24 + left, "r": 16, "t": head, "b": 24})
    figure.update_layout(title={"y": 1.0, "yref": "container", "yanchor": "top", "pad": {"t": 16}})
    figure.update_xaxes(side="top", type="category", ticks="", linecolor="white", tickangle=-90 if upright else 0)
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False)
    return figure


def save_figure(figure: go.Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure: ``.html``, interactive and complete in itself, or ``.png``.

    Returns
    -------
    Path

    Raises
    ------
    UnknownName
        Another ending.
    CannotSave
        A ``.png`` where plotly has no working kaleido and browser; says what to install.
    """
    target = Path(path)
    if target.suffix == ".html":
        target.write_text(figure.to_html(include_plotlyjs=True, full_html=True), encoding="utf-8")
    elif target.suffix == ".png":
        target.write_bytes(_png(figure))
    else:
        raise UnknownName("figure format", target.suffix or str(target), (".html", ".png"))
    return target


def _png(figure: go.Figure) -> bytes:
    try:
        content: bytes = figure.to_image(format="png", scale=2)
    except Exception as error:  # plotly and kaleido raise many kinds for one thing: no image
        raise CannotSave(
            "A PNG needs the package kaleido and a Chrome or Chromium that it finds: pip install kaleido, then "
            "plotly_get_chrome, or set BROWSER_PATH. Saving as .html needs neither."
        ) from error
    return content


def _label_ends(figure: go.Figure, ends: Sequence[tuple[float, str, str]], top: float) -> None:
    """Words in their colours at the right ends of series, moved apart where two would meet."""
    place = -1.0
    for y, text, colour in sorted(ends):
        place = max(y, place + 0.05 * top)
        _label(figure, 1.0, place, text, colour)


def _from_to(numbers: Sequence[int]) -> list[int]:
    """Ends of the axis of rounds: the labels stand outside of it."""
    return [numbers[0], max(numbers[-1], numbers[0] + 1)]


def _label(figure: go.Figure, x: float, y: float, text: str, colour: str) -> None:
    """Words to the right of the plot; ``x`` is 1 at its edge."""
    font = {"size": 11, "color": colour}
    figure.add_annotation(x=x, y=y, xref="paper", text=text, showarrow=False, xanchor="left", xshift=8, font=font)


def _in_words(name: object) -> str:
    parts = name if isinstance(name, tuple) else (name,)
    return ", ".join(f"{part:g}" if isinstance(part, float) else str(part).replace("_", " ") for part in parts)


def _written(value: float, form: str) -> str:
    return "" if np.isnan(value) else f"{value if abs(value) >= 5e-4 else 0.0:{form}}"
