"""The queries of a stream, batch after batch, in an order that a seed determines and a new one in each pass."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels, check_labels, check_queries
from fi_workbench.core.messages import Question
from fi_workbench.core.randomness import generator
from fi_workbench.session.federation import Federation


class Batches:
    """A place in the queries that moves on; the size of the batches may change on the way.

    Parameters
    ----------
    queries : array (query, *input_shape)
    labels : array (query,), optional
    seed : int
    """

    def __init__(self, queries: NDArray[Any], labels: Labels | None, seed: int) -> None:
        self._queries, self._labels, self._seed = queries, labels, seed
        self._pass = -1
        self._begin_pass()

    def next(self, size: int) -> Question:
        """The next ``size`` queries, fewer at the end of a pass."""
        if self._place >= len(self._queries):
            self._begin_pass()
        rows = self._order[self._place : self._place + size]
        self._place += size
        return Question(self._queries[rows], None if self._labels is None else self._labels[rows])

    @classmethod
    def of(cls, federation: Federation, queries: Any, labels: Any) -> Batches | None:
        """What a federation is asked; None where nothing is given, or nobody is there who knows its shape.

        Raises
        ------
        InvalidQuery
            Queries or labels that do not fit.
        """
        if queries is None or not federation.parties:
            return None
        checked = check_queries(queries, federation.input_shape)
        truth = None if labels is None else check_labels(labels, len(checked), len(federation.classes))
        return cls(checked, truth, federation.settings.seed)

    @property
    def n_labelled(self) -> int:
        """Queries in a pass whose true label is known."""
        return 0 if self._labels is None else len(self._labels)

    def sample(self, size: int, *, last: bool = False) -> Question:
        """The first ``size`` queries of the first pass, or the last; the stream does not move."""
        order = generator(self._seed, "workbench", 0).permutation(len(self._queries))
        rows = order[max(len(order) - size, 0) :] if last else order[:size]
        return Question(self._queries[rows], None if self._labels is None else self._labels[rows])

    def _begin_pass(self) -> None:
        self._pass += 1
        self._place = 0
        self._order = generator(self._seed, "workbench", self._pass).permutation(len(self._queries))
