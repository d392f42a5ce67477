"""The engine: drives a round's phases over a link, with deadlines, absences and cancellation per party."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from fi_workbench.core.arrays import Scores
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.core.records import Absence, AbsenceKind, Cost, RoundLog
from fi_workbench.incentives.ledger import Receipt
from fi_workbench.protocol.header import RoundHeader
from fi_workbench.protocol.ports import Link, Sent
from fi_workbench.protocol.round import CoordinatorRound, absence_kind
from fi_workbench.protocol.settings import RoundSettings


@dataclass(frozen=True)
class PartyEvent:
    """One party's reply or absence, the moment it is known.

    Parameters
    ----------
    round_id, phase, party : str
    kind : str
        ``"replied"``, or why it is absent.
    seconds : float
        Since the phase's messages were sent.
    """

    round_id: str
    phase: str
    party: str
    kind: str
    seconds: float


OnEvent: TypeAlias = Callable[[PartyEvent], None]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the coordinator hands back to the client.

    Parameters
    ----------
    release : Release
        ``present`` is empty when nobody answered.
    scores : array (query, class) or None
        Where the rule's finish runs at the coordinator.
    log : RoundLog
    receipts : tuple of Receipt
        Of the present parties, in a round that is paid for: what each signed that it released.
    """

    release: Release
    scores: Scores | None
    log: RoundLog
    receipts: tuple[Receipt, ...] = ()


@dataclass
class _Tally:
    """Counts of one round while it runs."""

    out: int = 0
    back: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    stages: dict[str, float] = field(default_factory=dict)
    latency: dict[str, float] = field(default_factory=dict)


def run_round(
    link: Link,
    header: RoundHeader,
    messages: Mapping[str, Body],
    settings: RoundSettings,
    *,
    cancelled: threading.Event | None = None,
    on_event: OnEvent | None = None,
) -> Outcome:
    """Carry a protected question to the parties and gather what the mechanism releases.

    Parameters
    ----------
    link : Link
    header : RoundHeader
    messages : mapping of str to Body
        The first message to each party, as the client made it.
    settings : RoundSettings
    cancelled : Event, optional
        Set it to give up: those not yet heard are absent, of kind ``cancelled``.
    on_event : callable, optional
        Called in this thread at each party's reply or absence.

    Returns
    -------
    Outcome
        By the deadline, whatever the parties do.
    """
    cancelled = cancelled or threading.Event()
    cards = {name: card for name, card in link.cards.items() if name in header.names}
    coordinator, tally = CoordinatorRound(header, settings, cards), _Tally()
    end = time.monotonic() + header.deadline_seconds
    outcome: Mapping[str, Body] | Release = messages
    for index, phase in enumerate(coordinator.phases):
        if isinstance(outcome, Release):
            break
        # what is left, in equal parts: a party that hangs in one phase must not eat the next one's time
        now = time.monotonic()
        phase_end = now + max(end - now, 0.0) / (len(coordinator.phases) - index)
        while not isinstance(outcome, Release):
            seconds = max(phase_end - time.monotonic(), 0.0)
            replies = _phase(link, phase, outcome, header.round_id, seconds, cancelled, coordinator, tally, on_event)
            started = time.perf_counter()
            outcome = Release(present=()) if cancelled.is_set() else coordinator.step(phase, replies)
            combined = f"{phase}: combine"
            tally.stages[combined] = tally.stages.get(combined, 0.0) + time.perf_counter() - started
            if not coordinator.again:
                break
    release = outcome if isinstance(outcome, Release) else Release(present=())
    scores = None
    started = time.perf_counter()
    if release.present and header.kind == "answer" and settings.mechanism.carrier.finish_at == "coordinator":
        scores = coordinator.finish(release)
    tally.stages["finish"] = time.perf_counter() - started
    for party in set(header.names) - coordinator.absent.keys() - set(release.present):
        kind: AbsenceKind = "cancelled" if cancelled.is_set() else "excluded"
        coordinator.miss(Absence(party, coordinator.phases[-1], kind, "the round ended without it."))
    absent = tuple(coordinator.absent[name] for name in header.names if name in coordinator.absent)
    cost = Cost(tally.out, tally.back, tally.bytes_out, tally.bytes_in, tally.stages)
    log = RoundLog(header.round_id, _public(header), release.present, absent, tally.latency, cost)
    receipts = tuple(coordinator.receipts[name] for name in release.present if name in coordinator.receipts)
    return Outcome(release, scores, log, receipts)


def _phase(
    link: Link,
    phase: str,
    messages: Mapping[str, Body],
    round_id: str,
    seconds: float,
    cancelled: threading.Event,
    coordinator: CoordinatorRound,
    tally: _Tally,
    on_event: OnEvent | None,
) -> dict[str, Reply]:
    started = time.perf_counter()
    replies: dict[str, Reply] = {}
    for arrival in link.exchange(phase, messages, round_id=round_id, seconds=seconds, cancelled=cancelled):
        if isinstance(arrival, Sent):
            tally.out += arrival.n_messages
            tally.bytes_out += arrival.n_bytes
            continue
        if isinstance(arrival, Absence):
            coordinator.miss(arrival)
            heard, took = str(arrival.kind), arrival.seconds
        else:
            replies[arrival.party] = arrival
            tally.back += 1
            tally.bytes_in += arrival.n_bytes
            tally.latency[arrival.party] = tally.latency.get(arrival.party, 0.0) + arrival.seconds
            heard, took = absence_kind(arrival.body) or "replied", arrival.seconds
        if on_event is not None:
            on_event(PartyEvent(round_id, phase, arrival.party, heard, took))
    tally.stages[phase] = tally.stages.get(phase, 0.0) + time.perf_counter() - started
    return replies


def _public(header: RoundHeader) -> dict[str, object]:
    """What the coordinator keeps of the header: settings, not the question."""
    return {
        "kind": header.kind,
        "rule": header.rule,
        "rule_options": dict(header.rule_options),
        "mechanism": header.mechanism,
        "on_absence": header.on_absence,
        "cohort": list(header.names),
    }
