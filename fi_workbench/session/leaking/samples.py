"""Which samples a measurement of leakage asks about: members, non-members, and the attacker's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels, Queries, check_labels, check_queries
from fi_workbench.core.errors import InvalidOption, MissingData
from fi_workbench.core.randomness import generator
from fi_workbench.parties import Party

if TYPE_CHECKING:
    from fi_workbench.session.federation import Federation

Labelled: TypeAlias = tuple[Any, Any]
"""Queries (query, *input_shape) and their true labels (query,)."""

REFERENCE_SHARE = 0.4
"""Of the samples that nobody was trained on: the attacker's own, the others are to be told from the members."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples by use; each is queries (query, *input_shape) and labels (query,).

    Parameters
    ----------
    members : or None
        What the target was trained on.
    non_members : or None
        What nobody was trained on, as many of each class as there are members.
    reference
        The attacker's own, trained on by nobody either.
    probes
        What the attacker asks to copy the model.
    own
        What the attacker trains models of its own on.
    held_out
        What copies are judged on; these are asked only where the target's model is not at hand.
    """

    members: tuple[Queries, Labels] | None
    non_members: tuple[Queries, Labels] | None
    reference: tuple[Queries, Labels]
    probes: tuple[Queries, Labels]
    own: tuple[Queries, Labels]
    held_out: tuple[Queries, Labels]

    def asked(self, parts: Sequence[str]) -> dict[str, tuple[Queries, Labels]]:
        """Those of the parts that hold anything, by name."""
        return {part: held for part in parts if (held := getattr(self, part)) is not None and len(held[1])}


def choose_samples(
    federation: Federation,
    target: Party,
    *,
    members: Labelled | None = None,
    non_members: Labelled | None = None,
    own: Labelled | None = None,
    n_samples: int = 500,
    n_probes: int = 400,
    seed: int = 0,
) -> Samples:
    """Samples from what is given, and what the demo that the parties were made of is known to have trained on.

    Members and non-members get the same mix of classes: a party holds few classes, and whoever tells its members by
    their class has not found out that they are members.

    Parameters
    ----------
    federation : Federation
    target : Party
    members, non_members, own : (queries, labels), optional
        Where not given: the target's training samples, if this kernel trained it; the test set; training samples of
        the data set that the target does not hold.
    n_samples : int
        At most so many members, and as many non-members.
    n_probes : int
        At most so many queries to copy the model with.
    seed : int

    Raises
    ------
    MissingData
        There are no samples that nobody was trained on.
    InvalidQuery
        Queries or labels that do not fit the federation.
    InvalidOption
        Numbers that are not positive.
    """
    if n_samples < 1 or n_probes < 0:
        raise InvalidOption(f"n_samples ({n_samples}) must be 1 or more, n_probes ({n_probes}) 0 or more.")
    known, others = _of_demo(federation, target)
    chosen, foreign = _checked(federation, members) or known, _checked(federation, own) or others
    untouched = _checked(federation, non_members)
    if untouched is None:
        if federation.dataset is None:
            raise MissingData(
                "There are no samples that nobody was trained on: the federation came without a data set. "
                "Give non_members=(queries, labels)."
            )
        untouched = federation.test_set
    order = generator(seed, "untouched").permutation(len(untouched[1]))
    n_reference = int(REFERENCE_SHARE * len(order))
    reference, rest = _rows(untouched, order[:n_reference]), _rows(untouched, order[n_reference:])
    pool = foreign or reference
    probes = _rows(pool, generator(seed, "probes").permutation(len(pool[1]))[:n_probes])
    samples = Samples(None, None, reference, probes, pool, rest)
    if chosen is None:
        return samples
    same = _alike(chosen[1], rest[1], n_samples, seed)
    return replace(samples, members=_rows(chosen, same[0]), non_members=_rows(rest, same[1]))


def _of_demo(
    federation: Federation, target: Party
) -> tuple[tuple[Queries, Labels] | None, tuple[Queries, Labels] | None]:
    """What the target was trained on, and what others were, of the data set; None where it cannot be known here."""
    demo, data = federation.made_from, federation.dataset
    if demo is None or data is None or not target.made_here or target.name not in demo.party_names:
        return None, None
    trained, held = demo.samples_of(target.name, data)
    others = np.setdiff1d(np.arange(len(data.train_labels)), held)
    both = data.train_images, data.train_labels
    return _rows(both, trained), _rows(both, others) if len(others) else None


def _checked(federation: Federation, given: Labelled | None) -> tuple[Queries, Labels] | None:
    if given is None:
        return None
    queries = check_queries(given[0], federation.input_shape)
    return queries, check_labels(given[1], len(queries), len(federation.classes))


def _rows(both: tuple[Queries, Labels], indices: NDArray[np.integer[Any]]) -> tuple[Queries, Labels]:
    return both[0][indices], both[1][indices]


def _alike(
    members: Labels, non_members: Labels, n_samples: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of members and of non-members, as many of each class on either side and ``n_samples`` at most in all."""
    rng, sides = generator(seed, "alike"), (members, non_members)
    shuffled = [rng.permutation(len(labels)) for labels in sides]
    picked: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
    for label in np.intersect1d(members, non_members):
        of_label = [order[labels[order] == label] for order, labels in zip(shuffled, sides, strict=True)]
        n = min(map(len, of_label))
        for side, indices in zip(picked, of_label, strict=True):
            side.append(indices[:n])
    if not picked[0]:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first, second = (np.concatenate(side) for side in picked)
    kept = rng.permutation(len(first))[:n_samples]  # in pairs of one class, so that both keep the same mix
    return first[kept], second[kept]
