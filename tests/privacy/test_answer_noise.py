"""Noise on answers: its size, its law, what it states of itself, and what a round sees of it."""

import math

import numpy as np
import pytest
from scipy import stats

from fi_workbench.core.arrays import check_answer, softmax
from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.keystream import Keystream
from fi_workbench.privacy import AnswerNoise, make_mechanism, mechanisms
from fi_workbench.privacy.answer_noise import (
    GRID,
    GaussianAnswers,
    LaplaceAnswers,
    RandomisedResponse,
    _on_grid,
    gaussian_multiplier,
    simplex_projection,
)
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.event import UNPROTECTED, Event
from tests.harness import Table, linear_party, queries

NOISES = [name for name, kind in mechanisms.items() if issubclass(kind, AnswerNoise)]
GUARANTEED = ["laplace", "gaussian", "randomised_response"]
ASKED = Occasion("answer", "soft_vote", {}, 5, 7, 10)


def stream(*labels):
    return Keystream.seeded(11, *labels)


def answers(outputs, n_queries=40, n_classes=10, dtype=np.float32):
    logits = np.random.default_rng(3).normal(size=(n_queries, n_classes), scale=3)
    return (logits if outputs == "logits" else softmax(logits)).astype(dtype)


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_an_answer_stays_an_answer_of_its_kind(name, outputs):
    for given in (answers(outputs), answers(outputs)[:1], answers(outputs, n_classes=2), answers(outputs, 3, 1)):
        before = given.copy()
        noisy = make_mechanism(name).perturb(given, outputs, stream)
        check_answer(noisy, outputs, *given.shape, "the party")
        assert noisy.dtype == given.dtype
        np.testing.assert_array_equal(given, before)
        if outputs == "logits":
            assert np.abs(noisy).max() < 50, "a logit that no rule can mistake for certainty"


@pytest.mark.parametrize("name", NOISES)
def test_each_says_what_it_promises(name):
    kind = mechanisms[name]
    made = kind()
    assert kind.explanation
    assert kind.source
    (text,) = made.assumptions
    if name in GUARANTEED:
        assert "differentially private" in text
        assert "replaced by any other" in text
        assert made.reproducible is False
        ((event, n_times),) = made.events(ASKED).items()
        assert n_times == 7
        assert event.relation == "replace"
    else:
        assert "no guarantee" in text
        assert made.events(ASKED) is None


@pytest.mark.parametrize("name", GUARANTEED)
def test_a_reproducible_stack_has_no_guarantee_and_repeats(name):
    fresh, fixed = make_mechanism(name), make_mechanism(name, reproducible=True)
    assert fixed.events(ASKED) == {UNPROTECTED: 7}
    assert UNPROTECTED not in fresh.events(ASKED)
    assert "protects nobody" in fixed.noise[0].assumptions[0]
    assert not fresh.reproducible
    given = answers("logits")
    np.testing.assert_array_equal(*(fixed.perturb(given, "logits", stream) for _ in range(2)))


def test_two_answers_on_the_grid_differ_by_no_more_than_is_said():
    rng = np.random.default_rng(0)
    for n_classes in (2, 3, 1000):
        drawn, sure = rng.dirichlet(np.full(n_classes, 0.05), 200), np.eye(n_classes)[:3]
        rows = np.concatenate([drawn, sure, np.full((1, n_classes), 1 / n_classes)])
        grid = _on_grid(rows, "probabilities")
        assert grid.min() >= 0
        assert grid.sum(axis=1).max() <= GRID
        apart = grid[:, None, :100] - grid[None, :, :100]
        assert np.abs(apart).sum(axis=-1).max() <= 2 * GRID
        assert (apart.astype(float) ** 2).sum(axis=-1).max() <= 2 * float(GRID) ** 2


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 20.0])
def test_laplace_noise_has_its_scale(epsilon, monkeypatch):
    seen = _noisy_grids(monkeypatch)
    given = np.tile([0.5, 0.3, 0.2], (20_000, 1))
    made = LaplaceAnswers(epsilon)
    made.perturb(given, "probabilities", stream(epsilon))
    noise = (seen[0] / GRID - given).ravel()
    assert stats.kstest(noise, stats.laplace(scale=2 / epsilon).cdf).pvalue > 1e-3
    assert made.events(ASKED) == {Event("laplace", 1 / epsilon): 7}


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 1e-5), (8.0, 1e-9)])
def test_gaussian_noise_has_its_deviation(epsilon, delta, monkeypatch):
    seen = _noisy_grids(monkeypatch)
    given = np.tile([0.5, 0.3, 0.2], (20_000, 1))
    made = GaussianAnswers(epsilon, delta)
    made.perturb(given, "probabilities", stream(epsilon))
    noise = (seen[0] / GRID - given).ravel()
    stddev = math.sqrt(2) * gaussian_multiplier(epsilon, delta)
    assert stats.kstest(noise, stats.norm(scale=stddev).cdf).pvalue > 1e-3
    assert made.events(ASKED) == {Event("gaussian", made.multiplier): 7}


def _noisy_grids(monkeypatch):
    """What is projected onto the simplex, as it goes by."""
    seen = []

    def spy(noisy, like, outputs):
        seen.append(noisy)
        return like

    monkeypatch.setattr("fi_workbench.privacy.answer_noise._off_grid", spy)
    return seen


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-5, 0.1])
def test_the_calibration_is_that_of_dp_accounting(epsilon, delta):
    from dp_accounting import get_sigma_gaussian

    ours, theirs = gaussian_multiplier(epsilon, delta), get_sigma_gaussian(epsilon, delta)
    assert ours == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(("epsilon", "n_classes"), [(0.5, 2), (1.0, 10), (5.0, 4)])
def test_labels_are_kept_as_often_as_said(epsilon, n_classes):
    n = 40_000
    made = RandomisedResponse(epsilon)
    given = np.tile(np.eye(n_classes)[1], (n, 1))
    labels = made.perturb(given, "probabilities", stream(epsilon)).argmax(axis=1)
    kept = math.exp(epsilon) / (math.exp(epsilon) + n_classes - 1)
    odds = np.full(n_classes, (1 - kept) / (n_classes - 1))
    odds[1] = kept
    assert stats.chisquare(np.bincount(labels, minlength=n_classes), n * odds).pvalue > 1e-3
    occasion = Occasion("answer", "soft_vote", {}, 5, 3, n_classes)
    ((event, n_times),) = made.events(occasion).items()
    assert n_times == 3
    assert event.n_classes == n_classes
    # dp_accounting's form: a uniform label with this probability, else the party's own
    assert 1 - event.multiplier + event.multiplier / n_classes == pytest.approx(kept)


def test_a_randomised_label_says_nothing_of_the_rest():
    given = answers("logits")
    noisy = make_mechanism("randomised_response", epsilon=2.0).perturb(given, "logits", stream)
    assert {len(np.unique(row)) for row in noisy} == {2}
    np.testing.assert_allclose(softmax(noisy).max(axis=1), 1.0, atol=1e-4)


def test_projection_is_the_nearest_distribution():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(30, 5), scale=2)
    nearest = simplex_projection(rows)
    assert nearest.min() >= 0
    np.testing.assert_allclose(nearest.sum(axis=1), 1, atol=1e-12)
    others = rng.dirichlet(np.full(5, 0.4), 4000)
    gaps = ((rows[:, None] - others[None]) ** 2).sum(-1).min(axis=1) - ((rows - nearest) ** 2).sum(-1)
    assert (gaps > -1e-9).all()
    already = rng.dirichlet(np.ones(5), 20)
    np.testing.assert_allclose(simplex_projection(already), already, atol=1e-12)


@pytest.mark.parametrize("name", ["laplace", "gaussian", "randomised_response"])
def test_options_out_of_range_are_refused(name):
    for wrong in (0.0, 101.0, math.nan, "1"):
        with pytest.raises(InvalidOption, match="epsilon"):
            make_mechanism(name, epsilon=wrong)


@pytest.mark.parametrize("name", GUARANTEED)
def test_a_round_sees_only_the_noisy_answer(name):
    made = Table([linear_party(party) for party in ("Ada", "Bo", "Cy")])
    try:
        settings = made.settings([{"name": name, "epsilon": 0.5}, "plain"])
        _, first, _ = made.run(queries(60), settings)
        _, second, scores = made.run(queries(60), settings)
        assert first.present == second.present == ("Ada", "Bo", "Cy")
        clean = made.sides["Ada"].party.predict(queries(60))
        assert not np.allclose(softmax(first.answers[0]), softmax(clean), atol=1e-3)
        assert (first.answers[0] != second.answers[0]).any(), "noise is fresh in every round"
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    finally:
        made.close()
