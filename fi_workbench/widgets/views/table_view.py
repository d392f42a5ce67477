"""A tidy table."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import CannotDraw, Frozen, Numbers, Words
from fi_workbench.widgets.views.view import View

KINDS = ("text", "number", "count", "percent", "points")
"""number: three significant digits; count: exact; percent: a share from 0 to 1, shown times 100; points: a difference
of shares, shown times 100 and always with its sign."""


def _cell(value: Any) -> str | int | float | None:
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, str | int | float) else str(value)


def _rows(rows: Any) -> tuple[tuple[str | int | float | None, ...], ...]:
    return tuple(tuple(_cell(value) for value in row) for row in rows)


def _columns(columns: Any) -> tuple[dict[str, str], ...]:
    frozen = tuple({"unit": "", "kind": "text", **column} for column in columns)
    for column in frozen:
        if set(column) != {"name", "unit", "kind"} or column["kind"] not in KINDS:
            raise CannotDraw(f"TableView.columns takes a name, a unit and a kind of {KINDS}, not {column}.")
    return frozen


class TableView(View):
    """Rows under heads with units; numbers are right-aligned.

    Parameters
    ----------
    columns : sequence of dict
        ``{"name": ..., "unit": ..., "kind": ...}``, its kind one of :data:`KINDS`; unit and kind may be
        left out.
    rows : sequence of sequence
        One value per column; None and NaN show as "-".
    colours : sequence of int or None
        Per row: the party's number for its chip, or None for no chip.
    faults : sequence of str
        Per row: what is wrong with it, or "". Such rows are hatched; the text shows on hover.

    Examples
    --------
    >>> table = TableView(columns=[{"name": "rule"}, {"name": "accuracy", "unit": "%", "kind": "percent"}])
    >>> table.update(rows=[("soft_vote", 0.812), ("hard_vote", float("nan"))])
    >>> table.rows
    (('soft_vote', 0.812), ('hard_vote', None))
    """

    _esm = module("table_view")
    _css = stylesheet("views")

    columns = Frozen(_columns, "a sequence of dicts with a name, and maybe a unit and a kind").tag(sync=True)
    rows = Frozen(_rows, "a sequence of rows").tag(sync=True)
    colours = Numbers(low=0, whole=True).tag(sync=True)
    faults = Words().tag(sync=True)

    def _check(self) -> None:
        for index, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise CannotDraw(f"TableView: row {index} has {len(row)} values for {len(self.columns)} columns.")
        self._same_length(("colours", "faults"), len(self.rows), "rows")
