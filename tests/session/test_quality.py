"""Accuracy of parties, consensus and oracle; gain per party; counts over a stream."""

import numpy as np
import pytest

from fi_workbench.core.errors import InvalidData
from fi_workbench.session.quality import (
    RunningTally,
    Tally,
    accuracies,
    best_party,
    class_reweighted_accuracy,
    gain_per_party,
    oracle_accuracy,
)

TRUTH = np.array([0, 0, 1, 2])
VOTES = np.array([[0, 0, 0, 0], [1, 1, 1, 2], [2, 0, 1, 1]])
CONSENSUS = np.array([0, 1, 1, 2])


def test_accuracies_oracle_and_best():
    np.testing.assert_array_equal(accuracies(VOTES, TRUTH), [0.5, 0.5, 0.5])
    np.testing.assert_array_equal(accuracies(np.eye(3)[VOTES], TRUTH), [0.5, 0.5, 0.5])
    assert oracle_accuracy(VOTES, TRUTH) == 1
    assert oracle_accuracy(VOTES[:1], TRUTH) == 0.5
    assert best_party(VOTES, TRUTH) == (0, 0.5)
    assert best_party(VOTES[1:], [1, 1, 0, 0]) == (0, 0.5)


def test_accuracy_reweighted_to_a_class_distribution():
    # class 0 half right, classes 1 and 2 right
    assert class_reweighted_accuracy(CONSENSUS, TRUTH, [1, 0, 0]) == 0.5
    assert class_reweighted_accuracy(CONSENSUS, TRUTH, [1, 1, 0]) == 0.75
    assert class_reweighted_accuracy(CONSENSUS, TRUTH, [2, 1, 1]) == np.mean(CONSENSUS == TRUTH)


def test_classes_that_were_not_asked_are_left_out():
    assert class_reweighted_accuracy(CONSENSUS, TRUTH, [1, 1, 0, 98]) == 0.75
    assert class_reweighted_accuracy(CONSENSUS, TRUTH, [0, 0, 0, 1]) is None


def test_gain_and_who_loses_by_joining():
    first, second, third = gain_per_party(CONSENSUS, VOTES, TRUTH, [[9, 0, 0], None, [0, 1, 1]])
    assert (first.party, first.own, first.consensus, first.gain) == (0, 0.5, 0.75, 0.25)
    # it holds only class 0, which it knows and the consensus does not
    assert first.own_distribution_gain == -0.5
    assert first.loses
    assert second.own_distribution_gain is None
    assert not second.loses
    assert third.own_distribution_gain == 0.5
    assert not third.loses
    assert gain_per_party([1, 1, 0, 0], VOTES, TRUTH)[0].loses


def test_a_tally_adds_up_to_the_whole_stream():
    rng = np.random.default_rng(0)
    truth, consensus, votes = rng.integers(0, 4, 90), rng.integers(0, 4, 90), rng.integers(0, 4, (3, 90))
    tally = Tally.empty(3, 4)
    for start in range(0, 90, 7):
        part = slice(start, start + 7)
        tally = tally.add(truth[part], consensus[part], votes[:, part])
    assert tally.consensus_accuracy == np.mean(consensus == truth)
    np.testing.assert_allclose(tally.party_accuracies, accuracies(votes, truth))
    assert tally.oracle_accuracy == pytest.approx(oracle_accuracy(votes, truth))
    assert tally.best_party == pytest.approx(best_party(votes, truth))
    counts = rng.integers(0, 9, (3, 4))
    for streamed, whole in zip(tally.gains(counts), gain_per_party(consensus, votes, truth, counts), strict=True):
        assert streamed == whole
        own = class_reweighted_accuracy(votes[whole.party], truth, counts[whole.party])
        joint = class_reweighted_accuracy(consensus, truth, counts[whole.party])
        assert whole.own_distribution_gain == pytest.approx(joint - own)


def test_adding_leaves_the_tally_before_alone():
    before = Tally.empty(3, 3)
    before.add(TRUTH, CONSENSUS, VOTES)
    assert before.seen.sum() == 0
    assert before.consensus_accuracy is before.oracle_accuracy is before.best_party is None
    assert np.isnan(before.party_accuracies).all()
    assert before.gains() == ()


def test_the_absent_are_judged_on_what_they_answered():
    tally = Tally.empty(3, 3).add(TRUTH, CONSENSUS, VOTES, present=[True, False, True])
    tally = tally.add([1, 1], [0, 1], np.array([[0, 0], [1, 1], [0, 0]]), present=[False, True, False])
    np.testing.assert_array_equal(tally.party_accuracies, [0.5, 1, 0.5])
    assert tally.best_party == (1, 1)
    assert tally.consensus_accuracy == pytest.approx(4 / 6)
    # beside party 1 the consensus was right once in two; the rounds without it do not count
    assert [one.consensus for one in tally.gains()] == [0.75, 0.5, 0.75]
    assert tally.oracle_accuracy == pytest.approx(5 / 6)


def test_without_disclosed_votes_only_the_consensus_is_counted():
    tally = Tally.empty(3, 3).add(TRUTH, CONSENSUS, None)
    assert tally.consensus_accuracy == 0.75
    assert tally.oracle_accuracy is None
    assert tally.gains() == ()


def test_the_last_rounds_of_a_stream():
    running = RunningTally.empty(1, 2, n_recent=2)
    for right in (0, 0, 1, 1):
        running = running.add([1], [right], np.array([[1 - right]]))
    assert running.total.consensus_accuracy == 0.5
    assert running.recent.consensus_accuracy == 1
    assert running.recent.best_party == (0, 0)
    assert len(running.rounds) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: accuracies(VOTES, TRUTH[:3]),
        lambda: accuracies(VOTES[0], TRUTH),
        lambda: accuracies(VOTES[:, :0], TRUTH[:0]),
        lambda: Tally.empty(3, 3).add(TRUTH, CONSENSUS[:2], VOTES),
        lambda: Tally.empty(3, 3).add([0, 0, 1, 3], CONSENSUS, VOTES),
        lambda: Tally.empty(3, 3).add([0.0, 0, 1, 2], CONSENSUS, VOTES),
        lambda: Tally.empty(2, 3).add(TRUTH, CONSENSUS, VOTES),
        lambda: gain_per_party(CONSENSUS, VOTES, TRUTH, [[1, -1, 0], None, None]),
        lambda: gain_per_party(CONSENSUS, VOTES, TRUTH, [[1, 0, 0, 0], [1, 0], None]),
        lambda: RunningTally.empty(1, 2, n_recent=0),
    ],
)
def test_input_that_is_refused(call):
    with pytest.raises(InvalidData):
        call()
