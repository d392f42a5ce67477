"""Arrays named by meaning. Axis order is always (party, query, class)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidAnswer, InvalidQuery

Answers: TypeAlias = NDArray[np.floating[Any]]
"""(party, query, class): what each party answered, as logits or as probabilities."""

Scores: TypeAlias = NDArray[np.floating[Any]]
"""(query, class): what the federation answers; larger is more likely."""

Labels: TypeAlias = NDArray[np.integer[Any]]
"""(query,): class indices."""

Queries: TypeAlias = NDArray[Any]
"""(query, *input_shape): what is asked."""

ClassCounts: TypeAlias = NDArray[np.floating[Any] | np.integer[Any]]
"""(party, class) or, for one party, (class,): how many training samples of each class."""

Outputs = Literal["logits", "probabilities"]
"""What a model returns: any real numbers before the softmax, or a distribution over the classes."""

TINY = 1e-12
"""Guard of logarithms and divisions (the reference's epsilon)."""

SIMPLEX_TOLERANCE = 1e-3
"""How far a row of probabilities may be from summing to one; float16 models are off by about this."""


def softmax(logits: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Softmax over the last axis, shifted by the maximum so that it cannot overflow."""
    powers = np.exp(_shifted(logits))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def log_softmax(logits: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Logarithm of the softmax over the last axis, without underflow."""
    shifted = _shifted(logits)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _shifted(logits: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Logits below their row's maximum; -inf where the difference is more than the dtype holds."""
    with np.errstate(over="ignore"):
        return np.asarray(logits - logits.max(axis=-1, keepdims=True))


def to_simplex(values: NDArray[Any], outputs: Outputs) -> NDArray[np.floating[Any]]:
    """Probabilities from what a model returned, (..., class) -> (..., class).

    Logits go through the softmax; probabilities are clipped at zero and renormalised, which only removes
    rounding: :func:`check_answer` has refused what is not a distribution.
    """
    if outputs == "logits":
        return softmax(values)
    clipped = np.clip(values, 0.0, None)
    return np.asarray(clipped / clipped.sum(axis=-1, keepdims=True))


def to_logits(values: NDArray[Any], outputs: Outputs) -> NDArray[np.floating[Any]]:
    """Logits from what a model returned; log p serves where only probabilities are known."""
    return np.asarray(values) if outputs == "logits" else np.log(np.clip(values, TINY, None))


def at_temperature(values: NDArray[Any], outputs: Outputs, temperature: float) -> NDArray[np.floating[Any]]:
    """An answer (query, class) at another temperature, of the same kind and dtype: softmax(z / temperature)."""
    cooled = (to_logits(values, outputs) / temperature).astype(values.dtype)
    return cooled if outputs == "logits" else softmax(cooled)


def entropy(probabilities: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Shannon entropy in nats over the last axis, with the reference's guard inside the logarithm."""
    return np.asarray(-(probabilities * np.log(probabilities + TINY)).sum(axis=-1))


def check_answer(values: Any, outputs: Outputs, n_queries: int, n_classes: int, who: str) -> NDArray[np.floating[Any]]:
    """One party's answer, checked, as (query, class) floats.

    Raises
    ------
    InvalidAnswer
        Wrong shape or dtype, NaN or infinite, negative probabilities, or rows that do not sum to one. Its text quotes
        no values: the asker is told.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise InvalidAnswer(f"{who} answered with dtype {array.dtype}; real numbers are needed.")
    if array.shape != (n_queries, n_classes):
        raise InvalidAnswer(
            f"{who} answered with shape {array.shape}; ({n_queries}, {n_classes}) = (queries, classes) is needed."
        )
    array = array.astype(np.float64 if array.dtype == np.float64 else np.float32, copy=False)
    if not np.isfinite(array).all():
        raise InvalidAnswer(f"{who} answered with NaN or infinite values.")
    if outputs == "probabilities":
        if (array < -SIMPLEX_TOLERANCE).any():
            raise InvalidAnswer(f"{who} answered with negative probabilities.")
        if (np.abs(array.sum(axis=-1) - 1.0) > SIMPLEX_TOLERANCE).any():
            raise InvalidAnswer(
                f"{who} answered with probabilities that do not sum to one; "
                'if the model returns logits, declare outputs="logits".'
            )
    return array


def stacked_answers(values: Any, outputs: Outputs) -> Answers:
    """The parties' checked answers, (party, query, class), as a copy of its own: from numpy, torch or nested lists.

    Raises
    ------
    InvalidAnswer
        Not (party, query, class) with at least one of each, NaN or infinite, or not probabilities as declared.
    """
    try:
        array = plain_array(values)
    except ValueError as error:
        raise InvalidAnswer(f"The parties' answers are not one array (party, query, class): {error}") from error
    if array.ndim != 3 or 0 in array.shape:
        raise InvalidAnswer(f"Answers have shape {array.shape}; (party, query, class), none of them 0, is needed.")
    _, n_queries, n_classes = array.shape
    return np.stack([check_answer(one, outputs, n_queries, n_classes, f"Party {k}") for k, one in enumerate(array)])


def plain_array(values: Any) -> NDArray[Any]:
    """A numpy array of numbers, of nested lists, or of a torch tensor, wherever it lives, without importing torch."""
    return np.asarray(values.detach().cpu().numpy() if hasattr(values, "detach") else values)


def check_queries(queries: Any, input_shape: tuple[int, ...]) -> Queries:
    """A batch of queries, checked, as one array (query, *input_shape).

    Raises
    ------
    InvalidQuery
        Empty batch, wrong shape or dtype, NaN or infinite values.
    """
    try:
        array = np.asarray(queries)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidQuery(f"Queries are no array of numbers: {error}") from error
    if array.dtype.kind not in "fiub":
        raise InvalidQuery(f"Queries have dtype {array.dtype}; numbers are needed.")
    if array.shape == input_shape:
        raise InvalidQuery(f"One query of shape {input_shape} was given without its batch axis; ask queries[None].")
    if array.shape[1:] != input_shape or array.ndim == 0:
        raise InvalidQuery(
            f"Queries have shape {array.shape}; (n_queries, {', '.join(map(str, input_shape))}) is needed."
        )
    if len(array) == 0:
        raise InvalidQuery("The batch of queries is empty; at least one query is needed.")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # float32 on the wire: what models compute in; integer images keep their dtype
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            bad = np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(axis=1))
            raise InvalidQuery(f"Queries {bad[:5].tolist()} hold NaN, infinite or too large values for float32.")
    return array


def check_labels(labels: Any, n_queries: int, n_classes: int) -> Labels:
    """True labels, checked, as (query,) class indices.

    Raises
    ------
    InvalidQuery
        Wrong length, not integers, or outside the classes.
    """
    try:
        array = np.asarray(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidQuery(f"labels are no array of numbers: {error}") from error
    if array.shape != (n_queries,):
        raise InvalidQuery(f"labels have shape {array.shape}; ({n_queries},) is needed, one per query.")
    if array.dtype.kind not in "iu":
        raise InvalidQuery(f"labels have dtype {array.dtype}; integer class indices are needed.")
    if array.min() < 0 or array.max() >= n_classes:
        raise InvalidQuery(f"labels reach from {array.min()} to {array.max()}; the classes are 0 to {n_classes - 1}.")
    return array.astype(np.int64)
