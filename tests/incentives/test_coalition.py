"""The ensemble and log-score games against a plain loop, the axioms, and what the coalition methods return."""

import itertools
import math

import numpy as np
import pytest

from fi_workbench.core.errors import DoesNotFit, InvalidOption
from fi_workbench.incentives.apply import estimate
from fi_workbench.incentives.coalition import EXACT_UP_TO
from fi_workbench.incentives.contribution import ContributionView, contribution_methods
from fi_workbench.incentives.games import ensemble
from fi_workbench.incentives.games.ensemble import EnsembleGame
from fi_workbench.incentives.games.interaction import interactions_of
from fi_workbench.incentives.games.log_score import LogScoreGame
from fi_workbench.incentives.games.semivalues import banzhaf_of_values, shapley_of_values
from fi_workbench.incentives.offline import contributions, interactions
from tests.incentives.textbook_games import TableGame


def plain_value(p, labels, members):
    if not members:
        return 0.0
    target = p.sum(0).argmax(-1) if labels is None else labels
    return (p[list(members)].sum(0).argmax(-1) == target).mean()


def example(rng, shape, with_labels):
    """Probabilities in 1/64ths, so that sums are exact and ties do occur, and labels."""
    p = rng.multinomial(64, np.full(shape[2], 1 / shape[2]), size=shape[:2]) / 64
    return p, (rng.integers(0, shape[2], shape[1]) if with_labels else None)


@pytest.mark.parametrize("with_labels", [True, False])
@pytest.mark.parametrize("shape", [(1, 3, 2), (2, 9, 3), (5, 40, 4), (8, 600, 3), (9, 30, 2), (3, 5, 1)])
def test_values_of_all_coalitions_equal_a_plain_loop(rng, shape, with_labels):
    p, labels = example(rng, shape, with_labels)
    game = EnsembleGame(p, labels)
    table = TableGame(shape[0], lambda members: plain_value(p, labels, members))
    np.testing.assert_allclose(game.all_values(), table.all_values(), atol=1e-12)
    orders = np.array([rng.permutation(shape[0]) for _ in range(7)])
    np.testing.assert_allclose(game.prefix_values(orders), table.prefix_values(orders), atol=1e-12)
    members = rng.random((9, shape[0])) < 0.5
    members[0] = False
    np.testing.assert_allclose(game.values_of(members), table.values_of(members), atol=1e-12)
    everyone, without = game.values_without()
    parties = range(shape[0])
    assert everyone == pytest.approx(plain_value(p, labels, parties))
    np.testing.assert_allclose(without, [plain_value(p, labels, [j for j in parties if j != k]) for k in parties])


@pytest.mark.parametrize("n_parties", [64, 65, 300])
def test_many_parties_do_not_overflow(rng, n_parties):
    p, labels = example(rng, (n_parties, 5, 3), True)
    orders = np.array([rng.permutation(n_parties) for _ in range(2)])
    table = TableGame(n_parties, lambda members: plain_value(p, labels, members))
    np.testing.assert_allclose(EnsembleGame(p, labels).prefix_values(orders), table.prefix_values(orders))
    certain = np.zeros((n_parties, 2, 3))
    certain[:, :, 1] = 1.0
    assert EnsembleGame(certain, np.array([1, 0])).values_without()[0] == 0.5


def test_many_parties_do_not_blur_small_leads():
    p = np.full((65, 1, 2), 0.5)
    p[0] += [[-4e-8, 4e-8]]
    assert EnsembleGame(p, np.array([1])).values_without()[0] == 1.0


def test_a_tie_for_the_label_of_all_does_not_depend_on_the_parties_order():
    # 0.1 + 0.2 + 0.3 is more than 0.3 + 0.2 + 0.1 in floats
    p = np.array([[[one, two, *[(1 - one - two) / 4] * 4]] for one, two in ((0.1, 0.3), (0.2, 0.2), (0.3, 0.1))])
    np.testing.assert_allclose(LogScoreGame(p).on_target[:, 0], [0.1, 0.2, 0.3])
    np.testing.assert_allclose(LogScoreGame(p[::-1]).on_target[:, 0], [0.3, 0.2, 0.1])


def plain_log_score(p, labels, members):
    if not members:
        return 0.0
    target = p.sum(0).argmax(-1) if labels is None else labels
    mean = p[list(members)].mean(0)[np.arange(len(target)), target]
    return np.log(np.maximum(mean, 1e-12)).mean() + math.log(p.shape[2])


@pytest.mark.parametrize("with_labels", [True, False])
@pytest.mark.parametrize("shape", [(1, 3, 2), (2, 17, 3), (6, 40, 4), (8, 600, 3), (3, 5, 1)])
def test_log_scores_of_all_coalitions_equal_a_plain_loop(rng, shape, with_labels):
    p, labels = example(rng, shape, with_labels)
    p = np.where(p == 0, 0.01, p)
    p /= p.sum(-1, keepdims=True)
    game = LogScoreGame(p, labels)
    table = TableGame(shape[0], lambda members: plain_log_score(p, labels, members))
    np.testing.assert_allclose(game.all_values(), table.all_values(), atol=1e-10)
    orders = np.array([rng.permutation(shape[0]) for _ in range(70)])
    np.testing.assert_allclose(game.prefix_values(orders), table.prefix_values(orders), atol=1e-10)
    members = rng.random((1030, shape[0])) < 0.5
    members[0] = False
    np.testing.assert_allclose(game.values_of(members), table.values_of(members), atol=1e-10)
    everyone, without = game.values_without()
    parties = range(shape[0])
    assert everyone == pytest.approx(plain_log_score(p, labels, parties))
    others = [[j for j in parties if j != k] for k in parties]
    np.testing.assert_allclose(without, [plain_log_score(p, labels, one) for one in others], atol=1e-10)


def test_certain_errors_have_a_finite_log_score_and_the_uniform_answer_is_worth_nothing():
    p = np.zeros((20, 40, 2))
    p[..., 0] = 1.0
    labels = np.ones(40, dtype=int)
    assert LogScoreGame(p, labels).values_without()[0] == pytest.approx(math.log(2e-12))
    assert contributions(p[:3], "shapley", labels, outputs="probabilities", value="log_score").sum() < -20
    uniform = np.full((4, 10, 5), 0.2)
    np.testing.assert_allclose(
        contributions(uniform, "banzhaf", outputs="probabilities", value="log_score"), 0, atol=1e-12
    )


def test_what_a_coalition_is_worth_can_be_chosen(rng):
    p, labels = example(rng, (4, 50, 3), True)
    by = {}
    for value in ("auto", "accuracy", "agreement", "log_score"):
        by[value] = contributions(p, "shapley", labels, outputs="probabilities", value=value)
    np.testing.assert_array_equal(by["auto"], by["accuracy"])
    np.testing.assert_array_equal(by["agreement"], contributions(p, "shapley", outputs="probabilities"))
    assert len({tuple(values) for values in by.values()}) == 3
    for method in ("shapley", "banzhaf", "leave_one_out"):
        with pytest.raises(DoesNotFit, match="needs true labels"):
            contributions(p, method, value="accuracy")


def test_threads_count_what_one_thread_counts(rng, monkeypatch):
    p, labels = example(rng, (9, 3000, 4), True)
    expected = EnsembleGame(p, labels).all_values()
    monkeypatch.setattr(ensemble, "THREADED_FROM", 0)
    monkeypatch.setattr(ensemble, "N_THREADS", 2)
    np.testing.assert_array_equal(EnsembleGame(p, labels).all_values(), expected)


def test_one_view_is_valued_once(rng, monkeypatch):
    p, labels = example(rng, (5, 30, 3), True)
    calls = []
    original = EnsembleGame.all_values
    monkeypatch.setattr(EnsembleGame, "all_values", lambda game: calls.append(game) or original(game))
    view = ContributionView(5, p, labels=labels)
    found = [estimate(contribution_methods[name], view) for name in ("shapley", "banzhaf", "shapley")]
    pairs = interactions_of(view)
    assert len(calls) == 1
    coalitions = original(EnsembleGame(p, labels))
    np.testing.assert_array_equal(found[0].values, shapley_of_values(coalitions))
    np.testing.assert_array_equal(found[1].values, banzhaf_of_values(coalitions))
    assert {one.n_evaluations for one in (*found, pairs)} == {32}
    assert all(one.exact and one.standard_errors is None for one in found)


def test_estimates_of_sampled_values_say_so(rng):
    p, labels = example(rng, (EXACT_UP_TO + 1, 20, 3), True)
    view = ContributionView(len(p), p, labels=labels)
    for name in ("shapley", "banzhaf"):
        found = estimate(contribution_methods[name], view, {"budget": 500})
        assert not found.exact
        assert 500 - 2 * len(p) < found.n_evaluations <= 500
        assert (found.standard_errors > 0).all()
        stopped = estimate(contribution_methods[name], view, {"budget": 100_000, "precision": 0.02})
        assert stopped.n_evaluations < 100_000
        assert stopped.standard_errors.max() <= 0.02


def test_redundant_and_complementary_parties(rng):
    one_hot = np.eye(2)
    labels = np.array([0, 1, 0, 1])
    twins = np.array([one_hot[[0, 1, 0, 1]], one_hot[[0, 1, 0, 1]]])
    assert interactions(np.log(twins + 1e-9), labels).pairs[0, 1] == -1
    # each is right on its half, and unsure enough of the other to be outvoted there
    halves = np.array([[[0.9, 0.1], [0.6, 0.4], [0.9, 0.1], [0.6, 0.4]], [[0.4, 0.6], [0.1, 0.9]] * 2])
    assert interactions(halves, labels, outputs="probabilities").pairs[0, 1] == 0  # 1 - 1/2 - 1/2
    third = np.concatenate([halves, halves[:1]])
    pairs = interactions(third, labels, outputs="probabilities").pairs
    assert pairs[0, 2] < 0
    np.testing.assert_array_equal(pairs, pairs.T)
    np.testing.assert_array_equal(np.diag(pairs), 0)
    assert interactions(halves[:1], labels, outputs="probabilities").pairs.tolist() == [[0]]
    with pytest.raises(InvalidOption, match="no_such"):
        interactions(halves, labels, no_such=1)


def test_sampled_interactions_agree_with_exact(rng):
    p, labels = example(rng, (7, 60, 4), True)
    exact = interactions(p, labels, outputs="probabilities")
    found = interactions(p, labels, outputs="probabilities", exact_up_to=1, budget=60_000)
    assert (exact.n_evaluations, exact.standard_errors) == (128, None)
    off = ~np.eye(7, dtype=bool)
    assert (np.abs(found.pairs - exact.pairs)[off] < 4.5 * found.standard_errors[off]).all()
    assert found.standard_errors[off].max() < 0.1 * np.abs(exact.pairs).max()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("with_labels", [True, False])
def test_shapiq_finds_the_same(rng, with_labels):
    shapiq = pytest.importorskip("shapiq")
    p, labels = example(rng, (7, 80, 4), with_labels)

    def value(coalitions):
        return np.array([plain_value(p, labels, np.flatnonzero(one).tolist()) for one in coalitions])

    oracle = shapiq.ExactComputer(game=value, n_players=7)
    view = ContributionView(7, p, labels=labels)
    for name, index in (("shapley", "SV"), ("banzhaf", "BV")):
        expected = oracle(index, order=1).get_n_order_values(1)
        np.testing.assert_allclose(estimate(contribution_methods[name], view).values, expected, atol=1e-10)
    expected = oracle("SII", order=2).get_n_order_values(2)
    np.testing.assert_allclose(interactions_of(view).pairs, expected, atol=1e-10)


def test_shapley_by_the_definition(rng):
    p, labels = example(rng, (4, 30, 3), True)
    expected = np.zeros(4)
    for order in itertools.permutations(range(4)):
        for j, k in enumerate(order):
            expected[k] += plain_value(p, labels, order[: j + 1]) - plain_value(p, labels, order[:j])
    values = contributions(p, "shapley", labels, outputs="probabilities")
    np.testing.assert_allclose(values, expected / 24, atol=1e-12)


@pytest.mark.parametrize("with_labels", [True, False])
@pytest.mark.parametrize("n_parties", [1, 2, 6, EXACT_UP_TO + 2])
def test_efficiency_symmetry_and_nobody(rng, n_parties, with_labels):
    p, labels = example(rng, (n_parties, 50, 3), with_labels)
    values = contributions(p, "shapley", labels, outputs="probabilities")
    assert values.sum() == pytest.approx(plain_value(p, labels, range(n_parties)))
    if n_parties == 6:
        p[4] = p[2]
        p[5] = 1 / 3  # the uniform party never moves a label
        values = contributions(p, "shapley", labels, outputs="probabilities")
        assert values[4] == pytest.approx(values[2], abs=1e-15)
        game = EnsembleGame(p, labels).all_values()
        gains = game[1 << 5 :] - game[: 1 << 5]
        # but alone it still answers: the first class
        np.testing.assert_array_equal(gains[1:], 0)
        assert values[5] == pytest.approx(game[1 << 5] / 6)


def test_sampled_agrees_with_exact_on_the_ensemble_game(rng):
    p, labels = example(rng, (8, 60, 4), True)
    exact = contributions(p, "shapley", labels, outputs="probabilities")
    errors = [
        np.abs(
            contributions(p, "shapley", labels, outputs="probabilities", exact_up_to=1, budget=8 * n_orders, seed=3)
            - exact
        ).max()
        for n_orders in (20, 5000)
    ]
    # a marginal deviates by about 0.1 here; five standard errors of 5,000 orders
    assert errors[1] < 5 * 0.1 / math.sqrt(5000)
    assert errors[1] < errors[0] < 0.2


def test_leave_one_out_known_answers():
    one_hot = np.eye(2)
    # two right, one wrong: nobody but the wrong one changes anything when two certain parties remain and disagree
    p = one_hot[[[0, 1], [0, 1], [1, 1]]]
    labels = np.array([0, 1])
    np.testing.assert_allclose(contributions(p, "leave_one_out", labels, outputs="probabilities"), [0, 0, 0])
    # the only one who knows class 1 carries it; the others are unsure of it
    p = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.9, 0.1], [0.6, 0.4]], [[0.5, 0.5], [0.0, 1.0]]])
    np.testing.assert_allclose(contributions(p, "leave_one_out", labels, outputs="probabilities"), [0, 0, 0.5])
    # one who misleads is worth less than nothing
    p = np.array([[[0.6, 0.4]], [[0.6, 0.4]], [[0.0, 1.0]]])
    np.testing.assert_allclose(contributions(p, "leave_one_out", [0], outputs="probabilities"), [0, 0, -1])
    # alone, a party is worth what it gets right
    np.testing.assert_allclose(contributions(p[:1], "leave_one_out", [0], outputs="probabilities"), [1])
