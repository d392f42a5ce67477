"""What one party mistakes for what: as estimated without labels, and as the labels have it."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from fi_workbench.session.agreement import Agreement
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.panels.parts import hint, named
from fi_workbench.widgets.running.members import Member
from fi_workbench.widgets.views.heat_map import HeatMap
from fi_workbench.widgets.wording import escaped, per_cent

_WHAT = "The rows are true classes, the columns what {party} reports."


class Confusions:
    """Two confusion matrices side by side (``maps``), and a sentence about the party's skill (``words``)."""

    def __init__(self) -> None:
        self.estimated, self.true = (
            HeatMap(
                title=title, kind="percent", unit="%", empty_text=empty,
                legend=((0.0, "0 %"), (1.0, "100 % of the true class")),
            )
            for title, empty in (
                ("Estimated without labels", "No rounds yet: ask a batch or press Run."),
                ("By the true labels", "No labelled round yet: the true matrix needs true labels."),
            )
        )  # fmt: skip
        self.words = hint(css="fi-agreement-skill")
        self.maps = named(ipywidgets.Box((self.estimated, self.true)), "fi-pictures")

    def clear(self) -> None:
        """Nothing is counted yet."""
        self.words.value = ""
        for view in (self.estimated, self.true):
            view.update(round=0, rows=(), columns=(), values=b"")

    def draw(self, members: Sequence[Member], place: int, counts: Agreement, federation: Federation | None) -> None:
        """Show the party in this place of ``members`` and of ``counts``."""
        if federation is None:
            return
        name, classes = members[place].party.name, federation.classes
        known = counts.n_labelled > 0
        truth = (
            "the labels of the test set" if federation.made_from is not None else "the labels given with the queries"
        )
        self.estimated.hint = self.true.hint = _WHAT.format(party=name)
        self._show(self.estimated, counts.confusion[place], classes, name, "Dawid-Skene", True)
        self._show(
            self.true, counts.true_confusion[place], classes, name, f"{counts.n_labelled} labelled queries", known
        )
        skill, true_skill = float(counts.skill[place]), float(counts.true_skill[place])
        said = f"<b>{escaped(name)}</b>: estimated skill {per_cent(skill)} without labels"
        said += f"; {per_cent(true_skill)} by {truth}." if known else "; no labels to hold it against."
        self.words.value = (
            f"{said} Skill is the mean of the diagonal: how often it is right, each class counting alike."
        )

    def _show(
        self, view: HeatMap, confusion: NDArray[np.float64], classes: Sequence[str], name: str, note: str, known: bool
    ) -> None:
        if not known:
            view.update(rows=(), columns=(), values=b"")
            return
        wrong = np.where(np.eye(len(classes), dtype=bool), np.nan, confusion)
        summary = "No class was asked often enough."
        if not np.isnan(wrong).all():
            row, reported = divmod(int(np.nanargmax(wrong)), len(classes))
            summary = f"Of true {classes[row]}, {name} reports {classes[reported]} in {per_cent(wrong[row, reported])}."
        view.update(
            rows=classes, columns=classes, values=confusion, note=note, summary=summary,
            sentence="Of true {row}, " + name + " reports {column} in {value}.",
        )  # fmt: skip
