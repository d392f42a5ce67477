"""How much of each party's privacy budget is spent."""

from __future__ import annotations

from typing import ClassVar

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import Numbers, Words
from fi_workbench.widgets.views.view import PartyView

KINDS = ("open", "refused", "spent", "unlimited", "unprotected", "untold")
"""Of a budget: some is left; some is, and what was asked last was refused for it; nothing is left; there is no limit;
there is none, and answers left without a guarantee; its limit is known elsewhere only."""


class BudgetGauges(PartyView):
    """Each party's budget as a gauge: what is spent of its limit, what is left, and for how many queries.

    Parameters
    ----------
    kinds : sequence of str
        One of :data:`KINDS` per party.
    spent, limits, left : sequence of float or None
        Epsilon, one per party. ``spent`` is None where no epsilon bounds it, the others where there is no limit.
    queries : sequence of int or None
        Answered for whoever asks, one per party.
    sentences : sequence of str
        What is said of a gauge on hover.
    note : str
        Under which delta and accounting.

    Examples
    --------
    >>> gauges = BudgetGauges(parties=["A", "B"])
    >>> gauges.update(kinds=["open", "unlimited"], spent=[1.5, 0.5], limits=[8.0, None], left=[6.5, None])
    >>> gauges.limits
    (8.0, None)
    """

    _esm = module("budget_gauges")
    _css = stylesheet("views")

    title = traitlets.Unicode("Privacy budget").tag(sync=True)
    empty_text = traitlets.Unicode("Nothing was asked yet: ask a batch or press Run.").tag(sync=True)
    kinds = Words(known=KINDS).tag(sync=True)
    spent = Numbers(low=0).tag(sync=True)
    limits = Numbers(low=0).tag(sync=True)
    left = Numbers(low=0).tag(sync=True)
    queries = Numbers(low=0, whole=True).tag(sync=True)
    sentences = Words().tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)

    per_party: ClassVar[tuple[str, ...]] = ("colours", "kinds", "spent", "limits", "left", "queries", "sentences")
