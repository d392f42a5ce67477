"""A table whose rows can be chosen, by a click or with the keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.table_view import TableView
from fi_workbench.widgets.views.traits import CannotDraw


class ChoiceTable(TableView):
    """A table that tells which row was chosen; one with a fault cannot be.

    Parameters
    ----------
    selected : int
        The row that is in force; -1 for none.
    pick : str
        What Enter or a click does, as a verb phrase.

    Examples
    --------
    >>> table = ChoiceTable(columns=[{"name": "rule"}], pick="choose the rule")
    >>> table.on_pick(lambda row: print("row", row))
    >>> table.update(rows=[("soft_vote",), ("hard_vote",)], faults=["", "needs votes"])
    >>> table._handle_custom_msg({"pick": 0}, [])
    row 0
    >>> table._handle_custom_msg({"pick": 1}, [])  # it has a fault
    """

    _esm = module("choice_table")
    _css = stylesheet("views", "trade_off")

    selected = traitlets.Int(-1, min=-1).tag(sync=True)
    pick = traitlets.Unicode("choose the row").tag(sync=True)
    picked = traitlets.Tuple()
    """The page's latest pick: (row, how many picks before it)."""

    def on_pick(self, callback: Callable[[int], Any]) -> None:
        """Call ``callback(row)`` when a row is chosen."""
        self.observe(lambda change: callback(change["new"][0]), "picked")

    def _check(self) -> None:
        super()._check()
        if self.selected >= max(len(self.rows), 1):
            raise CannotDraw(f"ChoiceTable.selected is row {self.selected} of {len(self.rows)}.")

    def _hear(self, view: object, content: object, buffers: object) -> None:
        row = content.get("pick") if isinstance(content, dict) else None
        if row is None:
            super()._hear(view, content, buffers)
        elif isinstance(row, int) and 0 <= row < len(self.rows) and not (self.faults and self.faults[row]):
            self.picked = (row, self.picked[1] + 1 if self.picked else 1)
