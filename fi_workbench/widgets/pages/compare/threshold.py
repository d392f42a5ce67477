"""Answering only when sure: each rule's risk against its coverage, and a threshold that can be brought into force."""

from __future__ import annotations

from typing import Any

import ipywidgets

from fi_workbench.session.comparison import Comparison, selective
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.parts import Quietly, button, changed, column, hint, named, row
from fi_workbench.widgets.views import TableView
from fi_workbench.widgets.views.risk_curves import RiskCurves, stacked

STEP = 0.001


class SelectivePanel:
    """Curves, a slider for the confidence below which nothing is answered, what that does, and a button that does it.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._state, self._quietly = desk.state, Quietly()
        self._comparison: Comparison | None = None
        in_force = desk.state.chosen.abstain_below
        self.curves = RiskCurves()
        self.slider = named(
            ipywidgets.FloatSlider(
                value=in_force, min=0.0, max=1.0, step=STEP, readout_format=".3f", description="answer from confidence",
                tooltip="The top score from which on a query is answered; below, the federation says that it does not "
                "know", style={"description_width": "initial"},
            ),
            "fi-threshold-slider",
        )  # fmt: skip
        self.use = button(
            "Use this threshold", "From the next round on, queries below it are not answered",
            "fi-use-threshold", self._use,
        )  # fmt: skip
        self._in_force = hint(css="fi-threshold-in-force")
        self.table = TableView(
            title="At this threshold",
            columns=[
                {"name": "rule"},
                {"name": "answered", "unit": "%", "kind": "percent"},
                {"name": "of them wrong", "unit": "%", "kind": "percent"},
                {"name": "wrong if all are answered", "unit": "%", "kind": "percent"},
            ],
        )
        threshold = row(self.slider, self.use, self._in_force, css="fi-threshold")
        self.box = column(self.curves, threshold, self.table, css="fi-selective")
        self.curves.on_request(lambda kind: self._picked() if kind == "pick" else None)
        changed(self.slider, self._quietly, lambda _value: self._mark())

    def show(self, comparison: Comparison, looks: dict[str, Any]) -> None:
        """Draw the curves of a comparison; ``looks`` are names, kinds and colours of its rows."""
        self._comparison = comparison if comparison.truth is not None else None
        if self._comparison is None:
            return
        with self._quietly:
            self.slider.value = self._state.chosen.abstain_below
        curves = [(one.threshold, one.coverage, one.risk) for one in comparison.curves]
        self.curves.update(
            **looks, **stacked(curves), **self._marks(), aurcs=[one.aurc for one in comparison.curves]
        )  # fmt: skip
        self._show_table()

    def refresh(self) -> None:
        """Say what is in force."""
        below = self._state.chosen.abstain_below
        self._in_force.value = f"In force: {below:.3g}." if below else "In force: every query is answered."
        self.use.disabled = abs(self.slider.value - below) < STEP / 2

    def _marks(self) -> dict[str, Any]:
        threshold = self.slider.value
        points = [selective(curve, threshold) for curve in self._comparison.curves] if self._comparison else []
        return {
            "threshold": threshold,
            "mark_coverages": [coverage for coverage, _ in points],
            "mark_risks": [risk for _, risk in points],
        }

    def _mark(self) -> None:
        if self._comparison is not None:
            self.curves.update(**self._marks())
            self._show_table()
        self.refresh()

    def _show_table(self) -> None:
        if self._comparison is None:
            return
        self.table.update(
            rows=[
                (one.title, *selective(curve, self.slider.value), float(curve.risk[-1]))
                for one, curve in zip(self._comparison.outcomes, self._comparison.curves, strict=False)
            ]
        )

    def _picked(self) -> None:
        # rounded down, so that the query that was picked is answered
        steps = int(min(max(self.curves.picked, 0.0), 1.0) / STEP + 1e-6)
        self.slider.value = steps * STEP

    def _use(self) -> None:
        self._state.choose(abstain_below=round(float(self.slider.value), 3))
        self.refresh()
