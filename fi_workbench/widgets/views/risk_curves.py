"""What each rule gets wrong when it answers only where it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from fi_workbench.widgets.views.front_end import module
from fi_workbench.widgets.views.rule_view import STYLE, RuleView
from fi_workbench.widgets.views.traits import CannotDraw, Float32, Numbers

MOST_STEPS = 200
"""Steps of a curve that are drawn; a longer one is thinned evenly, its ends kept."""

AXES = 3
"""Of each step: confidence, coverage, risk."""


class RiskCurves(RuleView):
    """Risk against coverage, one line per rule; a mark where each is at the threshold; read-out on hover.

    A press on a line, or beside it, picks the confidence there: the request ``"pick"``, with it in ``picked``.

    Parameters
    ----------
    steps : array (rule, 3, step)
        Confidence, coverage and risk of each step, NaN after the last; travels as float32 bytes. :func:`stacked`
        makes it of curves.
    n_steps : int
        How many steps each rule has room for in ``steps``.
    aurcs : sequence of float or None
    threshold : float or None
        What the marks stand for.
    mark_coverages, mark_risks : sequence of float or None
        Where each rule is at the threshold; None where it answers nothing.

    Examples
    --------
    >>> view = RiskCurves(names=["Soft vote"])
    >>> view.update(**stacked([([0.9, 0.6], [0.5, 1.0], [0.0, 0.25])]), aurcs=[0.06])
    >>> view.array[0, 1].tolist(), view.n_steps
    ([0.5, 1.0], 2)
    """

    _esm = module("risk_curves")
    _css = STYLE

    title = traitlets.Unicode("Risk and coverage").tag(sync=True)
    empty_text = traitlets.Unicode("Nothing was compared yet.").tag(sync=True)
    steps = Float32().tag(sync=True)
    n_steps = traitlets.Int(0, min=0).tag(sync=True)
    aurcs = Numbers(low=0, high=1).tag(sync=True)
    threshold = traitlets.Float(None, allow_none=True).tag(sync=True)
    mark_coverages = Numbers(low=0, high=1).tag(sync=True)
    mark_risks = Numbers(low=0, high=1).tag(sync=True)
    picked = traitlets.Float(0.0)
    """The confidence that the page picked last."""

    requests: ClassVar[tuple[str, ...]] = ("way_out", "pick")
    per_rule: ClassVar[tuple[str, ...]] = ("aurcs", "mark_coverages", "mark_risks")

    @property
    def array(self) -> NDArray[np.float32]:
        """The steps, (rule, 3, step)."""
        return np.frombuffer(self.steps, dtype="<f4").reshape(len(self.names), AXES, self.n_steps)

    def _check(self) -> None:
        super()._check()
        needed = len(self.names) * AXES * self.n_steps
        if self.steps and len(self.steps) != 4 * needed:
            raise CannotDraw(
                f"RiskCurves.steps holds {len(self.steps) // 4} values for {len(self.names)} rules x {AXES} x "
                f"{self.n_steps} steps."
            )

    def _hear(self, view: object, content: object, buffers: object) -> None:
        confidence = content.get("confidence") if isinstance(content, dict) else None
        if isinstance(confidence, int | float):
            self.picked = float(confidence)
        super()._hear(view, content, buffers)


def stacked(curves: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]]) -> dict[str, Any]:
    """``steps`` and ``n_steps`` of curves (confidence, coverage, risk), each of its own length."""
    thinned = [_thinned(np.array(curve, dtype=np.float64)) for curve in curves]
    n_steps = max((one.shape[1] for one in thinned), default=0)
    steps = np.full((len(thinned), AXES, n_steps), np.nan, dtype="<f4")
    for row, one in zip(steps, thinned, strict=True):
        row[:, : one.shape[1]] = one
    return {"steps": steps, "n_steps": n_steps}


def _thinned(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    n_steps = curve.shape[1]
    if n_steps <= MOST_STEPS:
        return curve
    return curve[:, np.linspace(0, n_steps - 1, MOST_STEPS).round().astype(np.int64)]
