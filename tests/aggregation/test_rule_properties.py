"""What rules do with answers at the ends of what numbers can hold, with parties that say the same, and with none."""

import numpy as np
import pytest
from hypothesis import given

from fi_workbench.aggregation.apply import finish
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import rules
from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer
from tests.aggregation.rule_cases import ALL, MODES, assert_scores, case, few, scored, seeds, shapes

VOTING = ("hard_vote", "dawid_skene")
"""What these return are shares of votes, or what votes make likely: not what was answered."""

REASSIGNING = ("prior_matched",)
"""What these return depends on how often each class is answered over the batch."""

SAMPLES = ("class_competence", "log_pool_competence", "coverage", "two_way_prior_corrected")
"""Rules that leave out a class of which nobody holds a sample."""


@pytest.mark.parametrize("name", [name for name in ALL if name not in VOTING + REASSIGNING])
@given(shape=shapes, seed=seeds)
@few
def test_parties_that_all_say_the_same_are_repeated(name, shape, seed):
    one, _ = case((1, *shape[1:]), seed, scale=2.0)
    even = {"class_counts": np.full((shape[0], shape[2]), 20), "data_sizes": np.full(shape[0], 100)}
    logits = np.repeat(one, shape[0], axis=0)
    for on_absence in MODES:
        np.testing.assert_allclose(scored(logits, name, on_absence=on_absence, **even), softmax(one[0]), atol=1e-7)


@pytest.mark.parametrize("name", ALL)
def test_parties_that_all_vote_the_same_are_followed(name):
    labels = np.array([2, 0, 1, 1, 2, 0])
    logits = np.repeat(3.0 * np.eye(3)[labels][None], 4, axis=0)
    even = {"class_counts": np.full((4, 3), 20), "data_sizes": np.full(4, 60)}
    np.testing.assert_array_equal(scored(logits, name, **even).argmax(axis=1), labels)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("dtype", "size"), [(np.float16, 6e4), (np.float32, 1e30), (np.float64, 1e30), (np.float64, 1e300), (np.float32, 0)]
)
def test_logits_of_any_size(name, dtype, size):
    rng = np.random.default_rng(7)
    size = size or np.finfo(dtype).smallest_subnormal
    logits = (rng.choice([-1.0, 0.0, 1.0], (4, 6, 5)) * size).astype(dtype)
    _, held = case((4, 6, 5))
    for on_absence in MODES:
        assert_scores(scored(logits, name, on_absence=on_absence, **held), 6, 5)


@pytest.mark.parametrize("name", [name for name in ALL if rules[name].uses != "raw_logits"])
def test_probabilities_that_are_barely_above_zero(name):
    p = np.full((3, 4, 5), 5e-324)
    p[:, np.arange(4), [0, 1, 2, 4]] = 1.0
    even = {"class_counts": np.full((3, 5), 20), "data_sizes": np.full(3, 100)}
    scores = scored(p, name, outputs="probabilities", **even)
    assert_scores(scores, 4, 5)
    np.testing.assert_array_equal(scores.argmax(axis=1), [0, 1, 2, 4])


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("on_absence", MODES)
def test_a_class_that_nobody_holds_is_left_out_however_sure_everybody_is_of_it(name, on_absence):
    logits = np.tile([-60.0, -40.0, 0.0], (3, 2, 1))
    held = {"class_counts": np.array([[9, 5, 0]] * 3), "data_sizes": np.full(3, 14)}
    scores = scored(logits, name, on_absence=on_absence, **held)
    assert (scores.argmax(axis=1) != 2).all()
    if name != "log_pool_competence":  # which tells nothing apart below its floor
        np.testing.assert_array_equal(scores.argmax(axis=1), 1)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_class_is_not_ruled_out_by_infinity(name, value):
    logits, held = case((2, 3, 4))
    logits[1, 2, 3] = value
    if not rules[name].asks_again:
        with pytest.raises(InvalidAnswer, match="Party 1 answered with NaN or infinite"):
            aggregate(logits, name, **held)


@pytest.mark.parametrize("name", ALL)
def test_an_empty_cohort_is_refused(name):
    with pytest.raises(DoesNotFit, match=r"none (were|was) given"):
        finish(rules[name], {}, answers=[], sums={}, parts={})
    if not rules[name].asks_again:
        with pytest.raises(InvalidAnswer, match="none of them 0"):
            aggregate(np.zeros((0, 3, 2)), name)
