"""Rows made distributions: whatever their size, the order within them stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fi_workbench.aggregation.competence import renormalised
from fi_workbench.aggregation.normalise import as_distribution, weighted_mean


@given(arrays(np.float64, (3, 4), elements=st.floats(0, 1e300)))
def test_rows_sum_to_one_and_keep_their_order(rows):
    scores = as_distribution(rows)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    for row, score in zip(rows, scores, strict=True):
        assert (np.diff(score[np.argsort(row, kind="stable")]) >= 0).all()
        assert score[row.argmax()] == score.max()


@pytest.mark.parametrize("size", [1e-11, 1e-13, 1e-200, 1e-320])
def test_small_rows_are_scaled_as_others_are(size):
    np.testing.assert_allclose(as_distribution(size * np.array([[1.0, 3.0, 0.0]])), [[0.25, 0.75, 0.0]], rtol=1e-3)


def test_nothing_is_even_and_less_than_nothing_keeps_its_order():
    np.testing.assert_allclose(as_distribution(np.zeros((1, 4))), 0.25)
    np.testing.assert_allclose(as_distribution(np.array([[-0.3, -0.1, -0.2]])), np.array([[1.0, 1.2, 1.1]]) / 3.3)
    np.testing.assert_allclose(as_distribution(np.array([[-0.3, 0.1, 0.4]])), [[0.0, 0.2, 0.8]])


def test_the_rows_given_are_left_alone():
    rows = np.array([[0.0, 0.0], [-1.0, 2.0], [1e-20, 0.0]])
    before = rows.copy()
    as_distribution(rows)
    np.testing.assert_array_equal(rows, before)


def test_where_noise_left_no_weight():
    sums = {"weighted": np.array([[0.1, 0.3], [2.0, 6.0]]), "weight": np.array([-0.5, 8.0])}
    np.testing.assert_allclose(weighted_mean(sums), [[0.25, 0.75]] * 2)
    # of a class without weight the sum is noise alone
    sums = {"weighted": np.array([[0.2, 0.1]]), "weight": np.array([-0.3, 0.5])}
    np.testing.assert_allclose(renormalised(sums, "weighted"), [[0.0, 0.2]])
