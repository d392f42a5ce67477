"""F_skill and rank correlation: known answers, and on the golden logits the reference's rewards."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from fi_workbench.core.errors import InvalidData
from fi_workbench.incentives.fairness import fairness
from fi_workbench.incentives.offline import contributions
from fi_workbench.incentives.shares import shares


def test_known_answers():
    fair = fairness([3, 1], [30, 10])
    assert (fair.f_skill, fair.l1, fair.spearman, fair.equal_f_skill) == (1, 0, 1, 0.75)
    unfair = fairness([1, 0, 0], [0, 0, 1])
    assert (unfair.f_skill, unfair.l1, unfair.spearman) == (0, 2, -0.5)
    assert unfair.equal_f_skill == pytest.approx(1 / 3)


def test_rewards_count_as_they_would_be_paid():
    assert fairness([1, 1], [0, 0]).f_skill == 1
    assert fairness([1, 3], [-1, 5]).l1 == pytest.approx(0.5)


def test_ranks_are_of_what_is_paid():
    # whoever would have to pay in gets nothing, as the other does
    owed = fairness([1, 2, 3], [-3, -1, 4])
    assert owed.spearman == pytest.approx(spearmanr([1, 2, 3], [0, 0, 4]).statistic)
    assert owed.kendall == pytest.approx(kendalltau([1, 2, 3], [0, 0, 4]).statistic)
    # nothing above zero is paid as an equal split, which ranks nobody
    assert fairness([1, 2, 3], [-3, -2, -1]).spearman is None


def test_huge_merit_and_rewards():
    assert fairness([1e308, 1e308, 1e307], [-1e308, 1e308, 1e308]).f_skill == pytest.approx(
        1 - (10 / 21 + 1 / 42 + 19 / 42) / 2
    )


@pytest.mark.parametrize(("merit", "rewards"), [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, 1, 1]), ([1], [2])])
def test_rank_correlation_is_undefined_without_differences(merit, rewards):
    assert fairness(merit, rewards).spearman is None


def test_rank_correlation_with_ties_equals_scipy(rng):
    for _ in range(20):
        merit, rewards = rng.integers(1, 5, 9), rng.integers(0, 4, 9)
        if np.ptp(merit) and np.ptp(rewards):
            assert fairness(merit, rewards).spearman == pytest.approx(spearmanr(merit, rewards).statistic)
            assert fairness(merit, rewards).kendall == pytest.approx(kendalltau(merit, rewards).statistic)


def test_kendall_counts_pairs():
    # of six pairs one is the wrong way round
    assert fairness([1, 2, 3, 4], [1, 3, 2, 4]).kendall == pytest.approx(4 / 6)
    assert fairness([1, 2, 3, 4], [4, 3, 2, 1]).kendall == pytest.approx(-1)
    assert fairness([1, 1], [1, 2]).kendall is None


@pytest.mark.parametrize(
    ("rewards", "gini"),
    [([1, 1, 1, 1], 0), ([0, 0, 0, 1], 0.75), ([1, 3], 0.25), ([7], 0), ([0, 0], 0), ([-4, 1, 1], 1 / 3)],
)
def test_gini_of_rewards(rewards, gini):
    assert fairness(np.ones(len(rewards)), rewards).gini == pytest.approx(gini, abs=1e-15)


def test_gini_is_half_the_mean_difference_over_the_mean(rng):
    rewards = rng.random(13)
    expected = np.abs(rewards[:, None] - rewards).mean() / 2 / rewards.mean()
    assert fairness(np.ones(13), rewards).gini == pytest.approx(expected)


def test_what_the_worst_party_got():
    assert fairness([1, 2, 3], [2, 3, 5]).worst_share == pytest.approx(0.2)
    assert fairness([1, 1, 3], [2, 4, 4]).worst_share == pytest.approx(0.3)
    assert fairness([1, 2], [-3, 5]).worst_share == 0


def test_the_equal_split_stands_beside():
    fair = fairness([0.9, 0.6, 0.3], [5, 1, 1])
    assert fair.equal.f_skill == fair.equal_f_skill == fairness([0.9, 0.6, 0.3], [1, 1, 1]).f_skill
    assert (fair.equal.gini, fair.equal.spearman, fair.equal.kendall, fair.equal.equal) == (0, None, None, None)
    assert fair.equal.worst_share == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("merit", "rewards"),
    [
        ([np.nan, 1], [1, 1]), ([1, 1], [np.inf, 1]), ([-1, 2], [1, 1]), ([0, 0], [1, 1]), ([1, 2, 3], [1, 2]),
        ([], []), ([[1, 2]], [[1, 2]]), (["a", "b"], [1, 2]),
    ],
)  # fmt: skip
def test_input_that_is_refused(merit, rewards):
    with pytest.raises(InvalidData):
        fairness(merit, rewards)


@pytest.mark.golden
@pytest.mark.parametrize("name", ["equal", "final_agreement", "entropy"])
@pytest.mark.parametrize("skew", ["a0.1", "a1000"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rewards_and_f_skill_equal_the_reference(name, skew, dtype):
    data = os.environ.get("FI_WORKBENCH_DATA")
    if not data:
        pytest.skip("FI_WORKBENCH_DATA is not set: no golden files")
    path = Path(data) / "golden" / f"fashionmnist_lenet_K5_{skew}_seed42_ep5"
    figures = json.loads(path.with_name(path.name + ".json").read_text())
    with np.load(path.with_name(path.name + ".npz")) as arrays:
        values = contributions(arrays["logits"].astype(dtype), name)
    expected = figures["rewards"][name]
    np.testing.assert_allclose(values, expected["raw"], rtol=1e-5)
    np.testing.assert_allclose(shares(values), expected["normalised"], rtol=1e-5)
    result = fairness(figures["client_acc"], values)
    assert result.f_skill == pytest.approx(expected["F_skill"], rel=1e-5)
    assert result.l1 == pytest.approx(expected["D_l1"], rel=1e-5)
    assert result.equal_f_skill == pytest.approx(figures["rewards"]["equal"]["F_skill"], rel=1e-5)
    np.testing.assert_allclose(shares(figures["client_acc"]), figures["merit"], rtol=1e-5)


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "f_skill", "spearman"),
    [("dawid_skene_skill", 0.96, 0.99), ("pairwise_information", 0.96, 0.7), ("correlated_agreement", 0.96, 0.7)],
)
def test_rewards_without_labels_follow_accuracy_better_than_an_equal_split(name, f_skill, spearman):
    data = os.environ.get("FI_WORKBENCH_DATA")
    if not data:
        pytest.skip("FI_WORKBENCH_DATA is not set: no golden files")
    path = Path(data) / "golden" / "fashionmnist_lenet_K5_a0.1_seed42_ep5"
    figures = json.loads(path.with_name(path.name + ".json").read_text())
    with np.load(path.with_name(path.name + ".npz")) as arrays:
        fair = fairness(figures["client_acc"], contributions(arrays["logits"], name))
    assert fair.f_skill >= f_skill > fair.equal.f_skill
    assert fair.spearman >= spearman - 1e-9
