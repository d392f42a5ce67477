"""Pairwise agreement and confusion, counted round by round."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from fi_workbench.core.crowd import dawid_skene
from fi_workbench.core.errors import InvalidData, InvalidQuery
from fi_workbench.session.agreement import Agreement, RunningAgreement

N_CLASSES = 4
SKILL = np.array([0.9, 0.75, 0.6, 0.45, 0.8])


def crowd_votes(n_queries=1200, seed=0, n_absent=0):
    """Labels and the votes of five parties of known skill; some did not answer some queries."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, N_CLASSES, n_queries)
    wrong = (truth + rng.integers(1, N_CLASSES, (len(SKILL), n_queries))) % N_CLASSES
    votes = np.where(rng.random((len(SKILL), n_queries)) < SKILL[:, None], truth, wrong)
    votes[-1, :n_absent] = -1
    return votes, truth


def in_rounds(votes, truth=None, size=30, n_recent=10):
    running = RunningAgreement.empty(len(votes), N_CLASSES, n_recent)
    for at in range(0, votes.shape[1], size):
        running = running.add(votes[:, at : at + size], None if truth is None else truth[at : at + size])
    return running


def same(one, other):
    for name in ("alike", "together", "reported", "estimated", "estimated_classes"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-6, err_msg=name)
    assert (one.n_queries, one.n_labelled) == (other.n_queries, other.n_labelled)


def test_known_answer():
    running = RunningAgreement.empty(3, 3, 5).add([[0, 1, 2, -1], [0, 1, 1, 1], [2, 2, 2, 2]], [0, 1, 1, 2])
    share = running.total.share
    np.testing.assert_allclose(share, [[1, 2 / 3, 1 / 3], [2 / 3, 1, 0], [1 / 3, 0, 1]])
    assert running.total.reported[0].tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]  # the fourth it did not answer
    np.testing.assert_allclose(running.total.true_confusion[1], [[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    np.testing.assert_allclose(running.total.true_skill, [(1 + 0.5) / 2, 2 / 3, 1 / 3])


def test_rounds_add_up_to_one_pass_over_all():
    votes, truth = crowd_votes(n_absent=37)
    total = in_rounds(votes, truth).total
    for a in range(len(votes)):
        for b in range(len(votes)):
            both = (votes[a] >= 0) & (votes[b] >= 0)
            assert total.together[a, b] == both.sum()
            assert total.alike[a, b] == (votes[a] == votes[b])[both].sum()
        there = votes[a] >= 0
        expected = confusion_matrix(truth[there], votes[a][there], labels=range(N_CLASSES))
        np.testing.assert_array_equal(total.reported[a], expected)
    assert (total.n_queries, total.n_labelled) == (1200, 1200)


def test_recent_is_what_the_last_rounds_alone_add():
    votes, truth = crowd_votes(n_absent=37)
    running = in_rounds(votes, truth, size=30, n_recent=7)
    assert len(running.rounds) == 7
    assert running.n_rounds == 40
    alone = Agreement.empty(len(votes), N_CLASSES)
    for batch in running.rounds:
        alone = alone + batch.counts()
    same(running.recent, alone)
    assert running.recent.n_queries == 210
    short = in_rounds(votes[:, :120], truth[:120], size=30, n_recent=7)
    same(short.recent, short.total)


def test_estimate_carried_on_is_near_the_truth_and_near_one_pass():
    votes, truth = crowd_votes(4000)
    total = in_rounds(votes, truth, size=40).total
    np.testing.assert_allclose(total.skill, total.true_skill, atol=0.05)
    np.testing.assert_allclose(total.confusion, dawid_skene(votes, N_CLASSES).confusion, atol=0.08)
    np.testing.assert_allclose(total.estimated.sum(axis=(1, 2)), 4000)


def test_labels_do_not_touch_the_estimate():
    votes, truth = crowd_votes(300)
    with_labels, without = in_rounds(votes, truth).total, in_rounds(votes).total
    np.testing.assert_array_equal(with_labels.estimated, without.estimated)
    assert without.n_labelled == 0
    assert np.isnan(without.true_skill).all()


def test_other_parties_keep_what_is_theirs():
    votes, truth = crowd_votes(600, n_absent=50)
    running = in_rounds(votes, truth)
    picked = running.picked([4, None, 0])
    np.testing.assert_array_equal(
        picked.total.alike[np.ix_([0, 2], [0, 2])], running.total.alike[np.ix_([4, 0], [4, 0])]
    )
    assert picked.total.alike[0, 2] != picked.total.together[0, 2]
    assert not picked.total.together[1].any()
    assert np.isnan(picked.total.share[1]).all()
    assert np.isnan(picked.total.skill[1])
    np.testing.assert_array_equal(picked.total.reported[2], running.total.reported[0])
    # and it goes on counting, the window too
    more = picked.add(np.zeros((3, 30), dtype=int), np.zeros(30, dtype=int))
    assert more.total.together[1].tolist() == [30, 30, 30]
    alone = Agreement.empty(3, N_CLASSES)
    for batch in more.rounds:
        alone = alone + batch.counts()
    same(more.recent, alone)


def test_one_party_one_query_and_a_class_that_nobody_reports():
    running = RunningAgreement.empty(1, 3, 1).add([[2]], [0])
    assert running.total.share.tolist() == [[1.0]]
    assert np.isnan(running.total.true_confusion[0, 1]).all()
    assert running.total.true_skill.tolist() == [0.0]
    assert np.isfinite(running.total.estimated).all()


def test_who_never_answered_has_no_figures():
    running = RunningAgreement.empty(2, 3, 4).add([[0, 1, 1, 0], [-1, -1, -1, -1]])
    assert np.isnan(running.total.share[1]).all()
    assert np.isnan(running.total.skill[1])
    assert running.total.skill[0] > 0


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        ([[0, 1]], "labels \\(2 parties, query\\) are needed"),
        ([[0.0], [1.0]], "dtype float64"),
        ([[], []], "shape \\(2, 0\\)"),
        ([[0, 3], [1, 1]], "the classes are 0 to 2"),
        ([[0, -2], [1, 1]], "from -2"),
    ],
)
def test_bad_votes_are_refused(votes, message):
    with pytest.raises(InvalidData, match=message):
        RunningAgreement.empty(2, 3, 4).add(votes)


def test_bad_labels_are_refused():
    with pytest.raises(InvalidQuery, match="one per query"):
        RunningAgreement.empty(2, 3, 4).add([[0, 1], [1, 1]], [0])
