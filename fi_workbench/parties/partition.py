"""How training samples are dealt to the parties: every sample goes to exactly one.

A partition kind is a pure function of labels; its keyword-only parameters are its options, from which the widgets
draw their controls. ``dirichlet`` deals each class as Yurochkin et al., arXiv:1905.12022; ``by_class`` is the
pathological split of McMahan et al., arXiv:1602.05629, with whole classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels
from fi_workbench.core.errors import InvalidData
from fi_workbench.core.options import Between, check_options, options_of
from fi_workbench.core.randomness import generator
from fi_workbench.core.registry import Registry

Parts: TypeAlias = Sequence[NDArray[np.integer[Any]]]
"""One array of sample indices per party."""

partitions: Registry[Callable[..., Parts]] = Registry("partition")
"""Kinds of partition by name: (labels, n_parties, random generator, *, options) -> parts."""


@dataclass(frozen=True, eq=False)
class Partition:
    """Which training samples each party holds.

    Parameters
    ----------
    indices : tuple of array (sample,)
        Per party, ascending; together every sample of 0 to n-1 exactly once.

    Raises
    ------
    InvalidData
        A sample that is in no party or in two, or a party without samples.
    """

    indices: tuple[NDArray[np.int64], ...]

    def __post_init__(self) -> None:
        parts = tuple(np.sort(np.asarray(part, dtype=np.int64)) for part in self.indices)
        for number, part in enumerate(parts):
            if part.ndim != 1 or len(part) == 0:
                raise InvalidData(f"Party number {number + 1} of the partition has no samples; use fewer parties.")
            part.setflags(write=False)
        everyone = np.sort(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.int64)
        if len(parts) == 0 or not np.array_equal(everyone, np.arange(len(everyone))):
            raise InvalidData("A partition must hold every sample exactly once, in one of its parties.")
        object.__setattr__(self, "indices", parts)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(party,): how many samples each holds."""
        return np.array([len(part) for part in self.indices])

    def class_counts(self, labels: Labels, n_classes: int) -> NDArray[np.int64]:
        """(party, class): how many samples of each class each party holds."""
        return np.stack([np.bincount(np.asarray(labels)[part], minlength=n_classes) for part in self.indices])


def make_partition(kind: str, labels: Any, n_parties: int, seed: int = 0, **options: Any) -> Partition:
    """Deal samples to parties.

    Parameters
    ----------
    kind : str
        A name in :data:`partitions`: ``iid``, ``dirichlet``, ``by_class``, ``by_quantity``.
    labels : array (sample,)
        Class index of each training sample.
    n_parties : int
    seed : int
        Equal seeds give equal partitions.
    **options
        Of the kind; see its signature.

    Raises
    ------
    UnknownName, InvalidOption
        A kind or an option that does not exist, or a value out of range.
    InvalidData
        Labels that are none, or too few samples for the parties.
    """
    function = partitions[kind]
    settings = check_options(f"Partition {kind!r}", options_of(function), options)
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) == 0 or array.min() < 0:
        raise InvalidData("A partition needs labels as one non-empty row of class indices from 0.")
    if n_parties < 1 or n_parties != int(n_parties):
        raise InvalidData(f"n_parties must be a whole number from 1, not {n_parties!r}.")
    _need(len(array), n_parties, settings.get("min_size", 1))
    parts = function(array.astype(np.int64), int(n_parties), generator(seed, "partition", kind), **settings)
    return Partition(tuple(np.asarray(part) for part in parts))


def iid(labels: Labels, n_parties: int, rng: np.random.Generator) -> Parts:
    """Every party gets an equal share, drawn at random."""
    return np.array_split(rng.permutation(len(labels)), n_parties)


def dirichlet(
    labels: Labels,
    n_parties: int,
    rng: np.random.Generator,
    *,
    alpha: Annotated[float, Between(0.01, 1000, log=True), "Small: each class lies with few parties."] = 0.3,
    min_size: Annotated[int, Between(2, 1000), "Samples that every party gets at least."] = 10,
    reference_rounding: Annotated[bool, "Round as the reference system does, with stray single samples."] = False,
) -> Parts:
    """Each class is dealt in shares drawn from Dirichlet(alpha, ..., alpha).

    Shares are rounded by largest remainder, so a party with no share of a class gets none of it; the reference
    rounds down and gives what is left, one by one, to whoever holds least of the class. A party with fewer than
    ``min_size`` samples takes the missing ones at random from the party that holds most.
    """
    held: list[list[NDArray[np.int64]]] = [[] for _ in range(n_parties)]
    deal = _reference_counts if reference_rounding else largest_remainder
    for label in np.unique(labels):
        samples = rng.permutation(np.flatnonzero(labels == label))
        counts = deal(rng.dirichlet(np.full(n_parties, alpha)), len(samples))
        for party, dealt in zip(held, np.split(samples, np.cumsum(counts)[:-1]), strict=True):
            party.append(dealt)
    return _top_up([np.concatenate(party) for party in held], min_size, rng)


def by_class(
    labels: Labels,
    n_parties: int,
    rng: np.random.Generator,
    *,
    classes_per_party: Annotated[int, Between(1, 100), "How many classes each party holds."] = 2,
) -> Parts:
    """Each party holds only a few classes; those who hold the same class share it equally."""
    classes = rng.permutation(np.unique(labels))
    if classes_per_party > len(classes):
        raise InvalidData(f"classes_per_party is {classes_per_party}, but there are only {len(classes)} classes.")
    if n_parties * classes_per_party < len(classes):
        raise InvalidData(
            f"{n_parties} parties of {classes_per_party} classes cannot hold {len(classes)} classes: use at least "
            f"{-(-len(classes) // n_parties)} classes_per_party or {-(-len(classes) // classes_per_party)} parties."
        )
    # dealt round: consecutive places hold different classes, and every class has a holder
    places = np.resize(classes, n_parties * classes_per_party).reshape(n_parties, classes_per_party)
    places = places[rng.permutation(n_parties)]
    held: list[list[NDArray[np.int64]]] = [[] for _ in range(n_parties)]
    for label in classes:
        holders = np.flatnonzero((places == label).any(axis=1))
        samples = rng.permutation(np.flatnonzero(labels == label))
        if len(samples) < len(holders):
            raise InvalidData(
                f"Class {label} has {len(samples)} samples for {len(holders)} parties: use fewer parties or "
                "classes_per_party."
            )
        for party, dealt in zip(holders, np.array_split(samples, len(holders)), strict=True):
            held[party].append(dealt)
    return [np.concatenate(party) for party in held]


def by_quantity(
    labels: Labels,
    n_parties: int,
    rng: np.random.Generator,
    *,
    alpha: Annotated[float, Between(0.01, 1000, log=True), "Small: few parties hold most of the samples."] = 0.3,
    min_size: Annotated[int, Between(2, 1000), "Samples that every party gets at least."] = 10,
) -> Parts:
    """Same mix of classes, different sizes: ``min_size`` each, the rest in shares from Dirichlet(alpha, ..., alpha)."""
    shares = rng.dirichlet(np.full(n_parties, alpha))
    sizes = min_size + largest_remainder(shares, len(labels) - n_parties * min_size)
    return np.split(rng.permutation(len(labels)), np.cumsum(sizes)[:-1])


def largest_remainder(shares: NDArray[np.floating[Any]], total: int) -> NDArray[np.int64]:
    """Whole numbers that sum to ``total`` and lie within one of ``shares * total``; ties to the lowest index.

    >>> largest_remainder(np.array([0.5, 0.25, 0.25, 0.0]), 5).tolist()
    [3, 1, 1, 0]
    """
    exact = shares / shares.sum() * total
    counts: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    first = np.argsort(counts - exact, kind="stable")[: total - counts.sum()]
    counts[first] += 1
    return counts


def _reference_counts(shares: NDArray[np.floating[Any]], total: int) -> NDArray[np.int64]:
    """Rounded down; what is left goes one by one to the lowest count: single samples for those who lack the class."""
    counts: NDArray[np.int64] = np.floor(shares * total).astype(np.int64)
    for _ in range(total - int(counts.sum())):
        poorest = min(range(len(counts)), key=counts.__getitem__)
        counts[poorest] += 1
    return counts


def _top_up(parts: list[NDArray[np.int64]], min_size: int, rng: np.random.Generator) -> Parts:
    """Parts of at least ``min_size``: who has fewer takes from who has most, at random (so with that party's skew)."""
    while len(parts[short := min(range(len(parts)), key=lambda i: len(parts[i]))]) < min_size:
        rich = max(range(len(parts)), key=lambda i: len(parts[i]))
        n_moved = min(min_size - len(parts[short]), len(parts[rich]) - min_size)
        donor = rng.permutation(parts[rich])
        parts[short] = np.concatenate([parts[short], donor[:n_moved]])
        parts[rich] = donor[n_moved:]
    return parts


def _need(n_samples: int, n_parties: int, min_size: int) -> None:
    if n_samples < n_parties * min_size:
        raise InvalidData(
            f"{n_samples} samples do not give {n_parties} parties {min_size} each; use fewer parties, more samples"
            + (" or a smaller min_size." if min_size > 1 else ".")
        )


for _function in (iid, dirichlet, by_class, by_quantity):
    partitions.add(_function.__name__, _function)
