"""What comes before a cohort's first round: the sums over private facts that the rule asks for."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from fi_workbench.core.digest import sha256
from fi_workbench.core.records import Absence, Cost
from fi_workbench.parties.party import Party
from fi_workbench.protocol.engine import run_round
from fi_workbench.protocol.settings import RoundSettings
from fi_workbench.session.budget import book_round
from fi_workbench.session.cohorts import both
from fi_workbench.session.preparing import Preparation
from fi_workbench.session.runtime import Enrolled, Runtime


@dataclass(frozen=True, eq=False)
class Enrolment:
    """Who takes part in a round, and what they and the others are told of the enrolment before it."""

    cohort: tuple[Party, ...]
    totals: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    absent: tuple[Absence, ...] = ()
    cost: Cost = field(default_factory=Cost)

    def after(self, prepared: Preparation) -> Enrolment:
        """The same after the set-up that a mechanism may need."""
        cost = both(self.cost, prepared.cost)
        return replace(self, cohort=prepared.cohort, absent=(*self.absent, *prepared.absent), cost=cost)


def enrolled(
    runtime: Runtime,
    for_round: RoundSettings,
    parties: tuple[Party, ...],
    seed: int,
    stages: dict[str, float],
    cancelled: threading.Event | None,
) -> Enrolment:
    """The cohort that takes part, its enrolment sums, and absences of those who missed the enrolment."""
    rule = for_round.rule
    if rule.enrolment is None:
        return Enrolment(parties)
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
            return Enrolment((), absent=tuple(replace(one, phase="enrol") for one in outcome.log.absent), cost=cost)
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
    return Enrolment(cohort, known.totals, absent, cost)


def _claims(runtime: Runtime, parties: tuple[Party, ...]) -> tuple[str, ...]:
    """How those are set to behave who may claim other facts than they hold: they are enrolled again."""
    set_to = [runtime.venue.behaviour(party) for party in parties]
    return tuple(sha256(one.settings()) if one is not None else "" for one in set_to)
