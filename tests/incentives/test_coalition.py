"""Games with closed forms, the axioms, and the ensemble game against a plain loop."""

import itertools
import math

import numpy as np
import pytest

from fi_workbench.core.errors import InvalidOption
from fi_workbench.incentives.coalition import EXACT_UP_TO, sampled_shapley, shapley_of_values
from fi_workbench.incentives.ensemble import EnsembleGame
from fi_workbench.incentives.offline import contributions


class TableGame:
    """A game by a function of the set of its members; counts how often it is asked."""

    def __init__(self, n_parties, value):
        self.n_parties, self.value, self.n_evaluations = n_parties, value, 0

    def all_values(self):
        members = ([k for k in range(self.n_parties) if index >> k & 1] for index in range(1 << self.n_parties))
        return np.array([float(self.value(one)) for one in members])

    def prefix_values(self, orders):
        self.n_evaluations += orders.size
        return np.array([[self.value(order[: j + 1].tolist()) for j in range(len(order))] for order in orders], float)


def airport(costs):
    """Littlechild & Owen 1973: a runway as long as the largest member needs; each section is split by who uses it."""
    order = np.argsort(costs)
    steps = np.diff(np.sort(costs), prepend=0.0) / np.arange(len(costs), 0, -1)
    expected = np.empty(len(costs))
    expected[order] = np.cumsum(steps)
    return TableGame(len(costs), lambda members: max((costs[k] for k in members), default=0.0)), expected


def weighted_sum(weights):
    return TableGame(len(weights), lambda members: sum(weights[k] for k in members)), np.array(weights)


def majority(n_parties):
    return TableGame(n_parties, lambda members: 2 * len(members) > n_parties), np.full(n_parties, 1 / n_parties)


def unanimity(n_parties, needed):
    expected = np.where(np.isin(np.arange(n_parties), needed), 1 / len(needed), 0.0)
    return TableGame(n_parties, lambda members: set(needed) <= set(members)), expected


def gloves(n_left):
    """One right glove, n left ones; a pair is worth 1: the right one gets n / (n + 1)."""
    expected = np.array([n_left / (n_left + 1), *[1 / (n_left * (n_left + 1))] * n_left])
    return TableGame(n_left + 1, lambda members: 0 in members and len(members) > 1), expected


GAMES = [
    airport([1.0, 3.0, 2.0, 3.0]), airport([5.0]), weighted_sum([0.5, -1.0, 2.0, 0.0]), majority(5), majority(4),
    unanimity(5, [1, 3]), unanimity(3, [0]), gloves(3),
]  # fmt: skip


@pytest.mark.parametrize(("game", "expected"), GAMES)
def test_exact_values_of_textbook_games(game, expected):
    np.testing.assert_allclose(shapley_of_values(game.all_values()), expected, atol=1e-12)


@pytest.mark.parametrize(("game", "expected"), GAMES)
def test_sampled_values_come_close_within_three_standard_errors(game, expected):
    n_orders = 2000
    values = sampled_shapley(game, n_orders * game.n_parties, seed=1)
    spread = np.ptp(game.all_values())  # a marginal lies within it, so its deviation is at most half of twice that
    np.testing.assert_allclose(values, expected, atol=3 * spread / math.sqrt(n_orders))
    assert values.sum() == pytest.approx(expected.sum())


@pytest.mark.parametrize("n_parties", [1, 2, 5, 17])
@pytest.mark.parametrize("budget", [17, 100, 1003])
def test_the_budget_counts_evaluations_and_is_honoured(n_parties, budget):
    game, _ = weighted_sum([1.0] * n_parties)
    sampled_shapley(game, budget, seed=0)
    assert budget - n_parties < game.n_evaluations <= budget


def test_a_budget_below_one_order_is_refused():
    game, _ = weighted_sum([1.0] * 9)
    with pytest.raises(InvalidOption, match="at least the number of parties, 9"):
        sampled_shapley(game, 8, seed=0)


def test_orders_are_paired_with_their_reverse_and_seeded():
    class Recorder(TableGame):
        def prefix_values(self, orders):
            self.orders = orders.copy()
            return super().prefix_values(orders)

    games = [Recorder(6, len) for _ in range(3)]
    for game, seed in zip(games, (0, 0, 1), strict=True):
        sampled_shapley(game, 42, seed)
    first = games[0].orders
    assert first.shape == (7, 6)
    assert (np.sort(first, axis=1) == np.arange(6)).all()
    np.testing.assert_array_equal(first[0:6:2], first[1:6:2, ::-1])
    np.testing.assert_array_equal(first, games[1].orders)
    assert (first != games[2].orders).any()


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
