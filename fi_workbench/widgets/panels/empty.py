"""What stands where there is no federation yet: what one is, and the button that makes one."""

from __future__ import annotations

import ipywidgets

from fi_workbench.parties import datasets
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.parties import ALPHAS
from fi_workbench.widgets.panels.parts import button, column, hint, named, row, shown


class EmptyPanel:
    """Data set, number of parties, skew, model, and a button.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        wide = {"width": "320px"}
        self.dataset = named(
            ipywidgets.Dropdown(options=tuple(datasets), value="digits", description="data set", layout=wide,
                                tooltip="digits comes with the package; the others are downloaded on first use"),
            "fi-demo-dataset",
        )  # fmt: skip
        self.n_parties = named(
            ipywidgets.IntSlider(5, min=1, max=20, description="parties", layout=wide, tooltip="How many own a model"),
            "fi-demo-parties",
        )
        self.alpha = named(
            ipywidgets.SelectionSlider(options=[(f"{alpha:g}", alpha) for alpha in ALPHAS], value=0.3, layout=wide,
                                       description="skew α", tooltip="Small: each party knows few classes"),
            "fi-demo-skew",
        )  # fmt: skip
        self.model = named(
            ipywidgets.Dropdown(options=("mlp", "lenet", "logistic_regression", "resnet"), description="model",
                                layout=wide, tooltip="What each party trains on its own share"),
            "fi-demo-model",
        )  # fmt: skip
        self.make = button(
            "Make a demo federation",
            "Trains the parties; trained once, they are kept",
            "fi-make-demo fi-primary",
            self._make,
        )
        self.cancel = button("Cancel", "Give up the preparation", "fi-cancel", desk.jobs.give_up)
        self.box = column(
            hint(
                "A federation is a group of parties that each own a trained model and its data. They answer a question "
                "together; data and models stay with their owners. Make one from demo parties here, or bring your own: "
                "<code>fi.Workbench(fi.Federation(parties=[...]))</code>."
            ),
            self.dataset,
            self.n_parties,
            self.alpha,
            self.model,
            row(self.make, self.cancel),
            css="fi-empty",
        )
        desk.state.observe(lambda _change: self._show(), ["status", "federation"])
        self._show()

    def _show(self) -> None:
        state = self._desk.state
        preparing = state.status == "preparing"
        shown(self.box, state.federation is None)
        for control in (self.dataset, self.n_parties, self.alpha, self.model, self.make):
            control.disabled = preparing
        shown(self.cancel, preparing)

    def _make(self) -> None:
        self._desk.cohort.make(self.dataset.value, self.n_parties.value, self.alpha.value, self.model.value)
