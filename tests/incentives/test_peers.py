"""Methods that compare votes: known answers, oracles, and what a party gains by voting without looking."""

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from fi_workbench.core.crowd import ABSENT
from fi_workbench.core.errors import InvalidData, NotDisclosed
from fi_workbench.incentives.apply import contribute, estimate
from fi_workbench.incentives.contribution import ContributionView, contribution_methods
from fi_workbench.incentives.peers import MAX_CELLS, TOO_FEW, halved_counts, joint_counts
from fi_workbench.incentives.running import Running

PAIRWISE = ("pairwise_information", "correlated_agreement", "peer_truth_serum", "dmi", "dawid_skene_skill")


def votes_of(rng, accuracies, n_queries=3000, n_classes=3):
    """Votes of parties that err at random, and the truth."""
    truth = rng.integers(0, n_classes, n_queries)
    wrong = (truth + rng.integers(1, n_classes, (len(accuracies), n_queries))) % n_classes
    return np.where(rng.random(wrong.shape) < np.array(accuracies)[:, None], truth, wrong), truth


def view_of(votes, n_classes=3):
    return ContributionView(len(votes), votes=votes, scores=np.full((votes.shape[1], n_classes), 1 / n_classes))


def values_of(name, votes, n_classes=3):
    return contribute(contribution_methods[name], view_of(votes, n_classes))


def test_joint_counts_by_a_plain_loop(rng):
    votes = rng.integers(ABSENT, 3, (4, 5000))  # more than one block; some absent
    counts = joint_counts(None, view_of(votes))
    for i, j, a, b in ((0, 1, 2, 0), (1, 0, 0, 2), (3, 3, 1, 1), (2, 2, 0, 1), (2, 3, 2, 2)):
        assert counts[i, j, a, b] == ((votes[i] == a) & (votes[j] == b)).sum()
    both = (votes[0] != ABSENT) & (votes[1] != ABSENT)
    assert counts[0, 1].sum() == both.sum()


def test_halves_take_turns_whatever_the_batches(rng):
    votes = rng.integers(0, 3, (3, 41))
    whole = halved_counts(None, view_of(votes))
    np.testing.assert_array_equal(whole.first, joint_counts(None, view_of(votes[:, ::2])))
    np.testing.assert_array_equal(whole.second, joint_counts(None, view_of(votes[:, 1::2])))
    state = None
    for part in np.split(votes, [1, 4, 11, 12, 30], axis=1):
        state = halved_counts(state, view_of(part))
    np.testing.assert_array_equal(state.first, whole.first)
    np.testing.assert_array_equal(state.second, whole.second)
    assert state.n_queries == 41


def test_information_equals_sklearn(rng):
    votes, _ = votes_of(rng, [0.9, 0.7, 0.5, 0.4])
    expected = [np.mean([mutual_info_score(votes[k], votes[j]) for j in range(4) if j != k]) for k in range(4)]
    np.testing.assert_allclose(values_of("pairwise_information", votes), expected, atol=1e-12)


def test_three_who_agree_on_everything():
    votes = np.tile(np.arange(60) // 2 % 3, (3, 1))  # each class equally often in either half
    np.testing.assert_allclose(values_of("pairwise_information", votes), np.log(3))
    np.testing.assert_allclose(values_of("correlated_agreement", votes), 1 - 1 / 3)  # 3 (1/3 - 1/9)
    np.testing.assert_allclose(values_of("peer_truth_serum", votes), 3)  # each label a third of the votes
    np.testing.assert_allclose(values_of("dmi", votes), 1)


def test_correlated_agreement_and_serum_by_hand():
    votes = np.array([[0, 0, 1, 1], [0, 1, 1, 1], [1, 0, 0, 0]])
    # P_01 = [[1/4, 1/4], [0, 1/2]] against margins (1/2, 1/2), (1/4, 3/4): + 1/8 + 1/8
    # P_02 = [[1/4, 1/4], [1/2, 0]] likewise; P_12 = [[0, 1/4], [3/4, 0]] against (1/4, 3/4), (3/4, 1/4): 3/16 twice
    expected = [(1 / 4 + 1 / 4) / 2, (1 / 4 + 3 / 8) / 2, (1 / 4 + 3 / 8) / 2]
    np.testing.assert_allclose(values_of("correlated_agreement", votes, 2), expected)
    # others of party 0 vote 0 in four of eight, so each agreement is worth 2: with 1 on three of four, with 2 on one
    assert values_of("peer_truth_serum", votes, 2)[0] == pytest.approx((3 / 4 + 1 / 4) / 2 * 2)
    # others of party 1 vote 0 in five of eight: it agrees with 0 on one 0 and two 1, with 2 on nothing
    assert values_of("peer_truth_serum", votes, 2)[1] == pytest.approx((1 / 4 / (5 / 8) + 2 / 4 / (3 / 8)) / 2)


@pytest.mark.parametrize("name", PAIRWISE)
def test_values_follow_accuracy_and_a_constant_vote_is_worth_least(rng, name):
    votes, _ = votes_of(rng, [0.95, 0.85, 0.75, 0.65, 0.5])
    assert (np.diff(values_of(name, votes)) < 0).all()
    votes[2] = 0
    values = values_of(name, votes)
    assert values.argmin() == 2
    if name in ("pairwise_information", "correlated_agreement", "dmi"):
        assert values[2] == pytest.approx(0, abs=1e-12)
    if name == "peer_truth_serum":
        assert values[2] == pytest.approx(1, abs=0.05)  # what chance earns


def test_voting_at_random_earns_what_chance_does(rng):
    votes, _ = votes_of(rng, [0.9, 0.8, 0.8, 1 / 3], n_queries=20_000)
    assert values_of("correlated_agreement", votes)[3] < 0.02
    assert values_of("pairwise_information", votes)[3] < 1e-3
    assert values_of("peer_truth_serum", votes)[3] == pytest.approx(1, abs=0.03)
    assert abs(values_of("dmi", votes)[3]) < 1e-3
    assert values_of("dawid_skene_skill", votes)[3] == pytest.approx(1 / 3, abs=0.02)


def test_a_class_that_is_never_reported_makes_dmi_zero_and_says_so(rng):
    votes, _ = votes_of(rng, [0.9, 0.8, 0.7])
    assert not estimate(contribution_methods["dmi"], view_of(votes)).note
    found = estimate(contribution_methods["dmi"], view_of(votes, n_classes=4))
    assert found.values.tolist() == [0, 0, 0]
    assert "3 of 3 parties never reported some class" in found.note
    votes[1, votes[1] == 2] = 0
    found = estimate(contribution_methods["dmi"], view_of(votes))
    assert found.values[1] == 0
    assert found.values[0] > 0
    assert "1 of 3" in found.note


@pytest.mark.parametrize("name", PAIRWISE)
@pytest.mark.parametrize("n_parties", [1, 2])
def test_one_or_two_get_the_same_and_are_told_why(rng, name, n_parties):
    votes, _ = votes_of(rng, [0.9, 0.5][:n_parties], n_queries=30)
    found = estimate(contribution_methods[name], view_of(votes))
    assert found.values.tolist() == [1 / n_parties] * n_parties
    assert found.note == TOO_FEW
    three, _ = votes_of(rng, [0.9, 0.7, 0.5], n_queries=30)
    assert estimate(contribution_methods[name], view_of(three)).note != TOO_FEW


@pytest.mark.parametrize("name", PAIRWISE)
def test_a_party_that_never_answered_gets_nothing_and_changes_nothing(rng, name):
    votes, _ = votes_of(rng, [0.9, 0.8, 0.6], n_queries=300)
    running = Running.begin(contribution_methods[name], {}, 4).add(view_of(votes), [0, 1, 3])
    np.testing.assert_allclose(running.estimate().values[[0, 1, 3]], values_of(name, votes), atol=1e-12)
    assert running.estimate().values[2] == 0


@pytest.mark.filterwarnings("ignore:The (inplace|copy) keyword")
def test_skill_is_the_diagonal_that_crowd_kit_finds(rng):
    aggregation = pytest.importorskip("crowdkit.aggregation")
    import pandas as pd

    votes, truth = votes_of(rng, [0.9, 0.8, 0.7, 0.75, 0.6], n_queries=1500)
    task, worker = np.meshgrid(np.arange(1500), np.arange(5))
    answers = pd.DataFrame({"task": task.ravel(), "worker": worker.ravel(), "label": votes.ravel()})
    model = aggregation.DawidSkene(n_iter=50).fit(answers)
    errors = model.errors_  # indexed by (worker, reported label), a column for each true label
    expected = [np.mean([errors.loc[(k, c), c] for c in range(3)]) for k in range(5)]
    found = values_of("dawid_skene_skill", votes)
    np.testing.assert_allclose(found, expected, atol=2e-3)  # it does not smooth
    np.testing.assert_allclose(found, (votes == truth).mean(axis=1), atol=0.05)


def test_input_that_is_refused(rng):
    votes, _ = votes_of(rng, [0.9, 0.8, 0.7], n_queries=20)
    for name in PAIRWISE:
        running = Running.begin(contribution_methods[name], {}, 3).add(view_of(votes))
        with pytest.raises(InvalidData, match=r"3 and .*4 classes"):
            running.add(view_of(votes, n_classes=4))
        with pytest.raises(NotDisclosed, match="number of classes"):
            contribute(contribution_methods[name], ContributionView(3, votes=votes))
    n_classes = int(MAX_CELLS**0.5) // 3 + 1
    with pytest.raises(InvalidData, match="do without"):
        values_of("correlated_agreement", votes[:, :1], n_classes)
