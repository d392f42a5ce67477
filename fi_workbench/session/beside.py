"""What a contribution method asks for beside a round, once it has ended: cohorts, or the parties' own word."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Scores
from fi_workbench.core.errors import FederationError
from fi_workbench.core.messages import Question
from fi_workbench.core.records import Cost
from fi_workbench.incentives import CohortAnswer
from fi_workbench.parties.party import Party
from fi_workbench.protocol.client_side import Asked
from fi_workbench.protocol.released import gathered, telling
from fi_workbench.protocol.settings import RoundSettings
from fi_workbench.session.cohorts import ask_cohorts
from fi_workbench.session.crediting import stream_key
from fi_workbench.session.runtime import Runtime
from fi_workbench.session.settings import Settings


@dataclass(frozen=True, eq=False)
class Beside:
    """What came of it.

    Parameters
    ----------
    cohorts : tuple of tuple of str
        Parts of the parties that were asked the same again.
    answers : tuple of CohortAnswer
        What they answered; positions are among those present in the round.
    agreed : array (party,), optional
        On how many queries each of those present had given the released label, by its word; NaN where it said nothing.
    cost : Cost
    """

    cohorts: tuple[tuple[str, ...], ...] = ()
    answers: tuple[CohortAnswer, ...] = ()
    agreed: NDArray[np.float64] | None = None
    cost: Cost = field(default_factory=Cost)


def ask_beside(
    runtime: Runtime,
    settings: Settings,
    for_round: RoundSettings,
    parties: Sequence[Party],
    question: Question,
    asked: Asked,
    totals: Mapping[str, NDArray[Any]],
    present: tuple[str, ...],
    scores: Scores | None,
    seed: int,
    cancelled: threading.Event | None,
) -> Beside:
    """Ask what the contribution method in force wants to be asked beside a round, within one more deadline.

    Whatever goes wrong here is missing from the values; the round has its answer.

    Parameters
    ----------
    runtime, settings
    for_round : RoundSettings
    parties : sequence of Party
        The whole cohort.
    question : Question
    asked : Asked
        The round's own.
    totals : mapping of str to array
        Enrolment sums.
    present : tuple of str
        Those who answered.
    scores : array (query, class) or None
    seed : int
        Of the round.
    cancelled : Event, optional
        Set it to ask no more.
    """
    method = settings.method(len(parties))
    if method.asks is None or not present or scores is None:
        return Beside()
    if method.asks.cohorts is not None:
        names = tuple(party.name for party in parties)
        key, options = stream_key(method, settings.contribution_options, names)
        n_rounds = runtime.contributed(key, method, options, len(names)).n_rounds
        found = ask_cohorts(
            runtime, settings, for_round, parties, present, question, asked.query_digest, totals, n_rounds, seed,
            cancelled=cancelled,
        )  # fmt: skip
        return Beside(found.asked, found.answers, None, found.cost)
    labels, agreed = scores.argmax(axis=-1), np.full(len(present), np.nan)
    try:
        link = runtime.venue.link([party for party in parties if party.name in present])
        message = telling(runtime.client.identity, asked.header, labels)
        stop = cancelled or threading.Event()
        said = gathered(link, asked.header, message, present, settings.deadline_seconds, stop)
    except FederationError:
        return Beside(agreed=agreed)
    for place, name in enumerate(present):
        agreed[place] = said.counts.get(name, np.nan)
    return Beside(agreed=agreed, cost=said.cost)
