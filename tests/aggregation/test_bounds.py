"""Bounds look at the labels; they are no rules."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from fi_workbench.aggregation.bounds import bound, bounds, label_bound
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import rules
from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import DuplicateName, InvalidAnswer, InvalidQuery, UnknownName

# party 0 is right on queries 0 and 1, party 1 on query 1; on query 2 both are wrong, in different ways
ANSWERS = np.array([
    [[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4]],
    [[0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4]],
])  # fmt: skip
LABELS = [0, 1, 2]


def test_the_oracle_is_the_truth_where_anybody_is_right_and_the_soft_vote_elsewhere():
    scores = bound(ANSWERS, LABELS, outputs="probabilities")
    np.testing.assert_allclose(scores, [[1, 0, 0], [0, 1, 0], [0.3, 0.3, 0.4]])


def test_best_party_answers_as_the_one_that_is_right_most_often_and_ties_go_to_the_first():
    np.testing.assert_allclose(bound(ANSWERS, LABELS, "best_party", outputs="probabilities"), ANSWERS[0])
    np.testing.assert_allclose(bound(ANSWERS, [1, 1, 2], "best_party", outputs="probabilities"), ANSWERS[1])
    np.testing.assert_allclose(bound(ANSWERS[:, 1:], [1, 2], "best_party", outputs="probabilities"), ANSWERS[0, 1:])


@pytest.mark.parametrize("name", sorted(bounds))
@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 5, 3), (4, 6, 3), (2, 3, 1), (3, 2, 40)])
def test_every_bound_gives_distributions_and_says_what_it_is(name, shape):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, shape)
    before = logits.copy()
    scores = bound(logits, rng.integers(0, shape[2], shape[1]), name)
    assert scores.shape == shape[1:]
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    np.testing.assert_array_equal(logits, before)
    member = bounds[name]
    assert member.title
    assert member.explanation
    assert member.formula
    assert member.source


def test_nothing_that_chooses_or_averages_is_above_the_oracle():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 2, (5, 500, 4)), rng.integers(0, 4, 500)
    right = {name: (bound(logits, labels, name).argmax(1) == labels).mean() for name in bounds}
    own = (logits.argmax(-1) == labels).mean(axis=1)
    assert right["best_party"] == own.max()
    assert right["oracle"] >= max(own.max(), (aggregate(logits, "soft_vote").argmax(1) == labels).mean())


def test_a_bound_is_no_rule():
    assert not set(bounds) & set(rules)
    with pytest.raises(UnknownName):
        rules["oracle"]


def test_bad_input_is_refused():
    for answers in (ANSWERS[0], ANSWERS[:0], np.full_like(ANSWERS, np.nan), [[[1.0, 0.0]], [[1.0]]]):
        with pytest.raises(InvalidAnswer):
            bound(answers, LABELS)
    with pytest.raises(InvalidAnswer, match="sum to one"):
        bound(ANSWERS * 2, LABELS, outputs="probabilities")
    for labels in ([0, 1], [0, 1, 3], [0, 1, -1], [0.0, 1.0, 2.0]):
        with pytest.raises(InvalidQuery):
            bound(ANSWERS, labels)
    with pytest.raises(UnknownName, match="oracle"):
        bound(ANSWERS, LABELS, "oracel")


def test_torch_and_lists_will_do_and_logits_are_the_default():
    expected = softmax(np.log(ANSWERS))[0]
    np.testing.assert_allclose(bound(torch.log(torch.tensor(ANSWERS)), LABELS, "best_party"), expected)
    np.testing.assert_allclose(bound(np.log(ANSWERS).tolist(), LABELS, "best_party"), expected)


def test_an_author_may_add_a_bound_of_another_name():
    @label_bound(formula="p_0", source="here")
    def first_party(answers, labels):
        """The first party's answers."""
        return answers[0]

    try:
        np.testing.assert_allclose(bound(ANSWERS, LABELS, "first_party", outputs="probabilities"), ANSWERS[0])
        with pytest.raises(DuplicateName):
            label_bound(formula="", source="")(first_party)
    finally:
        bounds.remove("first_party")


@pytest.mark.golden
@pytest.mark.parametrize("alpha", ["0.1", "1000"])
def test_the_references_oracle_and_best_client(alpha):
    data = os.environ.get("FI_WORKBENCH_DATA")
    if not data:
        pytest.skip("FI_WORKBENCH_DATA is not set: no golden files")
    path = Path(data) / "golden" / f"fashionmnist_lenet_K5_a{alpha}_seed42_ep5.npz"
    figures = json.loads(path.with_suffix(".json").read_text())
    with np.load(path) as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    certain = bound(logits, labels).max(axis=1) == 1
    assert 100 * certain.mean() == pytest.approx(figures["oracle"], abs=1e-3)
    best = bound(logits, labels, "best_party").argmax(axis=1) == labels
    assert 100 * best.mean() == pytest.approx(figures["client_acc_max"], abs=1e-3)
