"""What leaks, before and after: a dot for each figure with its interval, and where chance lies."""

from __future__ import annotations

from typing import ClassVar

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import Numbers, Words
from fi_workbench.widgets.views.view import View


class LeakDots(View):
    """One row per figure: a filled dot for what is so now, a hollow one for what was so before, a mark at chance.

    Parameters
    ----------
    names : sequence of str
        What each row measures.
    values, lows, highs : sequence of float or None
        Now, with the ends of the interval.
    before_values, before_lows, before_highs : sequence of float or None
        What it is compared with; empty where there is nothing.
    chances : sequence of float or None
        What it would be without a leak.
    now_name, before_name : str
        What the two kinds of dots stand for.
    sentences : sequence of str
        Per row: what is said of it when it is pointed at.

    Examples
    --------
    >>> dots = LeakDots(names=["Confidence attack: AUC"])
    >>> dots.update(values=[0.52], lows=[0.47], highs=[0.57], chances=[0.5])
    >>> dots.values
    (0.52,)
    """

    _esm = module("leak_dots")
    _css = stylesheet("views", "trade_off")

    title = traitlets.Unicode("What leaks").tag(sync=True)
    empty_text = traitlets.Unicode("Nothing was measured yet.").tag(sync=True)
    names = Words().tag(sync=True)
    values = Numbers().tag(sync=True)
    lows = Numbers().tag(sync=True)
    highs = Numbers().tag(sync=True)
    before_values = Numbers().tag(sync=True)
    before_lows = Numbers().tag(sync=True)
    before_highs = Numbers().tag(sync=True)
    chances = Numbers().tag(sync=True)
    now_name = traitlets.Unicode("now").tag(sync=True)
    before_name = traitlets.Unicode("before").tag(sync=True)
    sentences = Words().tag(sync=True)

    per_row: ClassVar[tuple[str, ...]] = (
        "values", "lows", "highs", "before_values", "before_lows", "before_highs", "chances", "sentences",
    )  # fmt: skip

    def _check(self) -> None:
        self._same_length(self.per_row, len(self.names), "rows")
