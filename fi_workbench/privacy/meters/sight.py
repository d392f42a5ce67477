"""What an attacker holds: samples, what it saw when they were asked, and the truth that it is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels, Queries, Scores
from fi_workbench.core.errors import InvalidData

MIN_SAMPLES = 10
"""Fewer members, non-members or own samples than this say nothing."""

Part = Literal["members", "non_members", "reference", "probes", "own", "held_out", "prior"]
"""What a sight may hold; a meter names those that it cannot do without."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Queries, what is true of them, and what the attacker saw when they were asked.

    Parameters
    ----------
    queries : array (query, *input_shape)
    labels : array (query,)
        True class indices.
    scores : array (query, class)
        The target's answer, the released scores or a one-hot label: whatever the attacker is shown.

    Raises
    ------
    InvalidData
        Lengths that differ, or labels outside the classes.
    """

    queries: Queries
    labels: Labels
    scores: Scores

    def __post_init__(self) -> None:
        queries, labels = np.asarray(self.queries), np.asarray(self.labels)
        scores = np.asarray(self.scores, dtype=np.float64)
        if scores.ndim != 2 or not len(queries) == len(labels) == len(scores) or labels.ndim != 1:
            raise InvalidData(
                f"A sample needs as many queries as labels and rows of scores; {queries.shape}, {labels.shape} and "
                f"{scores.shape} were given."
            )
        if len(labels) and (labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= scores.shape[1]):
            raise InvalidData(f"Labels of a sample must be whole numbers from 0 to {scores.shape[1] - 1}.")
        if not np.isfinite(scores).all():
            raise InvalidData("What was seen holds NaN or infinite values.")
        for name, array in (("queries", queries), ("labels", labels), ("scores", scores)):
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        """Length of the class axis."""
        return int(self.scores.shape[1])

    @property
    def confidence(self) -> NDArray[np.float64]:
        """What was seen for the true label, (query,)."""
        return np.asarray(self.scores[np.arange(len(self)), self.labels])


@dataclass(frozen=True, eq=False)
class Sight:
    """What an attacker holds, and beside it the truth that its success is measured against.

    Parameters
    ----------
    members : Sample, optional
        Samples that the target was trained on; the attacker has them and does not know that they are members.
    non_members : Sample, optional
        Samples that nobody was trained on, to be told from the members.
    reference : Sample, optional
        The attacker's own samples: neither members nor among ``non_members``, asked as well.
    probes : Sample, optional
        Queries that the attacker spends on copying the model.
    own : (queries, labels), optional
        Labelled samples of the same kind that the attacker trains models of its own on.
    held_out : (queries, scores), optional
        Queries that were not asked, and the target model's own answers (query, class): the truth on copying.
    prior : array (class,), optional
        Shares of the classes in the target's training samples: the truth on its label distribution.
    """

    members: Sample | None = None
    non_members: Sample | None = None
    reference: Sample | None = None
    probes: Sample | None = None
    own: tuple[Queries, Labels] | None = None
    held_out: tuple[Queries, Scores] | None = None
    prior: NDArray[np.float64] | None = None

    def missing(self, parts: frozenset[Part]) -> tuple[str, ...]:
        """Those of ``parts`` that are not there, or hold too few samples to say anything."""
        return tuple(part for part in get_args(Part) if part in parts and not self._holds(part))

    def sample(self, part: Literal["members", "non_members", "reference", "probes"]) -> Sample:
        """One of its samples.

        Raises
        ------
        InvalidData
            It is not there.
        """
        held = getattr(self, part)
        if not isinstance(held, Sample):
            raise InvalidData(f"There are no {part.replace('_', ' ')} to look at; give them.")
        return held

    def pair(self, part: Literal["own", "held_out"]) -> tuple[Queries, NDArray[Any]]:
        """Its queries and labels, or queries and answers.

        Raises
        ------
        InvalidData
            They are not there.
        """
        held = self.own if part == "own" else self.held_out
        if held is None:
            raise InvalidData(f"There are no {'labelled' if part == 'own' else 'held-out'} queries; give them.")
        return held

    def _holds(self, part: Part) -> bool:
        held = getattr(self, part)
        if held is None or part == "prior":
            return held is not None
        return len(held if isinstance(held, Sample) else held[0]) >= MIN_SAMPLES
