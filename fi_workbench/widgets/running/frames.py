"""What the pictures show at one moment: frozen, made by the driver, drawn by whichever panel is open."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.messages import Question
from fi_workbench.core.records import RoundRecord
from fi_workbench.session.quality import Gain
from fi_workbench.widgets.running.earning import Earned


@dataclass(frozen=True)
class PartyLine:
    """One party at one moment.

    Parameters
    ----------
    name : str
    number : int
        Its colour.
    share : float or None
        Of the contribution over the window.
    accuracy : float or None
        Over the window; None where its answers are not disclosed or nothing is labelled.
    latency_seconds : float or None
        Of its last answer.
    status, reason : str
        ``"present"``, or in a word why not, and in a sentence.
    latencies : tuple of float
        Seconds, over the window.
    n_absent : int
        Rounds of the window without it.
    behaviour : str
        Simulation: how it was set to misbehave in the last round; empty for the honest. For the simulation view only.
    """

    name: str
    number: int
    share: float | None = None
    accuracy: float | None = None
    latency_seconds: float | None = None
    status: str = "present"
    reason: str = ""
    latencies: tuple[float, ...] = ()
    n_absent: int = 0
    behaviour: str = ""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a stream.

    Parameters
    ----------
    round : int
        Rounds that this workbench has asked since its stream began.
    rounds_per_second : float or None
    parties : tuple of PartyLine
        The cohort.
    n_window : int
        Rounds that the shares and accuracies are taken over.
    method : str
        The contribution method of the last round.
    first_round : int
        Round of the first point of ``lines``.
    lines : array (3, round)
        Accuracy over the window of the consensus, the best single party and the oracle; NaN where not known.
    best : str
        Who the best single party is.
    gains : mapping of str to Gain
        By party.
    record : RoundRecord or None
        The last round.
    question : Question or None
        What it asked.
    totals : mapping of str to number
        Messages, bytes, seconds and queries since the stream began.
    earned : Earned
        What the parties were paid since the stream began.
    coverage, selective_accuracy : float or None
        Share of the window's queries that were answered, and how often these answers were right.
    """

    round: int = 0
    rounds_per_second: float | None = None
    parties: tuple[PartyLine, ...] = ()
    n_window: int = 0
    method: str = ""
    first_round: int = 1
    lines: NDArray[np.float32] = field(default_factory=lambda: np.zeros((3, 0), np.float32))
    best: str = ""
    gains: dict[str, Gain] = field(default_factory=dict)
    record: RoundRecord | None = None
    question: Question | None = None
    totals: dict[str, Any] = field(default_factory=dict)
    earned: Earned = field(default_factory=Earned)
    coverage: float | None = None
    selective_accuracy: float | None = None
