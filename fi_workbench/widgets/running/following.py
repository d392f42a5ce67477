"""What a stream of rounds adds up to: shares, accuracies, gains, latencies, over the last rounds and by party."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.messages import Question
from fi_workbench.core.records import RoundRecord
from fi_workbench.session.quality import Gain, RunningTally, Tally
from fi_workbench.widgets.running.earning import POINTS, Earnings
from fi_workbench.widgets.running.frames import Frame, PartyLine
from fi_workbench.widgets.running.members import Member

RATE_SECONDS = 2.0
"""Rounds per second are counted over this long."""


class Following:
    """Counts of one stream; :meth:`book` each round, then :meth:`frame` as often as somebody looks.

    Parameters
    ----------
    members : sequence of Member
        All parties on the list; the rows of every count.
    n_classes : int
    window : int
        Rounds that shares and accuracies are taken over.
    """

    def __init__(self, members: Sequence[Member], n_classes: int, window: int) -> None:
        self.n_rounds = 0
        self._members, self._n_classes, self._window = tuple(members), n_classes, window
        self._tally = RunningTally.empty(len(members), n_classes, window)
        self._shares: deque[dict[int, float | None]] = deque(maxlen=window)  # by the member's number
        self._latencies: deque[dict[int, float]] = deque(maxlen=window)
        self._lines: deque[tuple[float | None, float | None, float | None]] = deque(maxlen=POINTS)
        self._ended: deque[float] = deque(maxlen=400)
        self._totals: dict[str, Any] = dict.fromkeys(
            ("messages_out", "messages_in", "bytes_out", "bytes_in", "seconds", "n_queries"), 0
        )
        self._sure: deque[tuple[int, int, int | None]] = deque(maxlen=window)  # queries, answered, answered rightly
        self._below: float | None = None
        self._valued: tuple[str, object] | None = None
        self._earnings = Earnings()
        self._last: tuple[RoundRecord, Question] | None = None

    def adopt(self, members: Sequence[Member]) -> None:
        """Go on with another list; a party that is the same keeps its counts, a new one begins at none.

        Where others are asked than before, the windows begin anew: what the consensus was under another cohort says
        nothing of this one, and a best party above the oracle would be a wrong picture.
        """
        rows = [self._row(member) for member in members]
        asked = {id(member.party.function) for member in members if member.asked}
        if asked != {id(member.party.function) for member in self._members if member.asked}:
            self._tally = replace(self._tally, recent=Tally.empty(len(self._members), self._n_classes), rounds=())
            for window in (self._shares, self._latencies, self._sure):
                window.clear()
            self._earnings.begin_cohort()

        def again(tally: Tally) -> Tally:
            each = {name: _picked(getattr(tally, name), rows) for name in ("party_seen", "party_right", "beside_right")}
            whole = {name: getattr(tally, name) for name in ("seen", "consensus_right", "oracle_seen", "oracle_right")}
            return Tally(**whole, **each)

        old = self._tally
        self._tally = RunningTally(again(old.total), again(old.recent), tuple(map(again, old.rounds)), old.n_recent)
        self._members = tuple(members)

    def book(self, record: RoundRecord, question: Question) -> None:
        """Count one more round, whether anybody answered or not."""
        self.n_rounds += 1
        self._ended.append(time.monotonic())
        self._last = record, question
        numbers = self._numbers(record)
        shares = record.contributions
        if (valued := (record.contribution, record.settings.get("contribution_options"))) != self._valued:
            self._valued = valued
            self._shares.clear()  # shares by another method, or under other options, mean something else
            self._latencies.clear()
        self._shares.append({number: None if shares is None else float(shares[k]) for k, number in enumerate(numbers)})
        by_name = dict(zip(record.parties, numbers, strict=True))
        self._latencies.append(
            {by_name[name]: seconds for name, seconds in record.latency_seconds.items() if name in record.present}
        )
        cost = record.cost
        for name in ("messages_out", "messages_in", "bytes_out", "bytes_in", "seconds"):
            self._totals[name] += getattr(cost, name)
        self._totals["n_queries"] += record.n_queries
        n_right: dict[int, int] = {}
        if record.truth is not None and record.labels is not None:
            labels, present = self._on_all_rows(record)
            self._tally = self._tally.add(record.truth, record.labels, labels, present)
            if labels is not None:
                rights = (labels == record.truth).sum(axis=1)
                n_right = {self._members[row].number: int(rights[row]) for row in np.flatnonzero(present)}
        self._earnings.book(record, numbers, n_right)
        if (below := record.settings.get("abstain_below")) != self._below:
            self._below = below
            self._sure.clear()  # under another threshold, other queries were answered
        self._sure.append(_sureness(record))
        recent = self._tally.recent
        best, oracle = recent.best_party, recent.oracle_accuracy
        if record.answers is None and record.scores is not None:
            best = oracle = None  # hidden; older rounds of the window say nothing of this one
        self._lines.append((recent.consensus_accuracy, best and best[1], oracle))

    def frame(self, waiting: dict[str, str] | None = None) -> Frame:
        """The picture of now; ``waiting`` says of whom an answer is still awaited, and how."""
        if self._last is None:
            awaited = waiting or {}
            return Frame(
                parties=tuple(
                    PartyLine(
                        name,
                        one.number,
                        status="waiting" if name in awaited else one.away or "present",
                        reason=awaited.get(name, one.reason),
                    )
                    for one in self._members
                    if one.asked and (name := one.party.name)
                )
            )
        record, question = self._last
        recent = self._tally.recent
        accuracies = recent.party_accuracies
        best = recent.best_party
        lines = np.array([[np.nan if v is None else v for v in point] for point in self._lines], np.float32)
        return Frame(
            round=self.n_rounds,
            rounds_per_second=self._rate(),
            parties=tuple(
                self._line(member, accuracies[row], record, waiting or {})
                for row, member in enumerate(self._members)
                if member.asked
            ),
            n_window=len(self._shares),
            method=record.contribution,
            first_round=self.n_rounds - len(self._lines) + 1,
            lines=lines.T,
            best="" if best is None else self._members[best[0]].party.name,
            gains=self._gains(recent),
            record=record,
            question=question,
            totals=dict(self._totals),
            earned=self._earnings.snapshot(),
            **self._coverage(),
        )

    def _line(
        self, member: Member, accuracy: np.floating[Any], record: RoundRecord, waiting: dict[str, str]
    ) -> PartyLine:
        name, number = member.party.name, member.number
        latencies = tuple(round_[number] for round_ in self._latencies if number in round_)
        absence = next((one for one in record.absent if one.party == name), None)
        status, reason = "present", ""
        if name in waiting:
            status, reason = "waiting", waiting[name]
        elif member.away:
            status, reason = member.away, member.reason
        elif absence is not None:
            status, reason = absence.kind, absence.reason
        elif name not in record.parties:
            status, reason = "joining", "it is asked from the next round on."
        return PartyLine(
            name=name,
            number=number,
            share=self._share(number),
            accuracy=None if np.isnan(accuracy) else float(accuracy),
            latency_seconds=None if absence is not None else record.latency_seconds.get(name),
            status=status,
            reason=reason,
            latencies=latencies,
            n_absent=sum(number in shares and number not in took for shares, took in self._pairs()),
            behaviour=record.behaviours.get(name, ""),
        )

    def _pairs(self) -> zip[tuple[dict[int, float | None], dict[int, float]]]:
        return zip(self._shares, self._latencies, strict=True)

    def _share(self, number: int) -> float | None:
        """Mean share over the rounds of the window that anybody answered, scaled to those asked now."""
        rounds = [shares for shares in self._shares if any(value is not None for value in shares.values())]
        asked = {member.number for member in self._members if member.asked}
        total = sum(value or 0.0 for shares in rounds for key, value in shares.items() if key in asked)
        if not rounds or total <= 0.0 or not any(number in shares for shares in rounds):
            return None
        return sum(shares.get(number) or 0.0 for shares in rounds) / total

    def _coverage(self) -> dict[str, float | None]:
        """Share of the window's queries that were answered, and of these the share that was answered rightly."""
        n_queries, n_answered = (sum(counts[k] or 0 for counts in self._sure) for k in (0, 1))
        rights = [counts[2] for counts in self._sure]
        known = bool(n_answered) and None not in rights
        return {
            "coverage": n_answered / n_queries if n_queries else None,
            "selective_accuracy": sum(right or 0 for right in rights) / n_answered if known else None,
        }

    def _gains(self, recent: Tally) -> dict[str, Gain]:
        counts = [member.party.facts.class_counts if member.party.made_here else None for member in self._members]
        return {self._members[gain.party].party.name: gain for gain in recent.gains(counts)}

    def _on_all_rows(self, record: RoundRecord) -> tuple[NDArray[Any] | None, NDArray[np.bool_]]:
        """The round's labels by party and who was there, on the rows of all members."""
        present = np.zeros(len(self._members), dtype=bool)
        if record.answers is None or record.truth is None:
            return None, present
        labels = np.zeros((len(self._members), len(record.truth)), dtype=np.int64)
        rows = {member.party.name: row for row, member in enumerate(self._members)}
        for k, name in enumerate(record.parties):
            if name in rows and name in record.present:
                labels[rows[name]] = record.answers[k].argmax(axis=1)
                present[rows[name]] = True
        return labels, present

    def _numbers(self, record: RoundRecord) -> list[int]:
        numbers = {member.party.name: member.number for member in self._members}
        return [numbers.get(name, -1) for name in record.parties]

    def _row(self, member: Member) -> int | None:
        for row, old in enumerate(self._members):
            if old.number == member.number and old.party.function is member.party.function:
                return row
        return None

    def _rate(self) -> float | None:
        now = time.monotonic()
        recent = [moment for moment in self._ended if now - moment <= RATE_SECONDS]
        if len(recent) < 2:
            return None
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-9)


def _sureness(record: RoundRecord) -> tuple[int, int, int | None]:
    """Queries of a round, how many of them were answered, and how many of these rightly, where that is known."""
    if record.answered is None:
        return 0, 0, 0
    right = None
    if record.truth is not None and record.labels is not None:
        right = int(np.sum((record.labels == record.truth) & record.answered))
    return record.n_queries, int(record.answered.sum()), right


def _picked(counts: NDArray[np.int64], rows: list[int | None]) -> NDArray[np.int64]:
    """Rows of ``counts`` in another order; zeros for None."""
    picked = np.zeros((len(rows), counts.shape[1]), dtype=counts.dtype)
    for new, old in enumerate(rows):
        if old is not None:
            picked[new] = counts[old]
    return picked
