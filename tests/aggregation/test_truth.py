"""Dawid-Skene against crowd-kit, and weights estimated from the pool."""

import numpy as np
import pytest

from fi_workbench.aggregation.offline import aggregate
from fi_workbench.core.crowd import dawid_skene

RNG = np.random.default_rng(11)


def crowd_of(skills, n_queries=400, n_classes=4):
    """Votes as probabilities (party, query, class) of parties that are right so often, and the truth."""
    truth = RNG.integers(0, n_classes, n_queries)
    right = RNG.random((len(skills), n_queries)) < np.array(skills)[:, None]
    wrong = (truth + RNG.integers(1, n_classes, right.shape)) % n_classes
    return np.eye(n_classes)[np.where(right, truth, wrong)], truth


@pytest.mark.filterwarnings("ignore:The (inplace|copy) keyword")  # crowd-kit's own calls of pandas
def test_dawid_skene_equals_crowd_kit():
    pandas = pytest.importorskip("pandas")
    crowdkit = pytest.importorskip("crowdkit.aggregation")
    votes, truth = crowd_of([0.9, 0.7, 0.5, 0.6])
    labels = votes.argmax(axis=-1)
    table = pandas.DataFrame(
        [(query, party, label) for party, row in enumerate(labels) for query, label in enumerate(row)],
        columns=["task", "worker", "label"],
    )
    theirs = crowdkit.DawidSkene(n_iter=200, tol=0.0).fit_predict_proba(table).sort_index()[[0, 1, 2, 3]].to_numpy()
    ours = aggregate(votes, "dawid_skene", outputs="probabilities", max_iterations=200)
    # ours smooths the rates by 1 / classes, theirs does not
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() > 0.99
    assert np.abs(ours - theirs).mean() < 0.01
    assert (ours.argmax(1) == truth).mean() >= (
        aggregate(votes, "hard_vote", outputs="probabilities").argmax(1) == truth
    ).mean()


def test_one_em_step_by_the_formula():
    labels = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1]])
    votes = np.eye(2)[labels]
    posterior = (votes.sum(axis=0) + 0.5) / 4.0
    counts = np.einsum("nt,knv->ktv", posterior, votes) + 0.5
    rates = counts / counts.sum(axis=-1, keepdims=True)
    prior = posterior.sum(axis=0) + 0.5
    joint = np.array(
        [[prior[t] * np.prod([rates[k, t, labels[k, n]] for k in range(3)]) for t in range(2)] for n in range(3)]
    )
    expected = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(aggregate(votes, "dawid_skene", outputs="probabilities", max_iterations=1), expected)


def test_rates_known_before_are_the_first_guess_and_counts_add_up():
    votes, truth = crowd_of([0.9, 0.8, 0.6], n_queries=300, n_classes=3)
    before = dawid_skene(votes.argmax(axis=-1), 3)
    labels = RNG.integers(0, 3, (3, 5))
    guess = dawid_skene(labels, 3, before=before, max_iterations=0).posterior
    joint = before.prior * np.prod([before.confusion[k][:, labels[k]].T for k in range(3)], axis=0)
    np.testing.assert_allclose(guess, joint / joint.sum(axis=1, keepdims=True))
    after = dawid_skene(labels, 3, before=before)
    np.testing.assert_allclose(after.class_counts, before.class_counts + after.posterior.sum(axis=0))
    np.testing.assert_allclose(after.counts.sum(axis=(1, 2)), 305)
    assert (before.posterior.argmax(axis=1) == truth).mean() > 0.85


def test_dawid_skene_reads_a_party_that_always_confuses_two_classes():
    votes, truth = crowd_of([0.85, 0.85, 0.85], n_classes=3)
    swapped = np.eye(3)[np.array([1, 0, 2])[truth]]
    together = np.concatenate([votes, [swapped, swapped]])
    right = {
        rule: (aggregate(together, rule, outputs="probabilities").argmax(1) == truth).mean()
        for rule in ("hard_vote", "dawid_skene")
    }
    assert right["dawid_skene"] > 0.98 > right["hard_vote"]


def test_a_class_that_nobody_reports_is_not_answered():
    votes = np.eye(3)[RNG.integers(0, 2, (3, 30))]
    assert (aggregate(votes, "dawid_skene", outputs="probabilities").argmax(axis=1) != 2).all()


def test_self_competence_without_iterations_is_the_soft_vote_and_one_goes_by_the_formula():
    p = RNG.dirichlet(np.ones(3), (4, 30))
    soft = p.mean(axis=0)
    np.testing.assert_allclose(aggregate(p, "self_competence", outputs="probabilities", n_iterations=0), soft)
    weights = (soft[None] * p).sum(axis=1) / soft.sum(axis=0)
    weights /= weights.sum(axis=0)
    pooled = (weights[:, None] * p).sum(axis=0)
    np.testing.assert_allclose(
        aggregate(p, "self_competence", outputs="probabilities", n_iterations=1),
        pooled / pooled.sum(axis=1, keepdims=True),
    )


def test_self_competence_finds_who_knows_a_class_that_most_have_never_seen():
    truth = np.repeat([0, 1], 100)
    blind = np.tile([0.9, 0.1], (200, 1))
    knows = np.where(truth[:, None] == 0, [0.9, 0.1], [0.1, 0.9])
    answers = np.stack([blind, blind, knows])
    assert (answers.mean(axis=0).argmax(axis=1) == 0).all()
    assert (aggregate(answers, "self_competence", outputs="probabilities").argmax(axis=1) == truth).all()
