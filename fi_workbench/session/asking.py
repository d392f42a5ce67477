"""One question from its client to its record: enrolment if the rule asks for it, the round, contributions, digest."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.abstention import answered
from fi_workbench.core.arrays import Scores
from fi_workbench.core.digest import sha256
from fi_workbench.core.errors import NoAnswer
from fi_workbench.core.messages import Question, Release
from fi_workbench.core.randomness import derive_seed
from fi_workbench.core.records import Absence, Cost, RoundLog, RoundRecord
from fi_workbench.incentives.apply import check_labels_fit
from fi_workbench.parties.party import Party
from fi_workbench.protocol.client_side import Asked
from fi_workbench.protocol.engine import OnEvent, Outcome, run_round
from fi_workbench.protocol.settings import RoundSettings
from fi_workbench.session.beside import Beside, ask_beside
from fi_workbench.session.budget import book_round
from fi_workbench.session.cohorts import both
from fi_workbench.session.crediting import credited
from fi_workbench.session.paying import earned, escrow
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
    method = settings.method(len(parties))
    check_labels_fit(method, question.labels is not None, settings.contribution_options)
    with runtime.round() as number:
        return _ask(runtime, settings, parties, question, number, cancelled, on_event)


def _ask(
    runtime: Runtime,
    settings: Settings,
    parties: Sequence[Party],
    question: Question,
    number: int,
    cancelled: threading.Event | None,
    on_event: OnEvent | None,
) -> RoundRecord:
    names = tuple(party.name for party in parties)
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    end = time.monotonic() + settings.deadline_seconds
    seed = derive_seed(settings.seed, "round", number) % 2**63
    stages: dict[str, float] = {}
    for_round = settings.for_round()
    enrolment = _enrolled(runtime, for_round, tuple(parties), seed, stages, cancelled)

    clock = time.perf_counter()
    link = runtime.venue.link(enrolment.cohort)
    identities = {name: card.identity for name, card in link.cards.items()}
    left = max(end - time.monotonic(), MIN_SECONDS)  # enrolment has taken some
    paid = runtime.ledger is not None and settings.budget_micro > 0
    within = replace(for_round, deadline_seconds=left, receipts=paid)
    asked = runtime.client.protect(question, within, identities, enrolment.totals, seed)
    stages["protect"] = time.perf_counter() - clock

    with escrow(runtime.ledger, runtime.client, asked, settings.budget_micro) as held:
        if runtime.venue.leak is not None and question.labels is not None:
            runtime.venue.leak.tell(asked.header.round_id, question.labels)
        if enrolment.cohort:
            outcome = run_round(link, asked.header, asked.messages, within, cancelled=cancelled, on_event=on_event)
            book_round(runtime.venue, asked.header, within, enrolment.cohort, outcome.log.absent)
        else:  # nobody is left to ask
            outcome = Outcome(Release(present=()), None, RoundLog(asked.header.round_id, {}, (), (), {}, Cost()))
        opened = _opened(runtime, settings, for_round, names, asked, outcome)
        beside = ask_beside(
            runtime, settings, for_round, parties, question, asked, enrolment.totals, opened.release.present,
            opened.scores, seed, cancelled,
        )  # fmt: skip
        record = _record(
            runtime, settings, parties, question, enrolment, asked, outcome, opened, beside, number, started, stages
        )
        try:
            held.settle(outcome, record.payments, names, record.digest)
        finally:  # a ledger that cannot be written must not cost the record
            record = replace(record, payment=held.state)
            runtime.add(record)
    if not record.present:
        reasons = "; ".join(f"{absence.party}: {absence.kind}, {absence.reason}" for absence in record.absent[:5])
        raise NoAnswer(f"None of {len(names)} parties answered round {number}. {reasons}", record)
    return record


@dataclass(frozen=True, eq=False)
class _Opened:
    """What the client reads off a round that has ended."""

    release: Release
    scores: Scores | None
    answers: NDArray[Any] | None
    seconds: float


def _opened(
    runtime: Runtime,
    settings: Settings,
    for_round: RoundSettings,
    names: tuple[str, ...],
    asked: Asked,
    outcome: Outcome,
) -> _Opened:
    clock = time.perf_counter()
    release, scores, answers = outcome.release, outcome.scores, None
    if release.present:
        release = runtime.client.open(asked, release, settings.mechanism)
        if scores is None:
            scores = runtime.client.finish(for_round.rule, for_round.rule_options, release)
        answers = runtime.client.answers(release, names)
    return _Opened(release, scores, answers, time.perf_counter() - clock)


def _record(
    runtime: Runtime,
    settings: Settings,
    parties: Sequence[Party],
    question: Question,
    enrolment: _Enrolment,
    asked: Asked,
    outcome: Outcome,
    opened: _Opened,
    beside: Beside,
    number: int,
    started: str,
    stages: dict[str, float],
) -> RoundRecord:
    """All that the client learns from a round that has ended."""
    names = tuple(party.name for party in parties)
    plain = {**settings.to_dict(), "contribution": settings.method(len(names)).name, **settings.all_options(len(names))}
    release, scores, answers = opened.release, opened.scores, opened.answers
    clock = time.perf_counter()
    credit = credited(
        runtime, settings, names, release.present, answers, scores, question, beside.answers, beside.agreed
    )  # fmt: skip
    after = {"open": opened.seconds, "contributions": time.perf_counter() - clock}

    log = outcome.log
    absent = (*enrolment.absent, *log.absent)
    set_to = {party.name: runtime.venue.behaviour(party) for party in parties} if runtime.venue.leak is not None else {}
    return RoundRecord(
        round=number,
        round_id=log.round_id,
        started=started,
        settings=plain,
        parties=names,
        classes=parties[0].classes,
        scores=scores,
        truth=question.labels,
        answers=answers,
        contributions=credit.shares,
        contribution_values=credit.values,
        contribution=plain["contribution"],
        present=release.present,
        absent=tuple(sorted(absent, key=lambda absence: names.index(absence.party))),
        latency_seconds=log.latency_seconds,
        cost=replace(
            both(both(enrolment.cost, beside.cost), log.cost),
            stage_seconds={**stages, **log.cost.stage_seconds, **beside.cost.stage_seconds, **after},
        ),
        digest=_digest(plain, number, asked.query_digest, names, absent, release, scores, answers),
        query_digest=asked.query_digest,
        answered=None if scores is None else _answered(scores, settings, release),
        contribution_errors=credit.errors,
        payments=earned(settings, credit.values, names, _payable(asked, outcome)),
        behaviours={name: one.name for name, one in set_to.items() if one is not None},
        cohorts=beside.cohorts,
    )


def _answered(scores: Scores, settings: Settings, release: Release) -> NDArray[np.bool_]:
    """Where the federation is sure enough, and the mechanism itself did not say that it does not know, (query,)."""
    sure = answered(scores, settings.abstain_below or -math.inf)
    return sure if release.answered is None else sure & release.answered


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
    link = runtime.venue.link(parties)
    identities = {name: card.identity for name, card in link.cards.items()}
    # versioned by the member set: another cohort has other sums
    how = sha256([rule.name, dict(for_round.rule_options), for_round.mechanism.settings()])
    key = (how, frozenset(who.verify_key for who in identities.values()), _claims(runtime, parties))
    known, cost = runtime.enrolled(key), Cost()
    if known is None:
        # half of the time: a party that hangs here must leave the others enough to answer
        half = replace(for_round, deadline_seconds=for_round.deadline_seconds / 2)
        asked = runtime.client.protect(None, half, identities, {}, seed)
        outcome = run_round(link, asked.header, asked.messages, half, cancelled=cancelled)
        book_round(runtime.venue, asked.header, half, parties, outcome.log.absent)
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


def _payable(asked: Asked, outcome: Outcome) -> tuple[str, ...]:
    """Who can be paid: those present, and where receipts were asked for, those who signed one."""
    present = outcome.release.present
    signed = {receipt.party for receipt in outcome.receipts}
    return tuple(party for party in present if party in signed) if asked.header.receipts else present


def _claims(runtime: Runtime, parties: tuple[Party, ...]) -> tuple[str, ...]:
    """How those are set to behave who may claim other facts than they hold: they are enrolled again."""
    set_to = [runtime.venue.behaviour(party) for party in parties]
    return tuple(sha256(one.settings()) if one is not None else "" for one in set_to)


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
        "parts": {name: np.asarray(array, np.float64) for name, array in (release.parts or {}).items()},
    }
    missing = sorted((absence.party, absence.phase, absence.kind) for absence in absent)
    return sha256([settings, number, query_digest, names, release.present, missing, released])
