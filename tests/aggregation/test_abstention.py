"""Confidence, margin, and the exact risk-coverage curve."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fi_workbench.aggregation.abstention import answered, confidence, margin, risk_coverage
from fi_workbench.core.errors import InvalidAnswer, InvalidOption, InvalidQuery, UnknownName


def two_class(confidences, right):
    """Scores whose label is 0 at the given confidence, and labels that make them right or wrong."""
    top = np.asarray(confidences, dtype=float)
    return np.stack([top, 1 - top], axis=1), np.where(right, 0, 1)


def test_confidence_is_the_top_score_and_margin_what_it_is_above_the_second():
    scores = [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [1.0, 0.0, 0.0]]
    np.testing.assert_allclose(confidence(scores), [0.5, 0.4, 1])
    np.testing.assert_allclose(margin(scores), [0.2, 0, 1])
    np.testing.assert_allclose(margin([[0.7], [0.1]]), [0.7, 0.1])
    assert confidence(np.zeros((0, 3))).shape == margin(np.zeros((0, 3))).shape == (0,)


def test_answered_are_those_that_are_not_below():
    scores = [[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]]
    np.testing.assert_array_equal(answered(scores, 0.6), [True, True, False])
    np.testing.assert_array_equal(answered(scores, 0.3, by="margin"), [True, False, False])
    assert not answered(scores, math.inf).any()
    assert answered(scores, 0).all()


def test_the_curve_of_four_queries_by_hand():
    curve = risk_coverage(*two_class([0.9, 0.8, 0.7, 0.6], [True, False, True, True]))
    np.testing.assert_allclose(curve.threshold, [0.9, 0.8, 0.7, 0.6])
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 1 / 3, 1 / 4])
    assert curve.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert curve.e_aurc == pytest.approx(curve.aurc - (1 / 4) / 4)  # at best the wrong one is answered last
    assert curve.threshold_for(0) == pytest.approx(0.9)
    assert curve.threshold_for(0.3) == pytest.approx(0.6)  # held again at full coverage, though not between
    assert curve.threshold_for(0.2) == pytest.approx(0.9)


def test_equal_confidences_are_one_step_whatever_their_order():
    sure, right = [0.9, 0.7, 0.7, 0.7], np.array([True, True, False, False])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        curve = risk_coverage(*two_class(np.array(sure)[order], right[order]))
        np.testing.assert_allclose(curve.coverage, [0.25, 1])
        np.testing.assert_allclose(curve.risk, [0, 0.5])
        assert curve.aurc == pytest.approx((0 + 3 * 0.5) / 4)


def test_constant_confidence_has_the_error_rate_as_its_only_point():
    curve = risk_coverage(*two_class([0.8] * 10, [True] * 7 + [False] * 3))
    assert (curve.threshold.tolist(), curve.coverage.tolist()) == ([0.8], [1.0])
    assert curve.risk[0] == curve.aurc == pytest.approx(0.3)
    assert curve.threshold_for(0.2) == math.inf
    assert curve.threshold_for(0.3) == 0.8


@pytest.mark.parametrize("right", [True, False])
def test_one_query(right):
    curve = risk_coverage(*two_class([0.7], [right]))
    assert curve.coverage.tolist() == [1.0]
    assert curve.aurc == curve.risk[0] == float(not right)
    assert curve.e_aurc == 0
    assert curve.threshold_for(0) == (0.7 if right else math.inf)


def test_the_best_order_has_no_excess_and_the_closed_form_is_its_limit():
    n, n_wrong = 20_000, 6_000
    sure = np.linspace(1, 0.5, n)
    curve = risk_coverage(*two_class(sure, np.arange(n) < n - n_wrong))
    assert curve.e_aurc == 0
    r = n_wrong / n
    assert curve.aurc == pytest.approx(r + (1 - r) * math.log(1 - r), abs=1e-4)  # Geifman et al. 2019, eq. 4
    worst = risk_coverage(*two_class(sure, np.arange(n) >= n_wrong))
    assert worst.e_aurc > 0.3


def test_uninformative_confidence_has_the_error_rate_as_its_area():
    rng = np.random.default_rng(0)
    curve = risk_coverage(*two_class(rng.uniform(0.5, 1, 50_000), rng.random(50_000) > 0.2))
    assert curve.aurc == pytest.approx(0.2, abs=0.01)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), levels=st.integers(1, 6), by=st.sampled_from(
    ["confidence", "margin"]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_curve_equals_counting_at_every_threshold(seed, n, levels, by):
    rng = np.random.default_rng(seed)
    scores = rng.integers(1, levels + 1, (n, 3)) / levels
    labels = rng.integers(0, 3, n)
    curve = risk_coverage(scores, labels, by=by)
    sure = confidence(scores) if by == "confidence" else margin(scores)
    wrong = scores.argmax(axis=1) != labels
    risks = [wrong[sure >= one].mean() for one in sure]
    assert curve.aurc == pytest.approx(np.mean(risks))
    np.testing.assert_array_equal(np.sort(np.unique(sure))[::-1], curve.threshold)
    for threshold, coverage, risk in zip(curve.threshold, curve.coverage, curve.risk, strict=True):
        kept = answered(scores, threshold, by=by)
        assert kept.mean() == pytest.approx(coverage)
        assert wrong[kept].mean() == pytest.approx(risk)
    assert 0 <= curve.e_aurc <= curve.aurc + 1e-12
    for target in (0, 0.25, 0.5, 1):
        chosen = curve.threshold_for(target)
        kept = answered(scores, chosen, by=by)
        assert not kept.any() or wrong[kept].mean() <= target
        lower = curve.risk[curve.threshold < chosen]
        assert (lower > target).all()


def test_a_class_nobody_scores_and_scores_of_integers_will_do():
    curve = risk_coverage(np.array([[3, 0, 0], [0, 2, 0]]), [0, 2])
    np.testing.assert_allclose(curve.risk, [0, 0.5])


def test_bad_input_is_refused():
    good, labels = two_class([0.9, 0.8], [True, False])
    for bad in ([0.9, 0.1], [[math.nan, 0.5], [0.5, 0.5]], np.zeros((2, 0)), [["a", "b"], ["c", "d"]]):
        for measure in (confidence, margin, lambda scores: answered(scores, 0.5)):
            with pytest.raises(InvalidAnswer):
                measure(bad)
        with pytest.raises(InvalidAnswer):
            risk_coverage(bad, labels)
    with pytest.raises(InvalidAnswer, match="no scores"):
        risk_coverage(np.zeros((0, 2)), np.zeros(0, int))
    for wrong in ([0], [0, 2], [0.0, 1.0]):
        with pytest.raises(InvalidQuery):
            risk_coverage(good, wrong)
    with pytest.raises(UnknownName, match="margin"):
        risk_coverage(good, labels, by="entropy")
    with pytest.raises(InvalidOption, match="NaN"):
        answered(good, math.nan)
    for target in (-0.1, 1.1, math.nan):
        with pytest.raises(InvalidOption, match="risk"):
            risk_coverage(good, labels).threshold_for(target)
