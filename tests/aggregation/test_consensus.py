"""Spectral and consensus weights: by the formula, one step at a time, and where they have nothing to go by."""

import numpy as np
import pytest
from scipy.stats import entropy

from fi_workbench.aggregation.consensus import consensus_weights, spectral_weights
from fi_workbench.aggregation.offline import aggregate

RNG = np.random.default_rng(3)
P = RNG.dirichlet(np.ones(4), (5, 50))


def test_spectral_weights_by_numpys_own_covariance():
    values, vectors = np.linalg.eigh(np.cov(P.max(axis=-1)))
    leading = np.abs(vectors[:, values.argmax()])
    np.testing.assert_allclose(spectral_weights(P), leading / leading.sum())
    expected = np.average(P, axis=0, weights=leading)
    np.testing.assert_allclose(aggregate(P, "spectral", outputs="probabilities"), expected)


def test_spectral_trusts_who_moves_with_the_others():
    together = RNG.uniform(0.5, 1.0, 200)
    alone = RNG.uniform(0.5, 1.0, 200)
    confidence = np.stack([together, together, together, alone])
    weights = spectral_weights(np.stack([confidence, 1 - confidence], axis=-1))
    np.testing.assert_allclose(weights[:3], weights[0])
    assert weights[3] < weights[0] / 2


@pytest.mark.parametrize("answers", [P[:1], P[:, :1], np.tile(P[:, :1], (1, 6, 1))], ids=["K=1", "N=1", "constant"])
def test_spectral_weights_are_even_where_nothing_moves(answers):
    np.testing.assert_allclose(spectral_weights(answers), 1 / len(answers))


def test_consensus_weights_by_both_divergences():
    mean = P.mean(axis=0)
    distance = (entropy(P, mean, axis=-1) + entropy(mean, P, axis=-1)) / 2
    powers = np.exp(-5 * distance)
    np.testing.assert_allclose(consensus_weights(P, 5.0), powers / powers.sum(axis=0), rtol=1e-6)
    expected = (powers[..., None] * P).sum(axis=0) / powers.sum(axis=0)[:, None]
    np.testing.assert_allclose(aggregate(P, "js_consensus", outputs="probabilities"), expected, rtol=1e-6)


def test_hybrid_is_the_product_of_both_weights():
    weights = spectral_weights(P)[:, None] * consensus_weights(P, 2.0)
    expected = np.einsum("kn,knc->nc", weights / weights.sum(axis=0), P)
    np.testing.assert_allclose(aggregate(P, "hybrid_consensus", outputs="probabilities", beta=2.0), expected)


def test_without_beta_only_the_other_factor_is_left():
    def of(rule, **given):
        return aggregate(P, rule, outputs="probabilities", **given)

    np.testing.assert_allclose(of("js_consensus", beta=0.0), of("soft_vote"))
    np.testing.assert_allclose(of("hybrid_consensus", beta=0.0), of("spectral"))


def test_the_one_who_knows_is_silenced():
    others = np.tile([0.9, 0.05, 0.05], (4, 1, 1))
    answers = np.concatenate([others, [[[0.001, 0.001, 0.998]]]])
    assert consensus_weights(answers, 5.0)[4, 0] < 0.01


def test_where_those_near_the_mean_never_move_all_have_an_even_say():
    # the first two never move, and so have no spectral weight; the third moves, and is far from the mean of the last
    steady = np.tile([0.98, 0.01, 0.01], (2, 4, 1))
    moving = np.array([[0.34, 0.33, 0.33], [0.5, 0.3, 0.2], [0.6, 0.2, 0.2], [0.0, 0.0, 1.0]])[None]
    answers = np.concatenate([steady, steady[:1], moving])
    np.testing.assert_allclose(spectral_weights(answers), [0, 0, 0, 1], atol=1e-12)
    scores = aggregate(answers, "hybrid_consensus", outputs="probabilities", beta=50.0)
    np.testing.assert_allclose(scores[3], answers[:, 3].mean(axis=0))
    np.testing.assert_allclose(scores[:3], answers[3, :3], atol=1e-6)
