"""Beneath a rule that must be learned: a button that fits it, and what it was fitted on."""

from __future__ import annotations

from fi_workbench.aggregation.combiner import KINDS
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.parts import button, column, hint, row, shown
from fi_workbench.widgets.wording import escaped, per_cent

FIT = "Ask the parties once, learn from their answers, and use the rule"


class FitControl:
    """Shown for the learned rules only.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.go = button("Fit", FIT, "fi-fit", self._fit)
        self.stop = button("Stop", "Give up the fitting; the rule in force stays", "fi-fit-stop", desk.jobs.give_up)
        self._said = hint(css="fi-fit-said")
        self.box = column(row(self.go, self.stop), self._said, css="fi-fit-control")
        desk.state.observe(lambda _change: self._show(), ["chosen", "federation", "task", "revision"])
        self._show()

    def _fit(self) -> None:
        self._desk.fitting.fit(self._desk.state.chosen.rule)
        self._show()

    def _show(self) -> None:
        state, fitting = self._desk.state, self._desk.fitting
        learned = state.chosen.rule in KINDS
        shown(self.box, learned)
        if not learned:
            return
        fit, n_queries = fitting.of(state.chosen.rule_options.get("combiner")), fitting.n_queries
        label = f"Fit on {n_queries} queries" if fit is None else "Fit again"
        if self.go.description != label:
            self.go.description = label
        self.go.disabled = state.task is not None or not n_queries
        shown(self.stop, fitting.under_way)
        said = self._about()
        if self._said.value != said:
            self._said.value = said

    def _about(self) -> str:
        """What it would be fitted on, or was, and what that means for its accuracy."""
        chosen, fitting, n_labelled = self._desk.state.chosen, self._desk.fitting, self._desk.driver.n_labelled
        named = chosen.rule_options.get("combiner")
        fit = fitting.of(named)
        if fit is None and named:
            return "Its accuracy on the queries that it was fitted on is flattering."
        if not fitting.n_queries:
            return (
                "It must be fitted on labelled queries, and there are too few here: "
                "<code>fi.Workbench(federation, queries=..., labels=...)</code>."
            )
        if fit is None:
            return escaped(
                f"It must be learned first: the parties are asked the last {fitting.n_queries} of the {n_labelled} "
                "labelled queries, once."
            )
        unseen = n_labelled - fit.n_queries
        fair = (
            f"Live asks those too; Compare does not with up to {unseen} queries."
            if unseen
            else "Live and Compare ask those too."
        )
        return escaped(
            f"Fitted on the last {fit.n_queries} of the {n_labelled} labelled queries; right on "
            f"{per_cent(fit.accuracy)} of the {fit.n_held_out} of them that were held out. Accuracy on the others of "
            f"them is flattering. {fair}"
        )
