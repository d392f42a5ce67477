"""Who answers alike, and who mistakes what for what: counted from votes, carried on round by round.

Each further round costs what its batch costs. What a party mistakes for what is counted twice: from true labels where
there are any, and without labels by the model of A. P. Dawid and A. M. Skene (Journal of the Royal Statistical Society
C 28(1), 1979), whose counts of one batch are added to those of the batches before it (see ``core.crowd``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.arrays import check_labels
from fi_workbench.core.crowd import ABSENT, Crowd, dawid_skene
from fi_workbench.core.errors import InvalidData

MOST_STEPS, TOLERANCE = 10, 1e-3
"""Expectation-maximisation steps that one batch is worth, and what ends them; earlier batches give the first guess."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Counts of some queries; of two sets of queries they add up.

    Parameters
    ----------
    alike, together : array (party, party)
        Queries to which both gave the same label, and that both answered.
    reported : array (party, class, class)
        Labelled queries of each true class (second axis) that the party gave each label (third axis).
    estimated : array (party, class, class)
        The same without labels: expected numbers, by Dawid and Skene.
    estimated_classes : array (class,)
        Expected number of queries of each true class.
    n_queries, n_labelled : int
    """

    alike: NDArray[np.int64]
    together: NDArray[np.int64]
    reported: NDArray[np.int64]
    estimated: NDArray[np.float64]
    estimated_classes: NDArray[np.float64]
    n_queries: int = 0
    n_labelled: int = 0

    @classmethod
    def empty(cls, n_parties: int, n_classes: int) -> Agreement:
        """Nothing seen yet."""
        pairs = np.zeros((n_parties, n_parties), dtype=np.int64)
        each = np.zeros((n_parties, n_classes, n_classes), dtype=np.int64)
        return cls(pairs, pairs, each, each.astype(np.float64), np.zeros(n_classes))

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Agreement)))

    def __sub__(self, other: Agreement) -> Agreement:
        left = {one.name: getattr(self, one.name) - getattr(other, one.name) for one in fields(Agreement)}
        for name in ("estimated", "estimated_classes"):
            left[name] = np.maximum(left[name], 0.0)  # rounding may leave less than nothing
        return Agreement(**left)

    def picked(self, rows: Sequence[int | None]) -> Agreement:
        """The same of other parties: those of ``rows``, in this order; None is a party that was never asked."""
        taken = np.array([len(self.alike) if row is None else row for row in rows], dtype=np.intp)

        def pairs(counts: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.pad(counts, (0, 1))[np.ix_(taken, taken)]

        return Agreement(
            pairs(self.alike), pairs(self.together), np.pad(self.reported, ((0, 1), (0, 0), (0, 0)))[taken],
            np.pad(self.estimated, ((0, 1), (0, 0), (0, 0)))[taken], self.estimated_classes,
            self.n_queries, self.n_labelled,
        )  # fmt: skip

    @property
    def share(self) -> NDArray[np.float64]:
        """Share of queries with the same label, (party, party); NaN for two who answered none together."""
        shares = np.full(self.alike.shape, np.nan)
        return np.asarray(np.divide(self.alike, self.together, out=shares, where=self.together > 0))

    @property
    def crowd(self) -> Crowd:
        """The estimate that the next batch begins from; without posteriors of queries."""
        n_classes = len(self.estimated_classes)
        none = np.zeros((0, n_classes))
        return Crowd(none, self.estimated, self.estimated_classes, 1.0 / n_classes, 0, True)

    @property
    def confusion(self) -> NDArray[np.float64]:
        """Estimated without labels, (party, true class, reported class); NaN in rows of less than one query."""
        seen = self.estimated.sum(axis=-1, keepdims=True) >= 1.0
        return np.asarray(np.where(seen, self.crowd.confusion, np.nan))

    @property
    def true_confusion(self) -> NDArray[np.float64]:
        """By the true labels, (party, true class, reported class); NaN in rows of no query."""
        n_seen = self.reported.sum(axis=-1, keepdims=True)
        rates = np.full(self.reported.shape, np.nan)
        return np.asarray(np.divide(self.reported, n_seen, out=rates, where=n_seen > 0))

    @property
    def skill(self) -> NDArray[np.float64]:
        """Mean diagonal of ``confusion`` over the classes that were asked, (party,); NaN where there is none."""
        return _mean_diagonal(self.confusion)

    @property
    def true_skill(self) -> NDArray[np.float64]:
        """Mean diagonal of ``true_confusion`` over the classes that were asked, (party,); NaN without labels."""
        return _mean_diagonal(self.true_confusion)


@dataclass(frozen=True, eq=False)
class Batch:
    """What is kept of one round, so that it can be taken out of the counts again.

    Parameters
    ----------
    votes : array (party, query)
        Labels; -1 where a party did not answer.
    truth : array (query,) or None
    posterior : array (query, class)
        How likely each class is the true one, by Dawid and Skene.
    """

    votes: NDArray[np.int16]
    truth: NDArray[np.int64] | None
    posterior: NDArray[np.float64]

    def counts(self) -> Agreement:
        """What this round adds."""
        n_parties, n_queries = self.votes.shape
        n_classes = self.posterior.shape[1]
        cast = (self.votes[:, :, None] == np.arange(n_classes)).astype(np.float32)  # (party, query, class)
        flat, there = cast.reshape(n_parties, -1), (self.votes != ABSENT).astype(np.float32)
        # (true class, party, label): float32 counts exactly up to 16 million queries a batch
        estimated = np.tensordot(self.posterior, cast, axes=(0, 1)).transpose(1, 0, 2)
        reported = np.zeros(estimated.shape, dtype=np.int64)
        if self.truth is not None:
            true = np.eye(n_classes, dtype=np.float32)[self.truth]
            reported = np.rint(np.tensordot(true, cast, axes=(0, 1))).astype(np.int64).transpose(1, 0, 2)
        return Agreement(
            np.rint(flat @ flat.T).astype(np.int64), np.rint(there @ there.T).astype(np.int64), reported,
            estimated.astype(np.float64), self.posterior.sum(axis=0), n_queries,
            0 if self.truth is None else n_queries,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class RunningAgreement:
    """Agreement over a whole stream and over its last rounds.

    Parameters
    ----------
    total, recent : Agreement
        Since the start, and over the last ``n_recent`` rounds.
    rounds : tuple of Batch
        The rounds in ``recent``, oldest first.
    n_recent : int
    n_rounds : int
        Rounds in ``total``.
    """

    total: Agreement
    recent: Agreement
    rounds: tuple[Batch, ...]
    n_recent: int
    n_rounds: int = 0

    @classmethod
    def empty(cls, n_parties: int, n_classes: int, n_recent: int) -> RunningAgreement:
        """Nothing seen yet."""
        nothing = Agreement.empty(n_parties, n_classes)
        return cls(nothing, nothing, (), n_recent)

    def add(self, votes: ArrayLike, truth: ArrayLike | None = None) -> RunningAgreement:
        """With one more round; itself unchanged.

        Parameters
        ----------
        votes : array (party, query)
            Labels; -1 where a party did not answer.
        truth : array (query,), optional
            True labels.

        Raises
        ------
        InvalidData
            Votes of another shape, or outside the classes.
        InvalidQuery
            True labels that do not fit the votes.

        Examples
        --------
        >>> seen = RunningAgreement.empty(2, 3, n_recent=50).add([[0, 1, 2, -1], [0, 1, 1, 1]])
        >>> seen.total.share[0, 1].round(3), seen.total.n_queries
        (np.float64(0.667), 4)
        """
        n_parties, n_classes, _ = self.total.reported.shape
        labels = _checked(votes, n_parties, n_classes)
        true = None if truth is None else check_labels(truth, labels.shape[1], n_classes).astype(np.int64)
        before = self.total.crowd if self.n_rounds else None
        crowd = dawid_skene(labels, n_classes, before=before, max_iterations=MOST_STEPS, tolerance=TOLERANCE)
        batch = Batch(labels.astype(np.int16), true, crowd.posterior)
        new = batch.counts()
        rounds = (*self.rounds, batch)
        recent = self.recent + new
        for old in rounds[: -self.n_recent]:
            recent = recent - old.counts()
        return RunningAgreement(self.total + new, recent, rounds[-self.n_recent :], self.n_recent, self.n_rounds + 1)

    def picked(self, rows: Sequence[int | None]) -> RunningAgreement:
        """Of other parties, as :meth:`Agreement.picked`; a party that is new has answered nothing so far."""
        taken = np.array([len(self.total.reported) if row is None else row for row in rows], dtype=np.intp)

        def again(batch: Batch) -> Batch:
            nobody = np.full((1, batch.votes.shape[1]), ABSENT, dtype=np.int16)
            return Batch(np.concatenate((batch.votes, nobody))[taken], batch.truth, batch.posterior)

        kept = tuple(map(again, self.rounds))
        return RunningAgreement(
            self.total.picked(rows), self.recent.picked(rows), kept, self.n_recent, self.n_rounds
        )  # fmt: skip


def _mean_diagonal(confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the classes that are not NaN, (party,)."""
    right = np.diagonal(confusion, axis1=1, axis2=2)
    n_known = (~np.isnan(right)).sum(axis=1)
    skill = np.full(len(right), np.nan)
    return np.asarray(np.divide(np.nansum(right, axis=1), n_known, out=skill, where=n_known > 0))


def _checked(votes: ArrayLike, n_parties: int, n_classes: int) -> NDArray[np.int64]:
    labels = np.asarray(votes)
    if labels.ndim != 2 or len(labels) != n_parties or labels.dtype.kind not in "iu" or labels.size == 0:
        raise InvalidData(
            f"votes have shape {labels.shape} and dtype {labels.dtype}; labels ({n_parties} parties, query) are needed."
        )
    if labels.min() < ABSENT or labels.max() >= n_classes:
        raise InvalidData(f"votes reach from {labels.min()} to {labels.max()}; the classes are 0 to {n_classes - 1}.")
    return labels.astype(np.int64)
