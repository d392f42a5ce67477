"""The rule that looks at a batch as a whole."""

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.aggregation.matching import _matched
from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import DoesNotFit


@pytest.fixture
def skewed():
    """Three parties that know two of six classes each, and take all that they do not know for their first one."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 3000)
    logits = np.full((3, 3000, 6), -6.0)
    for k in range(3):
        known = np.array([2 * k, 2 * k + 1])
        foreign = ~np.isin(labels, known)
        signal = 3.0 * (labels[:, None] == known) + 1.5 * rng.normal(size=(3000, 2))
        signal[foreign, 0] += 3.0 + k
        logits[k][:, known] = 2.0 * signal
    return logits, labels, np.kron(np.eye(3, dtype=int), [[500, 500]])


def accuracy(scores, labels):
    return (scores.argmax(axis=1) == labels).mean()


def test_it_helps_where_parties_know_different_classes(skewed):
    logits, labels, counts = skewed
    matched = accuracy(fi.aggregate(logits, "prior_matched", class_counts=counts), labels)
    for rule in ("soft_vote", "log_pool_competence", "two_way_prior_corrected"):
        assert matched > accuracy(fi.aggregate(logits, rule, class_counts=counts), labels) + 0.3


def test_the_batch_gets_the_expected_mix(skewed):
    logits, _, _ = skewed
    counts = np.array([[100, 300, 0, 0, 0, 0], [0, 0, 100, 100, 0, 0], [0, 0, 0, 0, 300, 100]])
    scores = fi.aggregate(logits, "prior_matched", class_counts=counts, patience=0)
    assert scores.mean(axis=0) == pytest.approx(counts.sum(axis=0) / counts.sum(), abs=1e-3)


def test_patience_leaves_small_batches_alone(skewed):
    logits, _, counts = skewed
    few = logits[:, :5]
    free = fi.aggregate(few, "prior_matched", class_counts=counts, patience=10_000)
    moved = fi.aggregate(few, "prior_matched", class_counts=counts, patience=0)
    unmatched = fi.aggregate(few, "prior_matched", class_counts=counts)
    assert (
        np.abs(moved - free).max()
        > 10 * np.abs(free - fi.aggregate(few, "prior_matched", class_counts=counts, patience=9000)).max()
    )
    assert np.abs(unmatched - free).max() < np.abs(moved - free).max()


def test_matching_is_a_fixed_point_of_both_margins():
    rng = np.random.default_rng(1)
    expected = np.array([0.7, 0.2, 0.1])
    scores = _matched(rng.normal(size=(400, 3)), expected, 0.0)
    assert scores.sum(axis=1) == pytest.approx(1)
    assert scores.mean(axis=0) == pytest.approx(expected, abs=1e-6)


def test_what_matches_already_stays():
    log_scores = np.log(softmax(np.random.default_rng(2).normal(size=(50, 4))))
    there = softmax(log_scores).mean(axis=0)
    assert _matched(log_scores, there, 0.0) == pytest.approx(softmax(log_scores))


def test_a_class_that_nobody_holds_scores_nothing(skewed):
    logits, _, counts = skewed
    counts = counts.copy()
    counts[:, 5] = 0
    scores = fi.aggregate(logits, "prior_matched", class_counts=counts)
    assert scores[:, 5].max() < 1e-12
    assert scores.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("counts", [[[0, 0]], [[5, 0]], [[3, 4]]])
def test_one_party_one_query(counts):
    scores = fi.aggregate([[[2.0, 1.0]]], "prior_matched", class_counts=counts)
    assert np.isfinite(scores).all()
    assert scores.sum() == pytest.approx(1)


def test_without_counts_it_is_refused():
    with pytest.raises(DoesNotFit, match="class_counts"):
        fi.aggregate([[[2.0, 1.0]]], "prior_matched")
