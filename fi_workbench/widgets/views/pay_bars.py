"""Who was paid how much, and how much by other standards."""

from __future__ import annotations

from typing import ClassVar

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import Numbers, Words
from fi_workbench.widgets.views.view import PartyView


class PayBars(PartyView):
    """Each party's pay as a bar, with a solid mark for what merit would pay it and a dotted one for an equal split.

    Parameters
    ----------
    paid, equal : sequence of float or None
        One per party, in the unit of ``unit``.
    merit : sequence of float or None
        One per party; None where it is not known.
    statuses, reasons : sequence of str
        As in :class:`~fi_workbench.widgets.views.ContributionBars`; anything but "present" is drawn hatched.
    unit : str
    window : str
        Over what the sums are taken, e.g. "50 rounds".

    Examples
    --------
    >>> bars = PayBars(parties=["A", "B"])
    >>> bars.update(paid=[0.7, 0.3], equal=[0.5, 0.5], merit=[0.6, 0.4])
    >>> bars.merit
    (0.6, 0.4)
    """

    _esm = module("pay_bars")
    _css = stylesheet("views")

    title = traitlets.Unicode("Pay against merit").tag(sync=True)
    empty_text = traitlets.Unicode("Nothing was paid yet: ask a batch or press Run.").tag(sync=True)
    paid = Numbers(low=0).tag(sync=True)
    equal = Numbers(low=0).tag(sync=True)
    merit = Numbers(low=0).tag(sync=True)
    statuses = Words().tag(sync=True)
    reasons = Words().tag(sync=True)
    unit = traitlets.Unicode("units").tag(sync=True)
    window = traitlets.Unicode("").tag(sync=True)

    per_party: ClassVar[tuple[str, ...]] = ("colours", "paid", "equal", "merit", "statuses", "reasons")
