"""How many examples of each class every party holds."""

from __future__ import annotations

import operator
from typing import Any, ClassVar

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import CannotDraw, Frozen, Words
from fi_workbench.widgets.views.view import PartyView


def _counts(rows: Any) -> tuple[tuple[int, ...] | None, ...]:
    frozen = tuple(None if row is None else tuple(operator.index(count) for count in row) for row in rows)
    for row in frozen:
        if row is not None and min(row, default=0) < 0:
            raise CannotDraw(f"ClassCounts.counts takes counts from 0, not {row}.")
    return frozen


class ClassCounts(PartyView):
    """Small multiples: one row per party, one small bar per class, all on one scale.

    Parameters
    ----------
    classes : sequence of str
        Class names; shown on hover, and beneath where there is room.
    counts : sequence of (sequence of int) or None
        One row per party; None where the counts are private, and so not ours to draw.

    Examples
    --------
    >>> view = ClassCounts(parties=["A", "B"], classes=["cat", "dog"])
    >>> view.update(counts=[[120, 3], None])
    >>> view.counts
    ((120, 3), None)
    """

    _esm = module("class_counts")
    _css = stylesheet("views")

    title = traitlets.Unicode("Class counts per party").tag(sync=True)
    empty_text = traitlets.Unicode("No parties yet: add one to see its classes.").tag(sync=True)
    classes = Words().tag(sync=True)
    counts = Frozen(_counts, "whole numbers per class for each party, or None where they are private").tag(sync=True)

    per_party: ClassVar[tuple[str, ...]] = ("colours", "counts")

    def _check(self) -> None:
        super()._check()
        for party, counts in zip(self.parties, self.counts, strict=False):
            if counts is not None and len(counts) != len(self.classes):
                raise CannotDraw(f"ClassCounts: {party!r} has {len(counts)} counts for {len(self.classes)} classes.")
