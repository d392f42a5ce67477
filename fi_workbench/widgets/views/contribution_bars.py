"""Who contributes how much: one bar per party."""

from __future__ import annotations

from typing import ClassVar

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import Numbers, Words
from fi_workbench.widgets.views.view import PartyView


class ContributionBars(PartyView):
    """Each party's share of the contribution, beside its accuracy, latency and status.

    Parameters
    ----------
    shares : sequence of float or None
        One per party; may be negative, where the method allows it.
    accuracies : sequence of float or None
        One per party, from 0 to 1.
    latencies_ms : sequence of float or None
        One per party.
    statuses : sequence of str
        ``"present"``, or in a word why it is not: late, raised, refused, excluded, suspicious, ... Anything but
        "present" is drawn hatched with the word.
    reasons : sequence of str
        Why, in a sentence; shown on hover and in the table.
    window : str
        What the shares are shares of, e.g. "share of the last 50 rounds".
    method : str
        The contribution method's name.

    Examples
    --------
    >>> bars = ContributionBars(parties=["A", "B"])
    >>> bars.update(shares=[0.7, 0.3], statuses=["present", "late"], reasons=["", "no answer within 2 s"])
    >>> bars.round, bars.shares
    (1, (0.7, 0.3))
    """

    _esm = module("contribution_bars")
    _css = stylesheet("views")

    title = traitlets.Unicode("Contribution").tag(sync=True)
    empty_text = traitlets.Unicode("No parties yet: add one to see what it contributes.").tag(sync=True)
    shares = Numbers().tag(sync=True)
    accuracies = Numbers(low=0, high=1).tag(sync=True)
    latencies_ms = Numbers(low=0).tag(sync=True)
    statuses = Words().tag(sync=True)
    reasons = Words().tag(sync=True)
    window = traitlets.Unicode("share of the last round").tag(sync=True)
    method = traitlets.Unicode("").tag(sync=True)

    per_party: ClassVar[tuple[str, ...]] = ("colours", "shares", "accuracies", "latencies_ms", "statuses", "reasons")
