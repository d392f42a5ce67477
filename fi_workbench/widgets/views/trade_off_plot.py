"""Accuracy against epsilon, one mark for each mechanism and rule; what has no epsilon stands apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import traitlets

from fi_workbench.widgets.views import rule_palette
from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.rule_view import RuleView
from fi_workbench.widgets.views.traits import CannotDraw, Numbers, Words

PLACES = ("epsilon", "hidden", "none")
"""Where a mark stands: on the axis of epsilon; among what is hidden without noise; among what has no guarantee."""


class TradeOffPlot(RuleView):
    """Marks whose colour is the rule, whose shape is the mechanism and whose size is a cost.

    Parameters
    ----------
    rules : sequence of int
        Per mark: the place of its rule in ``names``.
    mechanisms : sequence of str
        Per mark: its mechanism in a word; marks of one mechanism and rule are joined by a line.
    places : sequence of {"epsilon", "hidden", "none"}
    epsilons : sequence of float or None
        Per mark; None where its place is not ``"epsilon"``.
    accuracies, lows, highs : sequence of float or None
        Per mark, from 0 to 1.
    sizes : sequence of float or None
        Per mark: what its area stands for.
    open_marks : sequence of int
        Per mark: 1 where it is drawn hollow, 0 elsewhere.
    open_word : str
        What hollow marks mean.
    size_name, size_unit : str
    x_name : str
        What stands beneath the axis of epsilon.
    sentences : sequence of str
        Per mark: what is said of it when it is pointed at.
    selected : int
        The mark of what is in force; -1 for none.
    pick : str
        What Enter or a click does, as a verb phrase.
    hint : str
        Beneath, while no mark is pointed at.

    Examples
    --------
    >>> plot = TradeOffPlot(names=["Soft vote"])
    >>> plot.update(rules=[0], mechanisms=["Laplace"], places=["epsilon"], epsilons=[4.0], accuracies=[0.8])
    >>> plot.epsilons
    (4.0,)
    """

    _esm = module("trade_off_plot")
    _css = rule_palette.css() + stylesheet("views", "rules", "trade_off")

    title = traitlets.Unicode("Accuracy against epsilon").tag(sync=True)
    empty_text = traitlets.Unicode("Nothing was swept yet.").tag(sync=True)
    rules = Numbers(low=0, whole=True).tag(sync=True)
    mechanisms = Words().tag(sync=True)
    places = Words(known=PLACES).tag(sync=True)
    epsilons = Numbers(low=0).tag(sync=True)
    accuracies = Numbers(low=0, high=1).tag(sync=True)
    lows = Numbers(low=0, high=1).tag(sync=True)
    highs = Numbers(low=0, high=1).tag(sync=True)
    sizes = Numbers(low=0).tag(sync=True)
    open_marks = Numbers(low=0, high=1, whole=True).tag(sync=True)
    open_word = traitlets.Unicode("").tag(sync=True)
    size_name = traitlets.Unicode("latency").tag(sync=True)
    size_unit = traitlets.Unicode("ms").tag(sync=True)
    x_name = traitlets.Unicode("epsilon").tag(sync=True)
    sentences = Words().tag(sync=True)
    selected = traitlets.Int(-1, min=-1).tag(sync=True)
    pick = traitlets.Unicode("").tag(sync=True)
    hint = traitlets.Unicode("").tag(sync=True)
    picked = traitlets.Tuple()
    """The page's latest pick: (mark, how many picks before it)."""

    per_mark: ClassVar[tuple[str, ...]] = (
        "mechanisms", "places", "epsilons", "accuracies", "lows", "highs", "sizes", "open_marks", "sentences",
    )  # fmt: skip

    def on_pick(self, callback: Callable[[int], Any]) -> None:
        """Call ``callback(mark)`` when a mark is chosen."""
        self.observe(lambda change: callback(change["new"][0]), "picked")

    def _check(self) -> None:
        super()._check()
        self._same_length(self.per_mark, len(self.rules), "marks")
        for index, rule in enumerate(self.rules):
            if rule is None or rule >= len(self.names):
                raise CannotDraw(f"TradeOffPlot: mark {index} is of rule {rule} of {len(self.names)}.")
        for index, (place, epsilon) in enumerate(zip(self.places, self.epsilons, strict=False)):
            if (place == "epsilon") != (epsilon is not None and epsilon > 0):
                raise CannotDraw(f"TradeOffPlot: mark {index} stands at {place!r} with epsilon {epsilon}.")
        if self.selected >= max(len(self.rules), 1):
            raise CannotDraw(f"TradeOffPlot.selected is mark {self.selected} of {len(self.rules)}.")

    def _hear(self, view: object, content: object, buffers: object) -> None:
        mark = content.get("pick") if isinstance(content, dict) else None
        if mark is None:
            super()._hear(view, content, buffers)
        elif isinstance(mark, int) and not isinstance(mark, bool) and 0 <= mark < len(self.rules):
            self.picked = (mark, self.picked[1] + 1 if self.picked else 1)  # else of a picture that is gone
