"""Robust rules: closed forms, an independent minimiser, and what liars can do to each."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import trim_mean

from fi_workbench.aggregation.offline import aggregate

RNG = np.random.default_rng(5)
P = RNG.dirichlet(np.ones(3), (7, 20))
ROBUST = ["median", "trimmed_mean", "geometric_median", "krum"]


def of(rule, answers=P, **given):
    return aggregate(answers, rule, outputs="probabilities", **given)


def scaled(rows):
    return rows / rows.sum(axis=-1, keepdims=True)


def test_median_and_trimmed_mean_by_numpy_and_scipy():
    np.testing.assert_allclose(of("median"), scaled(np.median(P, axis=0)))
    np.testing.assert_allclose(of("trimmed_mean", trim=0.3), scaled(trim_mean(P, 0.3, axis=0)))
    np.testing.assert_allclose(of("trimmed_mean", trim=0.0), P.mean(axis=0))
    np.testing.assert_allclose(of("trimmed_mean", trim=0.5), of("median"))


@pytest.mark.parametrize("n_parties", [1, 2, 3, 4])
def test_trimming_never_leaves_nobody(n_parties):
    np.testing.assert_allclose(of("trimmed_mean", P[:n_parties], trim=0.5), of("median", P[:n_parties]))


def test_geometric_median_is_the_minimum_of_the_summed_distances():
    def summed(point, query):
        return np.linalg.norm(P[:, query] - point, axis=-1).sum()

    found = of("geometric_median")
    for query in range(5):
        best = minimize(summed, P[:, query].mean(axis=0), args=(query,), method="Nelder-Mead", options={"xatol": 1e-9})
        assert summed(found[query], query) <= best.fun * (1 + 1e-3)


def test_geometric_median_of_three_agreeing_parties_stays_with_them():
    answers = np.array([[[0.8, 0.2]]] * 3 + [[[0.0, 1.0]]] * 2)
    np.testing.assert_allclose(of("geometric_median", answers), [[0.8, 0.2]], atol=1e-3)


def krum_by_loops(answers, f):
    n_parties, n_queries, _ = answers.shape
    chosen = []
    for n in range(n_queries):
        scores = []
        for k in range(n_parties):
            distances = sorted(((answers[k, n] - answers[j, n]) ** 2).sum() for j in range(n_parties) if j != k)
            scores.append(sum(distances[: n_parties - f - 2]))
        chosen.append(answers[int(np.argmin(scores)), n])
    return np.array(chosen)


@pytest.mark.parametrize("f", [0, 1, 2, 3])
def test_krum_by_loops(f):
    np.testing.assert_allclose(of("krum", n_byzantine=f), krum_by_loops(P, f))


def test_krum_takes_the_mean_of_a_tie_and_the_median_where_parties_are_too_few():
    pair = np.array([[[0.6, 0.4]], [[0.5, 0.5]], [[0.0, 1.0]]])
    np.testing.assert_allclose(of("krum", pair, n_byzantine=0), [[0.55, 0.45]])
    for n_byzantine in (1, 5):
        np.testing.assert_allclose(of("krum", pair, n_byzantine=n_byzantine), of("median", pair))


def test_krum_finds_ties_that_rounding_would_break():
    # the same three numbers in turn: every two answers are equally far apart, but their sums round differently
    for rotated in ([0.7, 0.2, 0.1], [0.63, 0.29, 0.08], [0.55, 0.34, 0.11]):
        answers = np.array([np.roll(rotated, shift) for shift in range(3)])[:, None]
        np.testing.assert_allclose(of("krum", answers, n_byzantine=0), [[1 / 3] * 3])


@pytest.mark.parametrize("rule", ROBUST)
def test_two_liars_of_seven_do_not_turn_the_answer(rule):
    honest = scaled(np.array([0.7, 0.2, 0.1]) + RNG.uniform(0, 0.05, (5, 20, 3)))
    liars = np.tile([0.0, 0.0, 1.0], (2, 20, 1))
    given = {"trim": 0.3} if rule == "trimmed_mean" else {"n_byzantine": 2} if rule == "krum" else {}
    scores = of(rule, np.concatenate([honest, liars]), **given)
    assert np.abs(scores - honest.mean(axis=0)).max() < 0.12
    assert np.abs(of("soft_vote", np.concatenate([honest, liars])) - honest.mean(axis=0)).max() > 0.2


def test_a_median_says_who_leads_however_little_is_left_of_it():
    # three parties, each sure of another class: of each class the middle value is next to nothing
    logits = np.array([[[90.0, 20.0, 0.0]], [[0.0, 30.0, 90.0]], [[0.0, 90.0, 10.0]]])
    assert aggregate(logits, "median").argmax() == 1
    np.testing.assert_allclose(aggregate(logits, "median"), [[0, 1, 0]], atol=1e-6)


def test_a_class_that_no_median_knows_leaves_an_even_answer():
    np.testing.assert_allclose(of("median", np.eye(3)[:, None]), [[1 / 3] * 3])
