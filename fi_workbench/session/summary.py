"""What a number of rounds came to, per party and for the consensus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fi_workbench.core.errors import InvalidData
from fi_workbench.core.records import RoundRecord
from fi_workbench.parties import Party
from fi_workbench.session.quality import Tally


@dataclass(frozen=True)
class PartySummary:
    """One party over a number of rounds.

    Parameters
    ----------
    party, model : str
    accuracy : float or None
        On the queries that it answered; None where answers are not disclosed or labels not known.
    consensus_accuracy : float or None
        On those same queries.
    gain_points, own_distribution_gain_points : float or None
        Consensus minus own accuracy in percentage points, on what was asked and on the party's own class distribution.
    loses : bool
        It would do better alone.
    share : float
        Of the contributions of all rounds, each round weighted by its queries.
    latency_seconds : float or None
        Median over the rounds that it answered.
    n_absent : int
        Rounds that it missed.
    """

    party: str
    model: str
    accuracy: float | None
    consensus_accuracy: float | None
    gain_points: float | None
    own_distribution_gain_points: float | None
    loses: bool
    share: float
    latency_seconds: float | None
    n_absent: int


@dataclass(frozen=True)
class Summary:
    """A number of rounds.

    Parameters
    ----------
    n_rounds, n_queries : int
    contribution : str
        The method that the shares come from.
    accuracy, oracle_accuracy : float or None
        Of the consensus, and of the oracle: a query counts if any party is right.
    best_party : str or None
    seconds : float
        Wall-clock seconds of all rounds together.
    parties : tuple of PartySummary
    """

    n_rounds: int
    n_queries: int
    contribution: str
    accuracy: float | None
    oracle_accuracy: float | None
    best_party: str | None
    seconds: float
    parties: tuple[PartySummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes."""
        return asdict(self)


def tally_of(record: RoundRecord) -> Tally:
    """Counts of rights of one record; an empty tally where labels or scores are missing."""
    n_parties, n_classes = len(record.parties), len(record.classes)
    if record.truth is None or record.labels is None:
        return Tally.empty(n_parties, n_classes)
    present = [party in record.present for party in record.parties]
    return Tally.of(
        record.truth, record.labels, record.answers, n_parties=n_parties, n_classes=n_classes, present=present
    )


def summarise(records: Sequence[RoundRecord], parties: Sequence[Party]) -> Summary:
    """What the rounds came to.

    Parameters
    ----------
    records : sequence of RoundRecord
        Of one cohort.
    parties : sequence of Party
        That cohort; class counts are used only of parties that were made here.

    Raises
    ------
    InvalidData
        No rounds, or rounds of another cohort.
    """
    names = tuple(party.name for party in parties)
    if not records or any(record.parties != names for record in records):
        raise InvalidData("A summary needs at least one round, all of them of the cohort that is given.")
    tally = sum((tally_of(record) for record in records), Tally.empty(len(names), len(records[0].classes)))
    counts = [party.facts.class_counts if party.made_here else None for party in parties]
    gains = {gain.party: gain for gain in tally.gains(counts)}
    shared = [(record.contributions, record.n_queries) for record in records if record.contributions is not None]
    total = sum(n_queries for _, n_queries in shared)
    shares = sum((part * n_queries for part, n_queries in shared), np.zeros(len(names))) / max(total, 1)
    rows = []
    for index, party in enumerate(parties):
        gain = gains.get(index)
        took = [record.latency_seconds[party.name] for record in records if party.name in record.present]
        own = None if gain is None else gain.own_distribution_gain
        rows.append(
            PartySummary(
                party=party.name,
                model=party.model,
                accuracy=None if gain is None else gain.own,
                consensus_accuracy=None if gain is None else gain.consensus,
                gain_points=None if gain is None else 100 * gain.gain,
                own_distribution_gain_points=None if own is None else 100 * own,
                loses=gain is not None and gain.loses,
                share=float(shares[index]),
                latency_seconds=float(np.median(took)) if took else None,
                n_absent=sum(party.name not in record.present for record in records),
            )
        )
    best = tally.best_party
    return Summary(
        n_rounds=len(records),
        n_queries=sum(record.n_queries for record in records),
        contribution=records[-1].contribution,
        accuracy=tally.consensus_accuracy,
        oracle_accuracy=tally.oracle_accuracy,
        best_party=None if best is None else names[best[0]],
        seconds=sum(record.cost.seconds for record in records),
        parties=tuple(rows),
    )
