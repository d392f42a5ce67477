"""Right or wrong, where true labels are known: of each party, of the consensus, and what joining brings each party.

Pure functions on one labelled batch, and counts that grow with a stream at the price of each batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.errors import InvalidData

PartyLabels: TypeAlias = NDArray[Any]
"""(party, query): each party's label; or answers (party, query, class), whose largest entry it is."""

Counts: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Gain:
    """What joining brings one party: consensus minus own accuracy, on the queries that it answered.

    Parameters
    ----------
    party : int
        Index on the party axis.
    own, consensus, gain : float
        Accuracies on all classes as they were asked, and their difference.
    own_distribution_gain : float or None
        The same difference with classes weighted as in the party's own training data; None where its class counts are
        private, or none of its classes was asked. Classes that were never asked are left out.
    loses : bool
        The party would do better alone: on its own distribution where that is known, else on what was asked.
    """

    party: int
    own: float
    consensus: float
    gain: float
    own_distribution_gain: float | None
    loses: bool


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of queries seen and rightly answered, by true class; tallies add and subtract.

    Parameters
    ----------
    seen, consensus_right : array (class,)
        Labelled queries, and those that the consensus got right.
    oracle_seen, oracle_right : array (class,)
        Labelled queries on which parties' labels are known, and those that any present party got right.
    party_seen, party_right, beside_right : array (party, class)
        Queries that the party answered, those that it got right, and those of them that the consensus got right.
    """

    seen: Counts
    consensus_right: Counts
    oracle_seen: Counts
    oracle_right: Counts
    party_seen: Counts
    party_right: Counts
    beside_right: Counts

    @classmethod
    def empty(cls, n_parties: int, n_classes: int) -> Tally:
        """Nothing seen yet."""
        one, each = np.zeros(n_classes, dtype=np.int64), np.zeros((n_parties, n_classes), dtype=np.int64)
        return cls(one, one, one, one, each, each, each)

    @classmethod
    def of(
        cls,
        truth: ArrayLike,
        consensus: ArrayLike,
        party_labels: PartyLabels | None,
        *,
        n_parties: int,
        n_classes: int,
        present: ArrayLike | None = None,
    ) -> Tally:
        """Counts of one labelled batch.

        Parameters
        ----------
        truth, consensus : array (query,)
            True labels and the federation's.
        party_labels : array (party, query) or (party, query, class), optional
            None where they are not disclosed: then only the consensus is counted.
        n_parties, n_classes : int
        present : array of bool (party,), optional
            Who answered; the rows of the others are not looked at. All, where not given.

        Raises
        ------
        InvalidData
            Shapes that do not fit one another, or labels outside the classes.
        """
        true, final = np.asarray(truth), np.asarray(consensus)
        if true.ndim != 1 or final.shape != true.shape:
            raise InvalidData(f"truth {true.shape} and consensus {final.shape} must both be (query,).")
        if true.dtype.kind not in "iu" or (true.size and not 0 <= true.min() <= true.max() < n_classes):
            raise InvalidData(f"truth must hold integer classes 0 to {n_classes - 1}.")
        true = true.astype(np.int64)
        right = final == true
        seen, consensus_right = (np.bincount(some, minlength=n_classes) for some in (true, true[right]))
        if party_labels is None:
            none, each = np.zeros_like(seen), np.zeros((n_parties, n_classes), dtype=np.int64)
            return cls(seen, consensus_right, none, none, each, each, each)

        there = np.ones(n_parties, dtype=bool) if present is None else np.asarray(present, dtype=bool)
        party_right = _rights(party_labels, true)
        if len(party_right) != n_parties or there.shape != (n_parties,):
            raise InvalidData(f"{len(party_right)} parties' labels, {there.size} present: {n_parties} are counted.")
        party_right &= there[:, None]

        def by_party(hits: NDArray[np.bool_]) -> Counts:
            cell = np.arange(n_parties)[:, None] * n_classes + true  # (party, query)
            return np.bincount(cell[hits], minlength=n_parties * n_classes).reshape(n_parties, n_classes)

        oracle_right = np.bincount(true[party_right.any(axis=0)], minlength=n_classes)
        party_seen, beside_right = seen * there[:, None], consensus_right * there[:, None]
        return cls(seen, consensus_right, seen, oracle_right, party_seen, by_party(party_right), beside_right)

    def add(
        self, truth: ArrayLike, consensus: ArrayLike, party_labels: PartyLabels | None, present: ArrayLike | None = None
    ) -> Tally:
        """This tally with one more batch, as :meth:`of` takes it; itself unchanged."""
        n_parties, n_classes = self.party_seen.shape
        return self + Tally.of(
            truth, consensus, party_labels, n_parties=n_parties, n_classes=n_classes, present=present
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(Tally)))

    def __sub__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, one.name) - getattr(other, one.name) for one in fields(Tally)))

    @property
    def consensus_accuracy(self) -> float | None:
        """Share of labelled queries that the consensus got right; None before the first."""
        return _ratio(self.consensus_right, self.seen)

    @property
    def oracle_accuracy(self) -> float | None:
        """Share of queries that any present party got right: a bound, not a rule."""
        return _ratio(self.oracle_right, self.oracle_seen)

    @property
    def party_accuracies(self) -> NDArray[np.float64]:
        """Each party's accuracy on what it answered, (party,); NaN for one that has answered nothing."""
        n_seen, n_right = self.party_seen.sum(axis=1), self.party_right.sum(axis=1)
        return np.asarray(np.divide(n_right, n_seen, out=np.full(len(n_seen), np.nan), where=n_seen > 0))

    @property
    def best_party(self) -> tuple[int, float] | None:
        """Index and accuracy of the best single party, ties to the lowest index; None before the first answer."""
        own = self.party_accuracies
        if np.isnan(own).all():
            return None
        best = int(np.nanargmax(own))
        return best, float(own[best])

    def gains(self, class_counts: Sequence[ArrayLike | None] | None = None) -> tuple[Gain, ...]:
        """What joining brings each party that has answered anything.

        Parameters
        ----------
        class_counts : sequence of array (class,) or None, optional
            Training samples of each class, per party; None for a party whose counts are private.
        """
        gains = []
        for party in np.flatnonzero(self.party_seen.sum(axis=1)).tolist():
            seen, right, beside = self.party_seen[party], self.party_right[party], self.beside_right[party]
            own, consensus = float(right.sum() / seen.sum()), float(beside.sum() / seen.sum())
            counts = None if class_counts is None else class_counts[party]
            own_gain = None if counts is None else _reweighted(beside - right, seen, counts)
            gain = consensus - own
            loses = (gain if own_gain is None else own_gain) < 0
            gains.append(Gain(party, own, consensus, gain, own_gain, loses))
        return tuple(gains)


@dataclass(frozen=True, eq=False)
class RunningTally:
    """A tally of a whole stream and one of its last rounds; each further round costs what its batch costs.

    Parameters
    ----------
    total, recent : Tally
        Since the start, and over the last ``n_recent`` rounds.
    rounds : tuple of Tally
        The rounds in ``recent``, oldest first.
    n_recent : int
    """

    total: Tally
    recent: Tally
    rounds: tuple[Tally, ...]
    n_recent: int

    @classmethod
    def empty(cls, n_parties: int, n_classes: int, n_recent: int = 20) -> RunningTally:
        """Nothing seen yet."""
        if n_recent < 1:
            raise InvalidData(f"n_recent is {n_recent}; at least one round is needed.")
        nothing = Tally.empty(n_parties, n_classes)
        return cls(nothing, nothing, (), n_recent)

    def add(
        self, truth: ArrayLike, consensus: ArrayLike, party_labels: PartyLabels | None, present: ArrayLike | None = None
    ) -> RunningTally:
        """With one more round, as :meth:`Tally.of` takes it; itself unchanged."""
        n_parties, n_classes = self.total.party_seen.shape
        one = Tally.of(truth, consensus, party_labels, n_parties=n_parties, n_classes=n_classes, present=present)
        recent, rounds = self.recent + one, (*self.rounds, one)
        if len(rounds) > self.n_recent:
            recent, rounds = recent - rounds[0], rounds[1:]
        return RunningTally(self.total + one, recent, rounds, self.n_recent)


def accuracies(answers: PartyLabels, truth: ArrayLike) -> NDArray[np.float64]:
    """Each party's share of queries answered rightly, (party,).

    >>> accuracies(np.array([[0, 1], [1, 1]]), [0, 1])
    array([1. , 0.5])
    """
    return np.asarray(_rights(answers, truth).mean(axis=1))


def oracle_accuracy(answers: PartyLabels, truth: ArrayLike) -> float:
    """Share of queries that any party got right: the bound of every rule that picks one party's label."""
    return float(_rights(answers, truth).any(axis=0).mean())


def best_party(answers: PartyLabels, truth: ArrayLike) -> tuple[int, float]:
    """Index and accuracy of the best single party; ties to the lowest index."""
    own = accuracies(answers, truth)
    best = int(own.argmax())
    return best, float(own[best])


def class_reweighted_accuracy(predicted: ArrayLike, truth: ArrayLike, class_distribution: ArrayLike) -> float | None:
    """Accuracy with classes weighted by ``class_distribution`` instead of how often they were asked.

    ``class_distribution`` (class,) are weights or counts; classes that were not asked are left out and the others weigh
    the more. None where no class with any weight was asked.
    """
    weights = np.asarray(class_distribution, dtype=np.float64)
    tally = Tally.of(truth, predicted, None, n_parties=0, n_classes=len(weights))
    return _reweighted(tally.consensus_right, tally.seen, weights)


def gain_per_party(
    consensus_labels: ArrayLike,
    party_labels: PartyLabels,
    truth: ArrayLike,
    class_counts: Sequence[ArrayLike | None] | None = None,
) -> tuple[Gain, ...]:
    """What joining brings each party on one labelled batch, as :meth:`Tally.of` and :meth:`Tally.gains` take it."""
    known = [np.size(counts) for counts in (() if class_counts is None else class_counts) if counts is not None]
    n_classes = max([int(np.max(truth)) + 1, *known])
    tally = Tally.of(truth, consensus_labels, party_labels, n_parties=len(party_labels), n_classes=n_classes)
    return tally.gains(class_counts)


def _rights(answers: PartyLabels, truth: ArrayLike) -> NDArray[np.bool_]:
    labels, true = np.asarray(answers), np.asarray(truth)
    labels = labels.argmax(axis=2) if labels.ndim == 3 else labels
    if labels.ndim != 2 or true.shape != labels.shape[1:] or len(true) == 0:
        raise InvalidData(f"labels {labels.shape} must be (party, query) and truth {true.shape} (query,), not empty.")
    return np.asarray(labels == true)


def _ratio(n_right: Counts, n_seen: Counts) -> float | None:
    total = int(n_seen.sum())
    return int(n_right.sum()) / total if total else None


def _reweighted(n_right: Counts, n_seen: Counts, weights: ArrayLike) -> float | None:
    """Mean of right / seen over the classes that were seen, by weight; None where these have none."""
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != n_seen.shape or not np.isfinite(weights).all() or (weights < 0).any():
        raise InvalidData(
            f"Class counts have shape {weights.shape}; {n_seen.shape} finite numbers of 0 or more are needed."
        )
    asked = (n_seen > 0) & (weights > 0)
    if not asked.any():
        return None
    return float(weights[asked] @ (n_right[asked] / n_seen[asked]) / weights[asked].sum())
