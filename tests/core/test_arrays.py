"""Queries, labels and answers at the border: what is taken, and what is refused with which words."""

import warnings

import numpy as np
import pytest

from fi_workbench.core.arrays import check_answer, check_labels, check_queries
from fi_workbench.core.errors import InvalidAnswer, InvalidQuery

GOOD = np.ones((2, 3))


@pytest.mark.parametrize("given", [GOOD, GOOD.astype(np.float16), GOOD.tolist(), GOOD.astype(">f8"), GOOD.T.copy().T])
def test_real_queries_become_float32(given):
    assert check_queries(given, (3,)).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_integer_queries_keep_their_dtype(dtype):
    assert check_queries(GOOD.astype(dtype), (3,)).dtype == dtype


@pytest.mark.parametrize(
    ("queries", "says"),
    [
        (np.ones(3), "without its batch axis"),
        (np.ones((2, 4)), r"shape \(2, 4\); \(n_queries, 3\) is needed"),
        (np.ones((2, 3, 1)), "n_queries, 3"),
        (np.float64(1), "shape"),
        (np.ones((0, 3)), "empty"),
        (np.array([[1, np.nan, 1], [1, 1, 1], [np.inf, 1, 1]]), r"Queries \[0, 2\] hold NaN"),
        (np.full((1, 3), 1e300), "too large values for float32"),
        ([["a", "b", "c"]], "numbers are needed"),
        (np.ones((2, 3), complex), "dtype complex128"),
        (np.array([[None] * 3]), "dtype object"),
        ([[1, 2, 3], [1, 2]], "no array of numbers"),
        (None, "dtype object"),
    ],
)
def test_bad_queries_are_refused(queries, says):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InvalidQuery, match=says):
            check_queries(queries, (3,))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 1, 2], r"shape \(3,\); \(2,\) is needed"),
        ([[0], [1]], "one per query"),
        ([0.0, 1.0], "integer class indices"),
        (["a", "b"], "integer class indices"),
        ([True, False], "integer class indices"),
        ([0, 3], "the classes are 0 to 2"),
        ([-1, 0], "reach from -1"),
        ([[0], [0, 1]], "no array"),
    ],
)
def test_bad_labels_are_refused(labels, says):
    with pytest.raises(InvalidQuery, match=says):
        check_labels(labels, 2, 3)


def test_labels_become_int64():
    assert check_labels(np.array([0, 2], np.uint8), 2, 3).dtype == np.int64


SECRET = 0.123456


@pytest.mark.parametrize(
    ("answer", "outputs", "says"),
    [
        (np.zeros((2, 4)), "logits", r"shape \(2, 4\); \(2, 3\) = \(queries, classes\) is needed"),
        (np.zeros((3, 2)), "logits", "shape"),
        (np.full((2, 3), np.nan), "logits", "NaN or infinite"),
        (np.full((2, 3), -np.inf), "logits", "NaN or infinite"),
        (np.full((2, 3), SECRET), "probabilities", 'declare outputs="logits"'),
        (np.array([[-SECRET, 1 + SECRET, 0.0]] * 2), "probabilities", "negative probabilities"),
        (np.zeros((2, 3), bool), "logits", "dtype bool"),
        (np.zeros((2, 3), complex), "logits", "dtype complex"),
        ("text", "logits", "dtype"),
        (b"bytes", "logits", "dtype"),
        (None, "logits", "dtype object"),
        ({"a": 1}, "logits", "dtype object"),
    ],
)
def test_bad_answers_are_refused_without_quoting_them(answer, outputs, says):
    with pytest.raises(InvalidAnswer, match=says) as refusal:
        check_answer(answer, outputs, 2, 3, "Ada")
    assert str(refusal.value).startswith("Ada ")
    assert "0.12" not in str(refusal.value)


def test_rounding_is_not_a_fault():
    rows = np.array([[0.3333, 0.3333, 0.3335], [1.0 + 5e-4, -5e-4, 0.0]], np.float16)
    assert check_answer(rows, "probabilities", 2, 3, "Ada").dtype == np.float32
