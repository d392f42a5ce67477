"""In which order queries are looked at: those on which the parties disagree most come first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.records import RoundRecord

FILTERS = {"all": "all queries", "disagree": "where parties disagree", "wrong": "where the consensus is wrong"}
"""What can be looked at, by name."""


def votes(record: RoundRecord) -> NDArray[np.int64] | None:
    """Labels of the present parties, (party, query); None where they are not disclosed."""
    if record.answers is None or not record.present:
        return None
    rows = [record.parties.index(name) for name in record.present]
    return np.asarray(record.answers[rows].argmax(axis=2))


def disagreements(record: RoundRecord) -> NDArray[np.bool_]:
    """Whether the present parties disagree, (query,); false where their answers are not disclosed."""
    each = votes(record)
    if each is None:
        return np.zeros(record.n_queries, dtype=bool)
    return np.asarray((each != each[0]).any(axis=0))


def order(record: RoundRecord, *, only: str = "all", disagreements_first: bool = True) -> NDArray[np.int64]:
    """Indices of queries, (shown,).

    Parameters
    ----------
    record : RoundRecord
    only : {"all", "disagree", "wrong"}
    disagreements_first : bool
        Most different labels first; among equals, the consensus that leads by least.
    """
    if record.scores is None:
        return np.zeros(0, dtype=np.int64)
    shown = np.arange(record.n_queries)
    if only == "disagree":
        shown = np.flatnonzero(disagreements(record))
    elif only == "wrong" and record.truth is not None:
        shown = np.flatnonzero(record.scores.argmax(axis=1) != record.truth)
    if not disagreements_first:
        return shown
    top = np.sort(record.scores, axis=1)
    lead = top[:, -1] - top[:, -2]
    each = votes(record)
    n_labels = np.ones(record.n_queries) if each is None else np.array([len(set(row)) for row in each.T])
    return shown[np.lexsort((lead[shown], -n_labels[shown]))]
