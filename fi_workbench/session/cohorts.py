"""Questions to parts of the parties, for a contribution method that values cohorts: real rounds, beside a real round.

They are no rounds of the history's: what they cost is in the cost of the round that they belong to. Each party sees a
question like any other, under its own policy, and books it; who refuses or is late is missing from its cohort.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from fi_workbench.core.errors import FederationError
from fi_workbench.core.messages import Question
from fi_workbench.core.randomness import derive_seed
from fi_workbench.core.records import Cost
from fi_workbench.incentives import CohortAnswer
from fi_workbench.incentives.apply import settled
from fi_workbench.parties.party import Party
from fi_workbench.protocol.engine import run_round
from fi_workbench.protocol.settings import RoundSettings
from fi_workbench.session.budget import book_round
from fi_workbench.session.runtime import Runtime
from fi_workbench.session.settings import Settings


@dataclass(frozen=True, eq=False)
class AskedCohorts:
    """What came of a round's cohorts.

    Parameters
    ----------
    asked : tuple of tuple of str
        Names of the members of each cohort.
    answers : tuple of CohortAnswer
        Of the cohorts of which somebody answered; positions are among those present in the round.
    cost : Cost
        Of all of them.
    """

    asked: tuple[tuple[str, ...], ...] = ()
    answers: tuple[CohortAnswer, ...] = ()
    cost: Cost = field(default_factory=Cost)


def ask_cohorts(
    runtime: Runtime,
    settings: Settings,
    for_round: RoundSettings,
    parties: Sequence[Party],
    present: tuple[str, ...],
    question: Question,
    query_digest: str,
    totals: Mapping[str, NDArray[Any]],
    n_rounds: int,
    seed: int,
    *,
    cancelled: threading.Event | None = None,
) -> AskedCohorts:
    """Ask the cohorts that the contribution method wants, one after the other, within one more deadline in all.

    Only who answered in the round is asked again. The same queries to the same parties go to the same cohorts, whenever
    they come back: other cohorts would tell more by subtraction.

    Parameters
    ----------
    runtime, settings
    for_round : RoundSettings
    parties : sequence of Party
        The whole cohort.
    present : tuple of str
        Those who answered.
    question : Question
    query_digest : str
    totals : mapping of str to array
        Enrolment sums of the whole cohort: parts of it are not enrolled on their own.
    n_rounds : int
        Rounds that the stream had before this one.
    seed : int
        Of the round, from which reproducible mechanisms draw.
    cancelled : Event, optional
        Set it to ask no more.
    """
    method = settings.method(len(parties))
    if method.asks is None or method.asks.cohorts is None:
        return AskedCohorts()
    options = settled(method, settings.contribution_options)
    members = {party.name: party for party in parties if party.name in present}
    drawn = derive_seed(settings.seed, "cohorts", query_digest, *members)
    wanted = method.asks.cohorts(len(members), n_rounds, drawn, settings.mechanism.carrier.min_parties, **options)
    within = replace(for_round, deadline_seconds=settings.deadline_seconds / max(len(wanted), 1), receipts=False)
    names, asked, answers, cost, clock = tuple(members), [], [], Cost(), time.perf_counter()
    for place, rows in enumerate(wanted):
        if cancelled is not None and cancelled.is_set():
            break
        cohort = tuple(names[row] for row in rows)
        try:
            link = runtime.venue.link([members[name] for name in cohort])
            identities = {name: card.identity for name, card in link.cards.items()}
            one = runtime.client.protect(
                question, within, identities, totals, derive_seed(seed, "cohort", place) % 2**63
            )
            outcome = run_round(link, one.header, one.messages, within, cancelled=cancelled)
            book_round(runtime.venue, one.header, within, [members[name] for name in cohort], outcome.log.absent)
            asked.append(cohort)
            cost = both(cost, outcome.log.cost)
            if not outcome.release.present:
                continue
            release = runtime.client.open(one, outcome.release, settings.mechanism)
            scores = outcome.scores
            if scores is None:
                scores = runtime.client.finish(for_round.rule, for_round.rule_options, release)
        except FederationError:  # values are told without this cohort; the round itself has its answer
            continue
        answers.append(CohortAnswer(tuple(names.index(name) for name in release.present), scores, len(cohort)))
    stages = {"cohorts": time.perf_counter() - clock} if asked else {}
    return AskedCohorts(tuple(asked), tuple(answers), replace(cost, stage_seconds=stages))


def both(first: Cost, second: Cost) -> Cost:
    """The messages of two rounds; the seconds are those of the second."""
    names = ("messages_out", "messages_in", "bytes_out", "bytes_in")
    return replace(second, **{name: getattr(first, name) + getattr(second, name) for name in names})
