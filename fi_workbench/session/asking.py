"""One question from its client to its record: enrolment if the rule asks for it, the round, contributions, digest."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from fi_workbench.session.enrolling import Enrolment, enrolled
from fi_workbench.session.paying import earned, escrow
from fi_workbench.session.pooled import ahead
from fi_workbench.session.preparing import Preparation, Stale, ended, preparation
from fi_workbench.session.runtime import Runtime
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
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    seed = derive_seed(settings.seed, "round", number) % 2**63
    for_round, first = settings.for_round(), True
    while True:
        stages: dict[str, float] = {}
        end = time.monotonic() + settings.deadline_seconds
        before = enrolled(runtime, for_round, tuple(parties), seed, stages, cancelled)
        n_queries = len(question.queries)
        with preparation(
            runtime, for_round, before.cohort, before.totals, seed, n_queries, stages, cancelled
        ) as prepared:
            left = max(end + stages.get("prepare", 0.0) - time.monotonic(), MIN_SECONDS)  # enrolment has taken some
            try:
                return _round(
                    runtime, settings, parties, question, number, replace(for_round, deadline_seconds=left),
                    before.after(prepared), prepared, started, seed, stages, cancelled, on_event, first=first,
                )  # fmt: skip
            except Stale:
                first = False


def _round(
    runtime: Runtime,
    settings: Settings,
    parties: Sequence[Party],
    question: Question,
    number: int,
    for_round: RoundSettings,
    enrolment: Enrolment,
    prepared: Preparation,
    started: str,
    seed: int,
    stages: dict[str, float],
    cancelled: threading.Event | None,
    on_event: OnEvent | None,
    *,
    first: bool,
) -> RoundRecord:
    """The round itself, and its record.

    Raises
    ------
    Stale
        Its set-up is known no more at a party; nothing was answered, and it can be asked again.
    """
    names = tuple(party.name for party in parties)
    clock = time.perf_counter()
    link = runtime.venue.link(enrolment.cohort)
    identities = {name: card.identity for name, card in link.cards.items()}
    paid = runtime.ledger is not None and settings.budget_micro > 0
    within = replace(for_round, receipts=paid)
    asked = runtime.client.protect(question, within, identities, enrolment.totals, seed, prepared.prepared)
    stages["protect"] = time.perf_counter() - clock

    with escrow(runtime.ledger, runtime.client, asked, settings.budget_micro) as held:
        if runtime.venue.leak is not None and question.labels is not None:
            runtime.venue.leak.tell(asked.header.round_id, question.labels)
        if enrolment.cohort:
            outcome = run_round(link, asked.header, asked.messages, within, cancelled=cancelled, on_event=on_event)
            book_round(runtime.venue, asked.header, within, enrolment.cohort, outcome.log.absent)
            ended(runtime, prepared, outcome, first=first)
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
    enrolment: Enrolment,
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
    ready, capacity = ahead(outcome.release)
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
        ready=ready,
        capacity=capacity,
    )


def _answered(scores: Scores, settings: Settings, release: Release) -> NDArray[np.bool_]:
    """Where the federation is sure enough, and the mechanism itself did not say that it does not know, (query,)."""
    sure = answered(scores, settings.abstain_below or -math.inf)
    return sure if release.answered is None else sure & release.answered


def _payable(asked: Asked, outcome: Outcome) -> tuple[str, ...]:
    """Who can be paid: those present, and where receipts were asked for, those who signed one."""
    present = outcome.release.present
    signed = {receipt.party for receipt in outcome.receipts}
    return tuple(party for party in present if party in signed) if asked.header.receipts else present


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
