"""Exact and sampled Shapley values, Banzhaf values and interactions of games with closed forms."""

import numpy as np
import pytest

from fi_workbench.core.errors import InvalidData, InvalidOption
from fi_workbench.incentives.games.sampling import FIRST, sampled_banzhaf, sampled_interactions, sampled_shapley
from fi_workbench.incentives.games.semivalues import banzhaf_of_values, interactions_of_values, shapley_of_values
from tests.incentives.textbook_games import GAMES, TableGame, airport, weighted_sum


@pytest.mark.parametrize("known", GAMES)
def test_exact_values_of_textbook_games(known):
    values = known.game.all_values()
    np.testing.assert_allclose(shapley_of_values(values), known.shapley, atol=1e-12)
    np.testing.assert_allclose(banzhaf_of_values(values), known.banzhaf, atol=1e-12)
    np.testing.assert_allclose(interactions_of_values(values), known.pairs, atol=1e-12)


@pytest.mark.parametrize("bad", [np.zeros(1), np.zeros(3), np.zeros(0), np.zeros((2, 2))])
def test_values_that_are_no_game(bad):
    for function in (shapley_of_values, banzhaf_of_values, interactions_of_values):
        with pytest.raises(InvalidData, match="2\\^K"):
            function(bad)


@pytest.mark.parametrize("known", GAMES)
@pytest.mark.parametrize(
    ("sample", "budget", "figure"),
    [(sampled_shapley, 4000, "shapley"), (sampled_banzhaf, 4000, "banzhaf"), (sampled_interactions, 9000, "pairs")],
)
def test_sampled_values_lie_within_their_standard_errors(known, sample, budget, figure):
    if known.game.n_parties == 1 and figure == "pairs":  # which one party has none of: never sampled
        return
    found, expected = sample(known.game, budget, seed=1), np.array(getattr(known, figure))
    # four standard errors; where all samples agree, rounding
    assert (np.abs(found.values - expected) <= 4 * found.standard_errors + 1e-12).all()
    assert found.standard_errors.max() < 0.15
    if figure == "shapley":
        assert found.values.sum() == pytest.approx(np.sum(expected))


def test_the_standard_error_of_two_samples_is_half_their_difference():
    first, both = (sampled_banzhaf(airport([1, 2, 4]).game, budget, seed=2) for budget in (2, 4))
    second = 2 * both.values - first.values
    assert (first.values != second).any()
    np.testing.assert_allclose(both.standard_errors, np.abs(first.values - second) / 2)


def test_standard_errors_are_of_the_right_size():
    game = airport([1.0, 3.0, 2.0, 3.0]).game
    for sample, price in ((sampled_shapley, 8), (sampled_banzhaf, 2), (sampled_interactions, 14)):
        runs = [sample(game, 40 * price, seed=seed) for seed in range(150)]
        spread = np.std([run.values for run in runs], axis=0)
        said = np.sqrt(np.mean([run.standard_errors**2 for run in runs], axis=0))
        np.testing.assert_allclose(said, spread, rtol=0.25, atol=1e-12)


PRICES = [(sampled_shapley, lambda k: 2 * k), (sampled_banzhaf, lambda k: 2),
          (sampled_interactions, lambda k: (k if k % 2 else k // 2) * (2 * k - 1))]  # fmt: skip


@pytest.mark.parametrize("n_parties", [2, 5, 6, 17])
@pytest.mark.parametrize("budget", [600, 1003])
@pytest.mark.parametrize(("sample", "price"), PRICES)
def test_the_budget_counts_evaluations_and_is_honoured(sample, price, n_parties, budget):
    game = weighted_sum([1.0] * n_parties).game
    found = sample(game, budget, seed=0)
    assert budget - price(n_parties) < game.n_evaluations <= budget
    assert found.n_evaluations == game.n_evaluations


@pytest.mark.parametrize(("sample", "price"), PRICES)
def test_sampling_stops_at_the_precision(sample, price):
    game = airport([1.0, 3.0, 2.0, 3.0, 0.5]).game
    full = sample(game, 30_000, seed=2)
    precision = 2 * full.standard_errors.max()
    game.n_evaluations = 0
    found = sample(game, 30_000, seed=2, precision=precision)
    assert found.standard_errors.max() <= precision
    # a quarter of the samples halves the error, give or take the last step
    assert 0.15 * full.n_evaluations < found.n_evaluations < 0.5 * full.n_evaluations
    assert game.n_evaluations == found.n_evaluations
    certain = sample(weighted_sum([1.0] * 5).game, 30_000, seed=0, precision=1e-9)
    if sample is not sampled_banzhaf:  # whose samples depend on the others' weights
        assert certain.n_evaluations == FIRST * price(5)


@pytest.mark.parametrize("sample", [sampled_shapley, sampled_banzhaf, sampled_interactions])
def test_looking_after_each_step_whether_to_stop_changes_no_figure(sample):
    game = airport([1.0, 3.0, 2.0, 3.0, 0.5]).game
    at_once, in_steps = sample(game, 5000, seed=4), sample(game, 5000, seed=4, precision=1e-9)
    assert at_once.n_evaluations == in_steps.n_evaluations
    np.testing.assert_allclose(in_steps.values, at_once.values, atol=1e-12)
    np.testing.assert_allclose(in_steps.standard_errors, at_once.standard_errors, atol=1e-12)


@pytest.mark.parametrize(
    ("sample", "budget"), [(sampled_shapley, 8), (sampled_banzhaf, 1), (sampled_interactions, 152)]
)
def test_a_budget_below_one_sample_is_refused(sample, budget):
    with pytest.raises(InvalidOption, match=r"'budget' of .* must be at least"):
        sample(weighted_sum([1.0] * 9).game, budget, seed=0)
    assert sample(weighted_sum([1.0] * 9).game, budget + 1, seed=0).standard_errors is None


def test_orders_are_paired_with_their_reverse_and_seeded():
    class Recorder(TableGame):
        def prefix_values(self, orders):
            self.orders = orders.copy()
            return super().prefix_values(orders)

    games = [Recorder(6, len) for _ in range(3)]
    for game, seed in zip(games, (0, 0, 1), strict=True):
        sampled_shapley(game, 40, seed)
    first = games[0].orders
    assert first.shape == (6, 6)
    assert (np.sort(first, axis=1) == np.arange(6)).all()
    np.testing.assert_array_equal(first[0:6:2], first[1:6:2, ::-1])
    np.testing.assert_array_equal(first, games[1].orders)
    assert (first != games[2].orders).any()
