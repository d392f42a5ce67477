"""What a soak holds against: every round asked is answered, rightly, and who is missing was killed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import Usage
from benchmarks.toy_parties import expected_scores
from fi_workbench.core.records import RoundRecord

MAX_GROWTH_BYTES = 20 * 2**20
MAX_MORE_DESCRIPTORS = MAX_MORE_THREADS = 2
"""At the moment of a measurement one connection or worker may be on its way in or out."""

N_KEPT = 20
"""So many of each kind of fault are told in words."""


@dataclass
class Outage:
    """A party that was killed: excused from then until it was online again, in monotonic seconds."""

    party: str
    killed_at: float
    noticed_at: float = float("inf")
    back_at: float = float("inf")

    def excuses(self, party: str, began: float, ended: float) -> bool:
        """Whether a round in this time could not have this party's answer."""
        return party == self.party and self.killed_at <= ended and began <= self.back_at


class Judge:
    """Looks at every round, from several threads, as it ends.

    Parameters
    ----------
    parties : sequence of str
        Who must be in each record, present or absent.
    """

    def __init__(self, parties: Sequence[str]) -> None:
        self._parties = sorted(parties)
        self._lock = threading.Lock()
        self._rounds: Counter[int] = Counter()
        self.outages: list[Outage] = []
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.faults: list[str] = []
        self.seconds: list[float] = []

    @property
    def n_faults(self) -> int:
        return sum(self.counts[kind] for kind in ("lost", "wrong", "unexplained"))

    def lost(self, number: int, error: BaseException) -> None:
        """A question that has no record, or one without scores."""
        self._fault("lost", f"question {number}: {type(error).__name__}: {error}")

    def judge(self, record: RoundRecord, queries: NDArray[np.float32], began: float, ended: float) -> None:
        """One record, and the queries of which it should be the answer."""
        with self._lock:
            self._rounds[record.round] += 1
            twice = self._rounds[record.round] > 1
            self.counts["rounds"] += 1
            self.seconds.append(ended - began)
        if twice:
            self._fault("wrong", f"round {record.round} has two records")
        missing = [absence.party for absence in record.absent]
        if sorted([*record.present, *missing]) != self._parties:
            self._fault("wrong", f"round {record.round}: {record.present} present and {missing} absent")
        elif record.scores is None or not np.allclose(
            record.scores, expected_scores(record.present, queries), atol=1e-5
        ):
            self._fault("wrong", f"round {record.round}: other scores than those of {record.present}")
        for absence in record.absent:
            with self._lock:
                self.counts["absences"] += 1
                self.reasons[f"{absence.kind}: {absence.reason.partition(' since ')[0]}"] += 1
                excused = any(one.excuses(absence.party, began, ended) for one in self.outages)
            if not (excused and absence.reason):
                said = f"{absence.party} is absent, {absence.kind}: {absence.reason!r}"
                self._fault("unexplained", f"round {record.round}: {said}")

    def _fault(self, kind: str, text: str) -> None:
        with self._lock:
            self.counts[kind] += 1
            if self.counts[kind] <= N_KEPT:
                self.faults.append(f"{kind}: {text}")


@dataclass(frozen=True)
class Soaked:
    """What came of a soak.

    Parameters
    ----------
    rate : float
        Rounds a second that were answered.
    link, survivor : (Usage, Usage)
        Of the hosting process, and of a party that was never killed: after the warm-up, and at the end.
    resident : list of (seconds, bytes, bytes)
        Memory of the same two, after each restart.
    judged : list of str
        Faults of single rounds.
    """

    asked: int
    rate: float
    counts: dict[str, int]
    reasons: dict[str, int]
    seconds: dict[str, float]
    noticed_seconds: list[float]
    back_seconds: list[float]
    link: tuple[Usage, Usage]
    survivor: tuple[Usage, Usage]
    resident: list[tuple[float, int, int]]
    judged: list[str]

    @property
    def faults(self) -> list[str]:
        """All that should not have been; empty after a good soak."""
        found = list(self.judged)
        if self.asked != self.counts.get("rounds", 0) + self.counts.get("lost", 0):
            found.append(f"lost: {self.asked} rounds were asked; {self.counts} came of it")
        for who, (before, after) in (("the hosting process", self.link), ("a surviving party", self.survivor)):
            if (growth := after.rss_bytes - before.rss_bytes) > MAX_GROWTH_BYTES:
                found.append(f"memory: {who} grew by {growth / 2**20:.1f} MB")
            if after.n_descriptors > before.n_descriptors + MAX_MORE_DESCRIPTORS:
                found.append(f"descriptors: {who} had {before.n_descriptors}, then {after.n_descriptors}")
            if after.n_threads > before.n_threads + MAX_MORE_THREADS:
                found.append(f"threads: {who} had {before.n_threads}, then {after.n_threads}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `json` takes."""
        return {**asdict(self), "faults": self.faults}
