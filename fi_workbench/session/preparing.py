"""What comes before a cohort's rounds under a mechanism that is set up once: the set-up, and whom it was made with."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from fi_workbench.core.digest import sha256
from fi_workbench.core.errors import FederationError
from fi_workbench.core.records import Absence, Cost
from fi_workbench.parties.party import Party
from fi_workbench.privacy.mechanism import STALE, Prepared
from fi_workbench.protocol.engine import Outcome, run_round
from fi_workbench.protocol.settings import RoundSettings
from fi_workbench.session.cohorts import both
from fi_workbench.session.runtime import Runtime

_AGAIN_SECONDS = 30.0
"""A cohort with members that missed the set-up is set up again after this long."""


class Stale(Exception):
    """A party does not hold the session any more."""


@dataclass(frozen=True, eq=False)
class SetUp:
    """One set-up, for as many rounds as it serves.

    Parameters
    ----------
    prepared : Prepared or None
        None where nothing came of it.
    missed : mapping of str to str
        Who is not in it, and why.
    when : float
        Monotonic seconds.
    """

    prepared: Prepared | None
    missed: Mapping[str, str]
    when: float = field(default_factory=time.monotonic)

    @property
    def lasts(self) -> bool:
        """Whether those who missed it are to wait for the next one yet."""
        return self.prepared is not None and (not self.missed or time.monotonic() - self.when < _AGAIN_SECONDS)


@dataclass(frozen=True, eq=False)
class Preparation:
    """Who takes part in a round, and with what.

    Parameters
    ----------
    cohort : tuple of Party
    prepared : Prepared or None
        None under a mechanism that needs none.
    absent : tuple of Absence
    cost : Cost
    key : object
        Under which the set-up is kept.
    """

    cohort: tuple[Party, ...]
    prepared: Prepared | None = None
    absent: tuple[Absence, ...] = ()
    cost: Cost = field(default_factory=Cost)
    key: Any = None


@contextmanager
def preparation(
    runtime: Runtime,
    for_round: RoundSettings,
    parties: tuple[Party, ...],
    totals: Mapping[str, NDArray[Any]],
    seed: int,
    n_queries: int,
    stages: dict[str, float],
    cancelled: threading.Event | None,
) -> Iterator[Preparation]:
    """What a round begins with; while it lasts, no other round uses the same set-up.

    Parameters
    ----------
    runtime : Runtime
    for_round : RoundSettings
    parties : tuple of Party
        Those that are to take part.
    totals : mapping of str to array
        Enrolment sums.
    seed, n_queries : int
        Of the round.
    stages : dict
        To which the time that it took is added.
    cancelled : Event, optional
    """
    if not for_round.mechanism.carrier.prepares or not parties:
        yield Preparation(parties)
        return
    clock = time.perf_counter()
    link = runtime.venue.link(parties)
    keys = frozenset(card.identity.verify_key for card in link.cards.values())
    how = [for_round.rule.name, dict(for_round.rule_options), for_round.mechanism.settings(), for_round.calibration]
    key = (sha256([how, {name: total.tolist() for name, total in totals.items()}]), keys)
    with runtime.preparing:
        known, cost = runtime.set_ups.get(key), Cost()
        if known is None or not known.lasts:
            known, cost = _set_up(runtime, for_round, parties, totals, seed, n_queries, cancelled)
            if known.prepared is not None:
                runtime.set_ups[key] = known
    stages["prepare"] = time.perf_counter() - clock
    absent = tuple(
        Absence(name, "prepare", "excluded", f"it missed the set-up ({why})") for name, why in known.missed.items()
    )
    if known.prepared is None:
        yield Preparation((), absent=absent, cost=cost)
        return
    cohort = tuple(party for party in parties if party.name not in known.missed)
    with getattr(known.prepared, "turn", nullcontext()):
        yield Preparation(cohort, known.prepared, absent, cost, key)


def ended(runtime: Runtime, used: Preparation, outcome: Outcome, *, first: bool) -> None:
    """Forget a set-up that did not serve: after a fault nobody knows which masks were used.

    Raises
    ------
    Stale
        A party does not hold it any more, and this was the ``first`` try.
    """
    if used.prepared is None or not outcome.log.absent:
        return
    with runtime.preparing:
        runtime.set_ups.pop(used.key, None)
    if first and any(absence.reason.startswith(STALE) for absence in outcome.log.absent):
        raise Stale


def _set_up(
    runtime: Runtime,
    for_round: RoundSettings,
    parties: tuple[Party, ...],
    totals: Mapping[str, NDArray[Any]],
    seed: int,
    n_queries: int,
    cancelled: threading.Event | None,
) -> tuple[SetUp, Cost]:
    """Set a cohort up; where some fall out, the rest, as long as they are enough."""
    carrier = for_round.mechanism.carrier
    seconds = getattr(carrier, "set_up_seconds", for_round.deadline_seconds)
    end, missed, cost = time.monotonic() + seconds, dict[str, str](), Cost()
    while True:
        link = runtime.venue.link(parties)
        identities = {name: card.identity for name, card in link.cards.items()}
        runtime.venue.meet(len(parties))
        left = replace(for_round, deadline_seconds=max(end - time.monotonic(), 1e-3))
        asked = runtime.client.prepare(left, identities, totals, seed, parties[0].n_classes, n_queries)
        outcome = run_round(link, asked.header, asked.messages, left, cancelled=cancelled)
        cost = both(cost, outcome.log.cost)
        if outcome.release.present:
            try:
                prepared = carrier.set_up(asked.state, outcome.release, identities, asked.header.round_id)
            except FederationError as error:
                return SetUp(None, missed | dict.fromkeys(identities, str(error))), cost
            return SetUp(prepared, missed), cost
        gone = {one.party: f"{one.kind}, {one.reason}" for one in outcome.log.absent if one.kind != "excluded"}
        if not gone:
            gone = {one.party: f"{one.kind}, {one.reason}" for one in outcome.log.absent}
        missed |= gone
        parties = tuple(party for party in parties if party.name not in missed)
        enough = len(parties) >= carrier.min_parties and any(not party.is_helper for party in parties)
        if not enough or time.monotonic() >= end or (cancelled is not None and cancelled.is_set()):
            rest = "too few are left to set up without the others"
            return SetUp(None, missed | {party.name: rest for party in parties}), cost
