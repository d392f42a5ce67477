"""Figures of separation against closed forms, and their intervals."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from fi_workbench.core.randomness import generator
from fi_workbench.privacy.meters import separation
from fi_workbench.privacy.meters.intervals import bootstrap, clopper_pearson, difference


def figures(members, non_members, seed=0):
    return {one.figure: one for one in separation(members, non_members, seed).readings}


def normals(n_members, n_non_members, shift, seed=0):
    rng = generator(seed, "normals")
    return rng.normal(shift, 1, n_members), rng.normal(size=n_non_members)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_shifted_normals_have_closed_forms(shift):
    found = figures(*normals(6_000, 9_000, shift))
    assert found["AUC"].value == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=0.01)
    assert found["TPR at 1 % FPR"].value == pytest.approx(norm.sf(norm.isf(0.01) - shift), abs=0.02)
    assert found["TPR at 0.1 % FPR"].value == pytest.approx(norm.sf(norm.isf(0.001) - shift), abs=0.04)
    assert found["advantage"].value == pytest.approx(2 * norm.cdf(shift / 2) - 1, abs=0.02)
    assert found["AUC"].low < found["AUC"].value < found["AUC"].high


def test_the_area_is_the_share_of_pairs_ties_by_half():
    rng = generator(3, "ties")
    members, non_members = rng.integers(1, 6, 70) / 5, rng.integers(0, 5, 90) / 5
    labels = np.repeat([1, 0], [70, 90])
    assert figures(members, non_members)["AUC"].value == pytest.approx(
        roc_auc_score(labels, np.concatenate([members, non_members]))
    )


def test_constants_are_chance_and_exactly_so():
    found = figures(np.full(50, 0.7), np.full(60, 0.7))
    assert (found["AUC"].low, found["AUC"].value, found["AUC"].high) == (0.5, 0.5, 0.5)
    assert found["TPR at 1 % FPR"].value == 0  # no threshold flags some of them only
    assert found["TPR at 1 % FPR"].high == pytest.approx(0.0711, abs=1e-4)  # none of 50
    assert found["advantage"].value == 0
    assert found["advantage"].low < 0 < found["advantage"].high


def test_what_is_told_apart_wholly_is_not_taken_for_certain():
    found = figures(np.arange(40) + 100.0, np.arange(30))
    assert found["AUC"].value == found["TPR at 0.1 % FPR"].value == found["advantage"].value == 1
    assert 0.85 < found["TPR at 0.1 % FPR"].low < 0.95  # all of 40: at least 91 %
    assert 0.7 < found["advantage"].low < 0.95


def test_no_advantage_is_seen_where_there_is_none():
    # a threshold chosen and judged on the same 60 samples would show an advantage of about 0.2
    values = [figures(*normals(30, 30, 0.0, seed), seed)["advantage"].value for seed in range(100)]
    assert abs(np.mean(values)) < 0.06


def test_intervals_cover_about_as_often_as_they_say():
    covered = sum(
        found.low <= 0.5 <= found.high
        for found in (figures(*normals(80, 60, 0.0, seed), seed)["AUC"] for seed in range(100))
    )
    assert covered >= 86  # of 95 expected: fewer happens once in 1,000


def test_low_rates_say_how_many_non_members_resolve_them():
    few, many = figures(*normals(50, 200, 1.0)), figures(*normals(50, 1000, 1.0))
    assert "1000 would resolve 0.1 %" in few["TPR at 0.1 % FPR"].note
    assert many["TPR at 0.1 % FPR"].note == "1000 non-members: 1 false alarm allowed"
    assert few["TPR at 1 % FPR"].note == "200 non-members: 2 false alarms allowed"


def test_one_false_alarm_in_a_thousand_is_one_in_a_thousand():
    non_members = np.arange(1000.0)
    assert figures(np.full(10, 998.5), non_members)["TPR at 0.1 % FPR"].value == 1
    assert figures(np.full(10, 997.5), non_members)["TPR at 0.1 % FPR"].value == 0


def test_equal_seeds_give_equal_figures():
    one, two, other = (separation(*normals(30, 30, 0.5), seed).readings for seed in (1, 1, 2))
    assert one == two != other


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (3, 20), (20, 20), (50, 1000)])
@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_exact_intervals_are_those_of_scipy(hits, n, confidence):
    expected = binomtest(hits, n).proportion_ci(confidence, "exact")
    assert clopper_pearson(hits, n, confidence) == pytest.approx((expected.low, expected.high))


def test_differences_of_proportions_are_newcombes():
    # Newcombe, Statistics in Medicine 17, 1998, table II, method 10: contrasts (a) and (g)
    assert difference((56, 48), (70, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference((0, 0), (10, 10)) == pytest.approx((-0.2775, 0.2775), abs=5e-4)


def test_a_bootstrap_finds_the_error_of_a_mean():
    sample = generator(0, "sample").normal(size=400)
    low, high = bootstrap(lambda rows: float(sample[rows].mean()), 400, seed=1, n_resamples=1000)
    assert (high - low) / 2 == pytest.approx(1.96 * sample.std() / 20, rel=0.1)
