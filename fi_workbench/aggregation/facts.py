"""Private facts of a party, checked where a rule uses them: at the party, before anything leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidParty

MAX_DATA_SIZE = 10_000_000
"""The most training samples that a party may claim. Rules that trust claimed counts concentrate weight, so a claim is
bounded; the bound also keeps fixed-point sums from overflowing."""


def class_counts_of(facts: Mapping[str, Any], n_classes: int | None = None) -> NDArray[np.float64]:
    """The party's own training samples per class, (class,).

    Raises
    ------
    InvalidParty
        They are missing, of another length than ``n_classes``, not finite, negative, or claim too much.
    """
    counts = np.asarray(_fact(facts, "class_counts"))
    if counts.dtype.kind not in "fiu" or counts.ndim != 1 or n_classes not in (None, len(counts)):
        needed = "one number a class" if n_classes is None else f"{n_classes} numbers, one a class"
        raise InvalidParty(f"class_counts have shape {counts.shape} and dtype {counts.dtype}; {needed} are needed.")
    counts = counts.astype(np.float64)
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise InvalidParty("class_counts hold NaN, infinite or negative values; counts are 0 or more.")
    if counts.sum() > MAX_DATA_SIZE:
        raise InvalidParty(f"class_counts claim {counts.sum():.0f} samples; at most {MAX_DATA_SIZE} may be claimed.")
    return counts


def data_size_of(facts: Mapping[str, Any], max_size: float) -> float:
    """The party's number of training samples.

    Raises
    ------
    InvalidParty
        It is missing, not a finite number of 0 or more, or above ``max_size``.
    """
    size = np.asarray(_fact(facts, "data_size"))
    if size.dtype.kind not in "fiu" or size.shape != () or not np.isfinite(size) or size < 0:
        raise InvalidParty(f"data_size is {size.tolist()!r}; one number of 0 or more is needed.")
    if size > max_size:
        raise InvalidParty(f"data_size {size:.0f} is above max_size {max_size:.0f}; raise the option max_size.")
    return float(size)


def _fact(facts: Mapping[str, Any], name: str) -> Any:
    if facts.get(name) is None:
        raise InvalidParty(f"The party holds no {name}, which this rule needs; give the party its {name}.")
    return facts[name]
