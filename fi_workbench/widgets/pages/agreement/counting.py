"""What the agreement page counts: round by round, for the parties on the list, whoever joins or leaves."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from fi_workbench.core.arrays import Answers
from fi_workbench.core.crowd import ABSENT
from fi_workbench.core.records import RoundRecord
from fi_workbench.incentives.contribution import ContributionView
from fi_workbench.incentives.games.interaction import Interactions, interactions_of
from fi_workbench.session.agreement import RunningAgreement
from fi_workbench.widgets.running.members import Member

AT_ONCE_UP_TO = 12
"""Parties up to which interactions are computed while the stream runs."""

MOST_QUERIES = 512
"""Of the last rounds, that interactions are computed on."""

MOST_CELLS = 2**19
"""Coalitions times queries that may be valued while the stream runs: some hundredths of a second."""

MOST_BYTES = 2**25
"""Of the answers that are kept for it."""


class Counting:
    """Counts of one stream, with one row per member.

    Parameters
    ----------
    members : sequence of Member
        All parties on the list.
    n_classes : int
    window : int
        Rounds that the recent counts are taken over.
    """

    def __init__(self, members: Sequence[Member], n_classes: int, window: int) -> None:
        self.members = tuple(members)
        self.running = RunningAgreement.empty(len(members), n_classes, window)
        self._answers: deque[tuple[RoundRecord, Answers]] = deque()
        self._last: RoundRecord | None = None

    def adopt(self, members: Sequence[Member]) -> None:
        """Go on with another list; a party that is the same keeps its counts, a new one begins at none."""
        if [self._key(one) for one in members] != [self._key(one) for one in self.members]:
            places = {self._key(one): place for place, one in enumerate(self.members)}
            self.running = self.running.picked([places.get(self._key(one)) for one in members])
            self._answers.clear()
        self.members = tuple(members)

    def book(self, record: RoundRecord) -> bool:
        """Count a round, once; whether there was anything to count."""
        if record is self._last or record.answers is None or not record.present:
            return False
        self._last = record
        votes = np.full((len(self.members), record.answers.shape[1]), ABSENT, dtype=np.int64)
        rows = {one.party.name: row for row, one in enumerate(self.members)}
        for k, name in enumerate(record.parties):
            if name in rows and name in record.present:
                votes[rows[name]] = record.answers[k].argmax(axis=1)
        self.running = self.running.add(votes, record.truth)
        self._answers.append((record, record.answers))
        while len(self._answers) > 1 and (
            sum(one.n_queries for one, _ in self._answers) - self._answers[0][0].n_queries >= MOST_QUERIES
            or sum(answers.nbytes for _, answers in self._answers) > MOST_BYTES
        ):
            self._answers.popleft()
        return True

    def last_answers(self, *, quick: bool) -> tuple[tuple[str, ...], ContributionView] | None:
        """The parties of the last round and what they answered of late; None where there is nothing to compare.

        Rounds that any of them missed are left out; ``quick`` takes as many queries as can be valued while a stream
        runs.
        """
        if not self._answers or len(self._answers[-1][0].present) < 2:
            return None
        names = self._answers[-1][0].present
        full = [(one, answers) for one, answers in self._answers if set(names) <= set(one.present)]
        blocks = [answers[[one.parties.index(name) for name in names]] for one, answers in full]
        n_queries = min(MOST_QUERIES, max(MOST_CELLS >> len(names), 1)) if quick else MOST_QUERIES
        truths = [one.truth for one, _ in full if one.truth is not None]
        labels = np.concatenate(truths)[-n_queries:] if len(truths) == len(full) else None
        view = ContributionView(len(names), np.concatenate(blocks, axis=1)[:, -n_queries:], labels=labels)
        return names, view

    @staticmethod
    def _key(member: Member) -> tuple[int, int]:
        return member.number, id(member.party.function)


def redundancy(view: ContributionView) -> Interactions:
    """Order-2 Shapley interactions of the parties on these queries, sampled where they are too many."""
    return interactions_of(view)
