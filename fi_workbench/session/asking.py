"""One question from its client to its record: enrolment if the rule asks for it, the round, contributions, digest."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Scores
from fi_workbench.core.digest import sha256
from fi_workbench.core.errors import DoesNotFit, NoAnswer
from fi_workbench.core.messages import Question, Release
from fi_workbench.core.options import check_options
from fi_workbench.core.randomness import derive_seed
from fi_workbench.core.records import Absence, Cost, RoundLog, RoundRecord
from fi_workbench.incentives import ContributionMethod, ContributionView, contribute, shares
from fi_workbench.parties.party import Party
from fi_workbench.protocol.engine import OnEvent, Outcome, run_round
from fi_workbench.protocol.settings import RoundSettings
from fi_workbench.session.runtime import Enrolled, Runtime
from fi_workbench.session.settings import Settings

MIN_SECONDS = 1e-3
"""A round is begun even when an enrolment took all of its time: those who answer at once are in it."""


def ask(
    runtime: Runtime,
    settings: Settings,
    parties: Sequence[Party],
    question: Question,
    *,
    cancelled: threading.Event | None = None,
    on_event: OnEvent | None = None,
) -> RoundRecord:
    """One round; the record is in the history when this returns or raises.

    Raises
    ------
    NoAnswer
        If nobody answered; its ``record`` says why.
    """
    names = tuple(party.name for party in parties)
    method = settings.method(len(names))
    if method.labels == "required" and question.labels is None:
        raise DoesNotFit(f"Contribution {method.name!r} needs true labels; ask with labels=..., or choose another.")
    number, started = runtime.next_round(), datetime.now(UTC).isoformat(timespec="milliseconds")
    end = time.monotonic() + settings.deadline_seconds
    seed = derive_seed(settings.seed, "round", number) % 2**63
    stages: dict[str, float] = {}
    for_round = settings.for_round()
    enrolment = _enrolled(runtime, for_round, tuple(parties), seed, stages, cancelled)

    clock = time.perf_counter()
    link = runtime.link(enrolment.cohort)
    identities = {name: card.identity for name, card in link.cards.items()}
    within = replace(for_round, deadline_seconds=max(end - time.monotonic(), MIN_SECONDS))  # enrolment has taken some
    asked = runtime.client.protect(question, within, identities, enrolment.totals, seed)
    stages["protect"] = time.perf_counter() - clock

    if enrolment.cohort:
        outcome = run_round(link, asked.header, asked.messages, within, cancelled=cancelled, on_event=on_event)
    else:  # nobody is left to ask
        outcome = Outcome(Release(present=()), None, RoundLog(asked.header.round_id, {}, (), (), {}, Cost()))

    clock = time.perf_counter()
    release, scores, answers = outcome.release, outcome.scores, None
    if release.present:
        release = runtime.client.open(asked, release, settings.mechanism)
        if scores is None:
            scores = runtime.client.finish(for_round.rule, for_round.rule_options, release)
        answers = runtime.client.answers(release, names)
    opened = time.perf_counter()
    values, parts = _contributions(method, settings, names, release, answers, scores, question)
    after = {"open": opened - clock, "contributions": time.perf_counter() - opened}

    log = outcome.log
    absent = (*enrolment.absent, *log.absent)
    cost = replace(_both(enrolment.cost, log.cost), stage_seconds={**stages, **log.cost.stage_seconds, **after})
    plain = {  # with every default filled in: a later version may have others
        **settings.to_dict(),
        "rule_options": dict(for_round.rule_options),
        "contribution": method.name,
        "contribution_options": check_options(method.name, method.options, settings.contribution_options),
    }
    record = RoundRecord(
        round=number,
        round_id=log.round_id,
        started=started,
        settings=plain,
        parties=names,
        classes=parties[0].classes,
        scores=scores,
        truth=question.labels,
        answers=answers,
        contributions=parts,
        contribution_values=values,
        contribution=method.name,
        present=release.present,
        absent=tuple(sorted(absent, key=lambda absence: names.index(absence.party))),
        latency_seconds=log.latency_seconds,
        cost=cost,
        digest=_digest(plain, number, asked.query_digest, names, absent, release, scores, answers),
        query_digest=asked.query_digest,
    )
    runtime.add(record)
    if not release.present:
        reasons = "; ".join(f"{absence.party}: {absence.kind}, {absence.reason}" for absence in record.absent[:5])
        raise NoAnswer(f"None of {len(names)} parties answered round {number}. {reasons}", record)
    return record


@dataclass(frozen=True, eq=False)
class _Enrolment:
    """Who takes part in a round, and what they and the others are told of the enrolment before it."""

    cohort: tuple[Party, ...]
    totals: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    absent: tuple[Absence, ...] = ()
    cost: Cost = field(default_factory=Cost)


def _enrolled(
    runtime: Runtime,
    for_round: RoundSettings,
    parties: tuple[Party, ...],
    seed: int,
    stages: dict[str, float],
    cancelled: threading.Event | None,
) -> _Enrolment:
    """The cohort that takes part, its enrolment sums, and absences of those who missed the enrolment."""
    rule = for_round.rule
    if rule.enrolment is None:
        return _Enrolment(parties)
    clock = time.perf_counter()
    link = runtime.link(parties)
    identities = {name: card.identity for name, card in link.cards.items()}
    # versioned by the member set: another cohort has other sums
    key = (rule.name, frozenset(who.verify_key for who in identities.values()), sha256(for_round.mechanism.settings()))
    known, cost = runtime.enrolled(key), Cost()
    if known is None:
        # half of the time: a party that hangs here must leave the others enough to answer
        half = replace(for_round, deadline_seconds=for_round.deadline_seconds / 2)
        asked = runtime.client.protect(None, half, identities, {}, seed)
        outcome = run_round(link, asked.header, asked.messages, half, cancelled=cancelled)
        stages["enrol"], cost = time.perf_counter() - clock, outcome.log.cost
        if not outcome.release.present:
            return _Enrolment((), absent=tuple(replace(one, phase="enrol") for one in outcome.log.absent), cost=cost)
        release = runtime.client.open(asked, outcome.release, for_round.mechanism)
        told = {absence.party: f"{absence.kind}, {absence.reason}" for absence in outcome.log.absent}
        missed = {name: told.get(name, "left out") for name in identities if name not in release.present}
        known = runtime.enrol(key, Enrolled(dict(release.sums or {}), release.present, missed))
    stages["enrol"] = time.perf_counter() - clock
    cohort = tuple(party for party in parties if party.name in known.members)
    again = "the cohort enrols again in half a minute."
    absent = tuple(
        Absence(name, "enrol", "excluded", f"it missed the enrolment ({why}); {again}")
        for name, why in known.missed.items()
    )
    return _Enrolment(cohort, known.totals, absent, cost)


def _both(first: Cost, second: Cost) -> Cost:
    """The messages of two rounds; the seconds are those of the second."""
    names = ("messages_out", "messages_in", "bytes_out", "bytes_in")
    return replace(second, **{name: getattr(first, name) + getattr(second, name) for name in names})


def _contributions(
    method: ContributionMethod,
    settings: Settings,
    names: tuple[str, ...],
    release: Release,
    answers: NDArray[Any] | None,
    scores: Scores | None,
    question: Question,
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Raw values and shares over the cohort, 0 for the absent."""
    if not release.present:
        return None, None
    rows = [names.index(party) for party in release.present]
    there = None if answers is None else answers[rows]
    view = ContributionView(
        n_parties=len(rows),
        answers=there,
        votes=None if there is None else there.argmax(axis=2),
        scores=scores,
        labels=question.labels,
    )
    values, parts = np.zeros(len(names)), np.zeros(len(names))
    values[rows] = contribute(method, view, settings.contribution_options)
    parts[rows] = shares(values[rows])
    return values, parts


def _digest(
    settings: dict[str, Any],
    number: int,
    query_digest: str,
    names: tuple[str, ...],
    absent: tuple[Absence, ...],
    release: Release,
    scores: Scores | None,
    answers: NDArray[Any] | None,
) -> str:
    """SHA-256 of what was asked of whom and what was released; not of cost, times, keys or signatures."""
    released = {
        "scores": None if scores is None else scores.astype(np.float64),
        "answers": answers,
        "sums": {name: np.asarray(array, np.float64) for name, array in (release.sums or {}).items()},
    }
    missing = sorted((absence.party, absence.phase, absence.kind) for absence in absent)
    return sha256([settings, number, query_digest, names, release.present, missing, released])
