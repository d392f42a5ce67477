"""What each party gains by joining."""

from __future__ import annotations

from typing import ClassVar

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import Numbers
from fi_workbench.widgets.views.view import PartyView


class GainBars(PartyView):
    """Gain per party, the consensus' accuracy minus its own, in percentage points, to either side of zero.

    Who loses is marked by a word and a hatch.

    Parameters
    ----------
    gains : sequence of float or None
        On the global test set, one per party, as a difference of accuracies from 0 to 1 (0.05 is 5 points).
    gains_own : sequence of float or None
        The same, reweighted to each party's own class distribution; None where it is private.

    Examples
    --------
    >>> view = GainBars(parties=["A", "B"])
    >>> view.update(gains=[0.12, -0.03], gains_own=[0.02, None])
    """

    _esm = module("gain_bars")
    _css = stylesheet("views")

    title = traitlets.Unicode("Gain by joining").tag(sync=True)
    empty_text = traitlets.Unicode("No labelled round yet: gains need true labels.").tag(sync=True)
    gains = Numbers(low=-1, high=1).tag(sync=True)
    gains_own = Numbers(low=-1, high=1).tag(sync=True)

    per_party: ClassVar[tuple[str, ...]] = ("colours", "gains", "gains_own")
