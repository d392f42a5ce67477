"""Frozen records: who was absent, what a round cost, and all that the client learns from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Answers, Labels, Scores

AbsenceKind = Literal["late", "raised", "refused", "invalid", "cancelled", "unreachable", "excluded"]

PaymentState = Literal["promised", "settled", "refunded"]


@dataclass(frozen=True)
class Absence:
    """Why a party's answer is missing from a round.

    Parameters
    ----------
    party : str
    phase : str
        The phase of the round in which it fell out.
    kind : str
        late, raised, refused, invalid, cancelled, unreachable or excluded.
    reason : str
        For people.
    seconds : float
        How long it was waited for.
    """

    party: str
    phase: str
    kind: AbsenceKind
    reason: str
    seconds: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What a round cost.

    Parameters
    ----------
    messages_out, messages_in : int
        Messages to the parties and from them.
    bytes_out, bytes_in : int
        Their content in bytes, as encoded for the wire.
    stage_seconds : mapping of str to float
        Wall-clock seconds per stage: protect, each phase, finish, open, contributions.
    """

    messages_out: int = 0
    messages_in: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the whole round."""
        return float(sum(self.stage_seconds.values()))


@dataclass(frozen=True, eq=False)
class RoundLog:
    """What the coordinator may keep of a round: no queries, and scores only where the mechanism lets it finish.

    Parameters
    ----------
    round_id : str
    settings : mapping
        Rule, mechanism, options, cohort.
    present : tuple of str
    absent : tuple of Absence
    latency_seconds : mapping of str to float
        Per party, from the first message to its last reply.
    cost : Cost
    """

    round_id: str
    settings: Mapping[str, Any]
    present: tuple[str, ...]
    absent: tuple[Absence, ...]
    latency_seconds: Mapping[str, float]
    cost: Cost


@dataclass(frozen=True, eq=False)
class RoundRecord:
    """All that the client learns from one round.

    Parameters
    ----------
    round : int
        Number of the round in its runtime, from 1.
    round_id : str
        Random identifier, 32 hexadecimal digits.
    started : str
        UTC, ISO 8601.
    settings : mapping
        What the federation was set to: rule, mechanism, contribution and their options.
    parties : tuple of str
        The cohort, present or not; the order of every party axis here.
    classes : tuple of str
    scores : array (query, class) or None
        What the federation answers; None when nobody answered.
    truth : array (query,) or None
        True labels, where the client gave them.
    answers : array (party, query, class) or None
        Probabilities of each party, zeros for the absent; None where not disclosed.
    contributions : array (party,) or None
        Shares that sum to one over the cohort, 0 for the absent; None where nobody answered.
    contribution_values : array (party,) or None
        What the method returned, before negative values were cut off and the rest was scaled to shares.
    contribution : str
        The method that ``contributions`` come from.
    present : tuple of str
        The parties that are in the answer. One that fell out after its part was summed is here and in ``absent``.
    absent : tuple of Absence
    latency_seconds : mapping of str to float
    cost : Cost
    digest : str
        SHA-256 of settings, round, query digest, cohort, absences and released values.
    query_digest : str
    answered : array of bool (query,) or None
        Where the federation is sure enough to answer; elsewhere it says that it does not know.
    contribution_errors : array (party,) or None
        Standard errors of ``contribution_values``, where they were sampled; 0 for the absent.
    payments : integers (party,) or None
        Micro-units that each party earned, 0 for the absent: the round's budget in all. None where nobody answered.
    payment : {"promised", "settled", "refunded"}
        ``promised`` without a ledger; otherwise whether the ledger paid them out or gave the budget back.
    behaviours : mapping of str to str
        Simulation: which parties were set to behave dishonestly, and how.
    cohorts : tuple of tuple of str
        Parts of the parties that were asked the same queries again, to value contributions; their sums are out too.
    ready : mapping of str to int or None
        Under a mechanism that works ahead: for how many more questions each party had all at hand when it answered.
    capacity : mapping of str to int or None
        The most that each party makes ahead.
    """

    round: int
    round_id: str
    started: str
    settings: Mapping[str, Any]
    parties: tuple[str, ...]
    classes: tuple[str, ...]
    scores: Scores | None
    truth: Labels | None
    answers: Answers | None
    contributions: NDArray[np.float64] | None
    contribution_values: NDArray[np.float64] | None
    contribution: str
    present: tuple[str, ...]
    absent: tuple[Absence, ...]
    latency_seconds: Mapping[str, float]
    cost: Cost
    digest: str
    query_digest: str
    answered: NDArray[np.bool_] | None = None
    contribution_errors: NDArray[np.float64] | None = None
    payments: NDArray[np.int64] | None = None
    payment: PaymentState = "promised"
    behaviours: Mapping[str, str] = field(default_factory=dict)
    cohorts: tuple[tuple[str, ...], ...] = ()
    ready: Mapping[str, int] | None = None
    capacity: Mapping[str, int] | None = None

    @property
    def n_ready(self) -> int | None:
        """For how many more questions all parties had all at hand: the smallest number of any; None if not told."""
        return min(self.ready.values()) if self.ready else None

    @property
    def labels(self) -> Labels | None:
        """The federation's label per query, (query,): the highest score, ties to the lowest class index."""
        return None if self.scores is None else self.scores.argmax(axis=1)

    @property
    def n_queries(self) -> int:
        """How many queries were answered."""
        return 0 if self.scores is None else len(self.scores)

    @property
    def accuracy(self) -> float | None:
        """Share of queries whose label is right, whether it was sure or not; None without labels or scores."""
        if self.truth is None or self.labels is None:
            return None
        return float((self.labels == self.truth).mean())

    @property
    def coverage(self) -> float | None:
        """Share of queries that the federation was sure enough to answer."""
        return None if self.answered is None else float(self.answered.mean())

    @property
    def selective_accuracy(self) -> float | None:
        """Share of rightly answered queries among those answered; None without labels, or where none was answered."""
        if self.truth is None or self.labels is None or self.answered is None or not self.answered.any():
            return None
        return float((self.labels == self.truth)[self.answered].mean())

    def to_dict(self, arrays: bool = True) -> dict[str, Any]:
        """Plain data that ``json`` takes; without ``arrays``, scalars per round and party only."""

        def plain(array: NDArray[Any] | None) -> Any:
            return None if array is None else array.tolist()

        record: dict[str, Any] = {
            "round": self.round,
            "round_id": self.round_id,
            "started": self.started,
            "settings": dict(self.settings),
            "parties": list(self.parties),
            "classes": list(self.classes),
            "n_queries": self.n_queries,
            "accuracy": self.accuracy,
            "coverage": self.coverage,
            "selective_accuracy": self.selective_accuracy,
            "contribution": self.contribution,
            "contributions": plain(self.contributions),
            "contribution_values": plain(self.contribution_values),
            "contribution_errors": plain(self.contribution_errors),
            "payments": plain(self.payments),
            "payment": self.payment,
            "behaviours": dict(self.behaviours),
            "cohorts": [list(cohort) for cohort in self.cohorts],
            "present": list(self.present),
            "absent": [dict(vars(absence)) for absence in self.absent],
            "latency_seconds": dict(self.latency_seconds),
            "cost": {
                **{name: getattr(self.cost, name) for name in ("messages_out", "messages_in", "bytes_out", "bytes_in")},
                "stage_seconds": dict(self.cost.stage_seconds),
                "seconds": self.cost.seconds,
            },
            "query_digest": self.query_digest,
            "digest": self.digest,
            "ready": None if self.ready is None else dict(self.ready),
            "capacity": None if self.capacity is None else dict(self.capacity),
        }
        if arrays:
            record |= {
                "scores": plain(self.scores),
                "labels": plain(self.labels),
                "truth": plain(self.truth),
                "answers": plain(self.answers),
                "answered": plain(self.answered),
            }
        return record
