"""Parties that cost next to nothing, so that what is measured is the way there and back; and what they must answer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

import fi_workbench as fi

SHAPE = (1, 8, 8)
N_CLASSES = 10
N_SEEN = 64
"""The model looks at so many numbers of a query, however many there are."""


def party_name(index: int) -> str:
    """Names sort as numbers do."""
    return f"P{index:04}"


@cache
def weights(index: int, n_classes: int) -> NDArray[np.float32]:
    """(feature, class): another linear model for each party."""
    return np.random.default_rng(index).standard_normal((N_SEEN, n_classes), dtype=np.float32)


def probabilities(index: int, queries: NDArray[np.float32], n_classes: int = N_CLASSES) -> NDArray[np.float32]:
    """What one party answers, (query, *shape) -> (query, class)."""
    logits = queries.reshape(len(queries), -1)[:, :N_SEEN] @ weights(index, n_classes)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def toy_party(index: int, shape: tuple[int, ...] = SHAPE, n_classes: int = N_CLASSES) -> fi.Party:
    """The party of this number."""
    if math.prod(shape) < N_SEEN:
        raise ValueError(f"queries of shape {shape} have fewer than {N_SEEN} numbers")
    return fi.Party.from_callable(
        lambda queries: probabilities(index, queries, n_classes),
        name=party_name(index), classes=[f"class {k}" for k in range(n_classes)], input_shape=shape, model="linear",
    )  # fmt: skip


def toy_queries(number: int, n: int = 64, shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    """(n, *shape): no two rounds ask the same, so that an answer to another round is seen to be wrong."""
    return np.random.default_rng(number).random((n, *shape), dtype=np.float32)


def expected_scores(
    present: Iterable[str], queries: NDArray[np.float32], n_classes: int = N_CLASSES
) -> NDArray[np.float64]:
    """What a soft vote of these parties must say: the mean of their probabilities, (query, class)."""
    answers = [probabilities(int(name[1:]), queries, n_classes).astype(np.float64) for name in present]
    return np.mean(answers, axis=0)
