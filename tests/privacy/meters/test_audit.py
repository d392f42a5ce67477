"""Audits catch a mechanism that adds too little noise, and leave sound ones alone."""

import dataclasses
import math

import numpy as np
import pytest

from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.randomness import generator
from fi_workbench.privacy import AnswerNoise, make_mechanism
from fi_workbench.privacy.meters import audit_epsilon, audit_noise


def noise(name, **options):
    return make_mechanism(name, **options).noise[0]


def audited(one, seed=0, **more):
    return audit_noise(one, stream=Keystream.seeded(seed, "audit"), **more)


@pytest.mark.parametrize("name", ["laplace", "gaussian", "randomised_response"])
@pytest.mark.parametrize("outputs", ["probabilities", "logits"])
@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0])
def test_sound_noise_is_not_refuted(name, outputs, epsilon):
    found = audited(noise(name, epsilon=epsilon), outputs=outputs)
    assert not found.refuted
    assert found.claimed_epsilon == pytest.approx(epsilon, rel=1e-3)


@dataclasses.dataclass(frozen=True)
class TenTimesTooLittle(AnswerNoise):
    """Planted: claims what its inner noise would cost with ten times as much of it."""

    inner: AnswerNoise
    name = "ten_times_too_little"

    def events(self, occasion):
        return dataclasses.replace(self.inner, epsilon=self.inner.epsilon / 10).events(occasion)

    def perturb(self, answer, outputs, noise):
        return self.inner.perturb(answer, outputs, noise)


@pytest.mark.parametrize("name", ["laplace", "randomised_response", "gaussian"])
def test_ten_times_too_little_noise_is_caught(name):
    found = audited(TenTimesTooLittle(noise(name, epsilon=10.0)))
    assert found.claimed_epsilon == pytest.approx(1.0, rel=0.01)
    assert found.refuted
    assert found.lower_epsilon > 1.5


def test_the_bound_is_tight_where_the_best_test_is_known():
    found = audited(noise("randomised_response", epsilon=2.0), n_trials=40_000)
    assert 1.9 < found.lower_epsilon < 2.0


def test_gaussian_noise_of_a_known_epsilon_is_bounded_from_below_by_about_half():
    # N(0, 1) against N(2, 1): epsilon(1e-5) is 9.0; what 20,000 trials can show is far less, but not nothing
    rng = generator(0, "gaussian")
    found = audit_epsilon(lambda world, n: rng.normal(2.0 * world, 1.0, size=n), math.inf)
    assert 2.5 < found.lower_epsilon < 9.0


def test_delta_is_taken_into_account():
    # released in the clear one time in fifty: (0, 0.02)-private, and without delta nothing at all
    rng = generator(0, "clear")

    def draw(world, n):
        clear = rng.random(n) < 0.02
        return np.where(clear, 10.0 * (world + 1), rng.normal(size=n))

    assert not audit_epsilon(draw, 0.1, 0.02).refuted
    assert audit_epsilon(draw, 0.1, 1e-5).refuted


def test_who_claims_nothing_is_not_refuted_but_measured():
    found = audited(noise("top_k", k=1))
    assert found.claimed_epsilon == math.inf
    assert not found.refuted
    assert found.lower_epsilon == pytest.approx(found.most)
    assert found.to_dict()["claimed_epsilon"] is None


def test_identical_worlds_show_nothing():
    rng = generator(0, "same")
    found = audit_epsilon(lambda world, n: rng.normal(size=(n, 4)), 0.0)
    assert found.lower_epsilon == 0
    assert not found.refuted


def test_what_was_learnt_by_heart_does_not_count():
    # in 300 dimensions the 100 trials that choose a test are told apart perfectly by chance; the others are not
    rng = generator(0, "wide")
    assert audit_epsilon(lambda world, n: rng.normal(size=(n, 300)), 0.5, n_trials=200).lower_epsilon < 0.5


def test_a_true_claim_is_seldom_refuted():
    # randomised response at its exact epsilon, where the test is the best there is: 1 in 100 or fewer
    refuted = sum(audited(noise("randomised_response"), seed, n_trials=2000, delta=1e-9).refuted for seed in range(100))
    assert refuted <= 4


def test_what_cannot_be_audited_is_refused():
    def draw(world, n):
        return np.zeros(n)

    with pytest.raises(InvalidOption, match="100 trials"):
        audit_epsilon(draw, 1.0, n_trials=10)
    with pytest.raises(InvalidOption, match="between 0 and 1"):
        audit_epsilon(draw, 1.0, confidence=1.0)
    with pytest.raises(InvalidOption, match="between 0 and 1"):
        audit_epsilon(draw, 1.0, -0.1)
