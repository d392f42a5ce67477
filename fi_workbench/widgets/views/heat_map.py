"""A table of numbers as shades: who agrees with whom, what is mistaken for what, what pays and what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import traitlets

from fi_workbench.widgets.views import heat_scale
from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import CannotDraw, Float32, Frozen, Numbers, Words
from fi_workbench.widgets.views.view import View

KINDS = ("number", "percent", "points", "factor")
"""percent: a share from 0 to 1, shown times 100; points: a difference of shares, shown times 100 with its sign; factor:
by how much something is multiplied."""

SCALES = ("sequential", "diverging")


def _legend(entries: Any) -> tuple[tuple[float, str], ...]:
    frozen = tuple((float(shade), str(text)) for shade, text in entries)
    if any(not -1 <= shade <= 1 for shade, _ in frozen) or [*frozen] != sorted(frozen, key=lambda one: one[0]):
        raise CannotDraw(f"HeatMap.legend takes (shade from -1 to 1, text) in rising order, not {frozen}.")
    return frozen


class HeatMap(View):
    """Shades with their numbers, wherever these fit; one sentence tells the cell under the pointer or the arrow keys.

    Parameters
    ----------
    rows, columns : sequence of str
    row_colours, column_colours : sequence of int
        A party's number for the chip beside its name; empty where rows or columns are no parties.
    values : array (row, column)
        NaN where there is none; infinite values are shown as such.
    shades : array (row, column)
        How strong each cell is drawn, -1 to 1 (0 to 1 on a sequential scale); the values themselves, where empty.
    scale : {"sequential", "diverging"}
    kind : str
        One of :data:`KINDS`.
    unit : str
        Of the values, for the table and the sentence.
    sentence : str
        Of a cell, with ``{row}``, ``{column}`` and ``{value}``.
    sentences : sequence of str
        One per cell, row after row, instead of ``sentence``.
    marks : sequence of str
        Per row: why it is marked, or "".
    mark_word : str
        What the mark means.
    legend : sequence of (float, str)
        Shades and what they stand for, in rising order.
    note : str
        Beside the title.
    hint : str
        Beneath, while no cell is pointed at.
    summary : str
        The picture in words, for those who do not see it.
    selected : int
        Row that is picked; -1 for none.
    pick : str
        What Enter or a click does, as a verb phrase; "" where it does nothing.
    square : bool
        Whether cells are as high as they are wide.

    Examples
    --------
    >>> view = HeatMap(rows=["A", "B"], columns=["A", "B"], kind="percent")
    >>> view.update(values=[[float("nan"), 0.8], [0.8, float("nan")]])
    >>> view.at(0, 1)
    0.8
    """

    _esm = module("heat_map")
    _css = stylesheet("views", "heat_map") + heat_scale.css()

    rows = Words().tag(sync=True)
    columns = Words().tag(sync=True)
    row_colours = Numbers(low=0, whole=True).tag(sync=True)
    column_colours = Numbers(low=0, whole=True).tag(sync=True)
    values = Float32().tag(sync=True)
    shades = Float32().tag(sync=True)
    scale = traitlets.Enum(SCALES, "sequential").tag(sync=True)
    kind = traitlets.Enum(KINDS, "number").tag(sync=True)
    unit = traitlets.Unicode("").tag(sync=True)
    sentence = traitlets.Unicode("{row}, {column}: {value}").tag(sync=True)
    sentences = Words().tag(sync=True)
    marks = Words().tag(sync=True)
    mark_word = traitlets.Unicode("").tag(sync=True)
    legend = Frozen(_legend, "a sequence of (shade, text)").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    hint = traitlets.Unicode("").tag(sync=True)
    summary = traitlets.Unicode("").tag(sync=True)
    selected = traitlets.Int(-1, min=-1).tag(sync=True)
    pick = traitlets.Unicode("").tag(sync=True)
    square = traitlets.Bool(True).tag(sync=True)
    picked = traitlets.Tuple()
    """The page's latest pick, (row, column, how many picks before it); -1 for a name without the other axis."""

    def on_pick(self, callback: Callable[[int, int], None]) -> None:
        """Call ``callback(row, column)`` when a cell or a name is picked; -1 stands for the axis that was not named."""
        self.observe(lambda change: callback(*change["new"][:2]), "picked")

    def at(self, row: int, column: int) -> float | None:
        """The value of a cell, as float32 travels; None where there is none."""
        value = float(np.frombuffer(self.values, "<f4")[row * len(self.columns) + column])
        return None if math.isnan(value) else float(f"{value:.7g}")

    def _check(self) -> None:
        n_cells = len(self.rows) * len(self.columns)
        for name in ("values", "shades"):
            held = len(getattr(self, name)) // 4
            if held and held != n_cells:
                raise CannotDraw(
                    f"HeatMap.{name} holds {held} values for {len(self.rows)} x {len(self.columns)} cells."
                )
        self._same_length(("sentences",), n_cells, "cells")
        self._same_length(("row_colours", "marks"), len(self.rows), "rows")
        self._same_length(("column_colours",), len(self.columns), "columns")
        if self.selected >= max(len(self.rows), 1):
            raise CannotDraw(f"HeatMap.selected is row {self.selected} of {len(self.rows)}.")

    def _hear(self, view: object, content: object, buffers: object) -> None:
        place = content.get("pick") if isinstance(content, dict) else None
        if place is None:
            super()._hear(view, content, buffers)
            return
        row, column = (int(index) for index in place)
        if -1 <= row < len(self.rows) and -1 <= column < len(self.columns):  # else of a picture that is gone
            self.picked = (row, column, self.picked[2] + 1 if self.picked else 1)
