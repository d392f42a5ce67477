"""How often each rule is right, with its interval, between the bounds."""

from __future__ import annotations

from typing import ClassVar

import traitlets

from fi_workbench.widgets.views.front_end import module
from fi_workbench.widgets.views.rule_view import STYLE, RuleView
from fi_workbench.widgets.views.traits import Numbers


class AccuracyDots(RuleView):
    """One dot per rule with its interval as a line; each bound a vertical line through all.

    Parameters
    ----------
    accuracies : sequence of float or None
        One per rule or bound, from 0 to 1.
    lows, highs : sequence of float or None
        Ends of the intervals; those of bounds are in the table only.

    Examples
    --------
    >>> dots = AccuracyDots(names=["Soft vote", "Oracle"], kinds=["rule", "oracle"])
    >>> dots.update(accuracies=[0.81, 0.97], lows=[0.78, None], highs=[0.84, None])
    >>> dots.accuracies
    (0.81, 0.97)
    """

    _esm = module("accuracy_dots")
    _css = STYLE

    title = traitlets.Unicode("Accuracy").tag(sync=True)
    empty_text = traitlets.Unicode("Nothing was compared yet.").tag(sync=True)
    accuracies = Numbers(low=0, high=1).tag(sync=True)
    lows = Numbers(low=0, high=1).tag(sync=True)
    highs = Numbers(low=0, high=1).tag(sync=True)

    per_rule: ClassVar[tuple[str, ...]] = ("accuracies", "lows", "highs")
