"""Contributions from cohorts alone: against exact Shapley values, and what subtraction brings out."""

from itertools import combinations, product

import numpy as np
import pytest

from fi_workbench.core.errors import DoesNotFit, InvalidOption, NotDisclosed
from fi_workbench.incentives.apply import estimate
from fi_workbench.incentives.asks import CohortAnswer
from fi_workbench.incentives.cohorts import LEAST, cohorts_to_ask, what_cohorts_disclose
from fi_workbench.incentives.contribution import ContributionView, contribution_methods
from fi_workbench.incentives.games.cohorts import CohortRegression
from fi_workbench.incentives.games.semivalues import shapley_of_values
from fi_workbench.incentives.running import Running
from tests.incentives.textbook_games import airport, weighted_sum

METHOD = contribution_methods["cohort_shapley"]
WEIGHTS = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
EVERYBODY = range(8)


def valued(game, n_rounds, *, noise=0.0, seed=0, absent=lambda n_round: ()):
    """The regression over cohorts of `n_rounds`, each of another difficulty."""
    rng, regression = np.random.default_rng(seed), CohortRegression.empty(game.n_parties)
    for n_round in range(n_rounds):
        present = [k for k in range(game.n_parties) if k not in absent(n_round)]
        for rows in cohorts_to_ask(len(present), 0, 1000 * seed + n_round, LEAST, n_cohorts=1):
            members = [present[row] for row in rows]
            gain = game.value(members) - game.value(present) + noise * rng.normal()
            regression = regression.add(members, present, gain)
    return regression


@pytest.mark.parametrize("absent", [lambda n: (), lambda n: (n % 8,) if n % 3 else ()])
def test_additive_games_come_out_exactly_once_the_cohorts_tell_all_apart(absent):
    game = weighted_sum(WEIGHTS).game
    solution = valued(game, 40, absent=absent).solved()
    assert solution.rank == 7
    np.testing.assert_allclose(solution.added, WEIGHTS - WEIGHTS.mean(), atol=1e-9)
    np.testing.assert_allclose(solution.standard_errors, 0, atol=1e-6)
    few = valued(game, 4, absent=absent).solved()
    assert few.rank < 7
    assert few.standard_errors is None
    assert few.added.sum() == pytest.approx(0, abs=1e-12)


def test_of_one_cohort_nothing_is_read_but_its_size():
    solution = valued(weighted_sum(WEIGHTS).game, 1).solved()
    assert solution.rank == 0
    np.testing.assert_allclose(solution.added, 0, atol=1e-12)


def test_what_is_not_seen_biases_as_the_derivation_says():
    costs = [1, 2, 2, 3, 5, 5, 8, 9]
    book = airport(costs)
    values, n = book.game.all_values(), len(costs)

    def lead(party, size):
        worth = {True: [], False: []}
        for one in combinations(range(n), size):
            worth[party in one].append(book.game.value(list(one)))
        return np.mean(worth[True]) - np.mean(worth[False])

    leads = np.array([[lead(party, size) for size in range(1, n)] for party in range(n)])
    exact = shapley_of_values(values)
    np.testing.assert_allclose(exact, book.shapley, atol=1e-12)
    np.testing.assert_allclose(values[-1] / n + leads.sum(axis=1) / n, exact, atol=1e-12)  # the stratified form
    seen = leads[:, 2:5]  # cohorts of 3, 4 and 5
    expected = values[-1] / n + (n - 1) / n * seen.mean(axis=1)
    bias = ((seen.mean(axis=1)[:, None] - leads).sum(axis=1)) / n
    np.testing.assert_allclose(expected, exact + bias, atol=1e-12)

    # every cohort of the sizes that can be seen, once: the derivation, without sampling
    regression = CohortRegression.empty(n)
    for size in (3, 4, 5):
        rows = list(combinations(range(n), size))
        for members in rows:
            gain = book.game.value(list(members)) - values[-1]
            regression = regression.add(members, range(n), gain, n_together=len(rows))
    np.testing.assert_allclose(values[-1] / n + regression.solved().added, expected, atol=1e-9)

    sampled = valued(book.game, 1500).solved()  # seeded: it cannot flake
    assert (np.abs(values[-1] / n + sampled.added - expected) < 5 * sampled.standard_errors).all()
    assert sampled.standard_errors.max() < 0.05


def test_standard_errors_are_as_large_as_the_errors():
    game = weighted_sum(WEIGHTS).game
    off, told = [], []
    for seed in range(200):  # with few cohorts to spare, so that freedom counts
        solution = valued(game, 18, noise=0.05, seed=seed).solved()
        if solution.standard_errors is not None:
            off.append((solution.added - (WEIGHTS - WEIGHTS.mean())) ** 2)
            told.append(solution.standard_errors**2)
    assert len(off) > 150
    assert 0.85 < np.mean(off) / np.mean(told) < 1.2
    assert np.abs(valued(game, 400, noise=0.05).solved().standard_errors).max() < 0.02


@pytest.mark.parametrize(("n_parties", "least"), [(6, 3), (9, 3), (12, 3), (12, 4), (5, 2), (4, 1)])
def test_no_sum_over_fewer_comes_out_by_subtraction(n_parties, least):
    for seed in range(20):
        asked = cohorts_to_ask(n_parties, 0, seed, LEAST, n_cohorts=3, least_difference=least)
        assert asked
        rows = np.zeros((len(asked) + 1, n_parties))
        rows[0] = 1
        for row, members in zip(rows[1:], asked, strict=True):
            assert len(members) >= LEAST
            row[list(members)] = 1
        for one, other in combinations(rows, 2):
            assert (one != other).sum() >= min(least, LEAST)
        # somebody who answered the round drops out of a cohort
        dropped = rows.copy()
        dropped[1, asked[0][0]] = 0
        for known, fewest in ((rows, min(LEAST, least)), (dropped, min(LEAST - 1, least))):
            for factors in product((-1, 0, 1, 2), repeat=len(known)):
                told = np.count_nonzero(np.array(factors) @ known)
                assert told == 0 or told >= fewest


def test_every_party_and_every_size_has_its_turn():
    asked = [cohorts_to_ask(10, 0, seed, LEAST) for seed in range(800)]
    assert {len(cohorts[0]) for cohorts in asked} == {3, 4, 5, 6, 7}
    assert {len(cohorts) for cohorts in asked} == {1, 2}
    in_first = np.bincount(np.concatenate([cohorts[0] for cohorts in asked]), minlength=10)
    assert in_first.min() > 0.4 * 800
    assert in_first.max() < 0.6 * 800
    assert cohorts_to_ask(10, 0, 7, LEAST) == cohorts_to_ask(10, 0, 7, LEAST)


def test_every_nth_round_and_too_few_parties_ask_nobody():
    assert [bool(cohorts_to_ask(8, n, 0, LEAST, every=3)) for n in range(7)] == [True, False, False] * 2 + [True]
    assert cohorts_to_ask(5, 0, 0, LEAST) == ()
    assert cohorts_to_ask(5, 0, 0, LEAST, least_difference=2) != ()
    assert cohorts_to_ask(8, 0, 0, 6) == ()
    assert all(len(one) >= 5 for seed in range(20) for one in cohorts_to_ask(9, 0, seed, 5))


def view_of(scores, labels=None, cohorts=(), n_parties=8):
    return ContributionView(n_parties, scores=np.asarray(scores, float), labels=labels, cohorts=cohorts)


ONE_HOT = np.eye(2)


def test_a_cohort_is_worth_its_accuracy_or_its_agreement():
    all_say, some_say, labels = ONE_HOT[[0, 0, 1, 1]], ONE_HOT[[0, 0, 0, 0]], np.array([1, 1, 1, 1])
    cohorts = (CohortAnswer((0, 1, 2), some_say, 3),)
    for given, options, gain in (
        (labels, {}, 0.0 - 0.5), (labels, {"value": "agreement"}, 0.5 - 1.0), (None, {}, 0.5 - 1.0),
    ):  # fmt: skip
        running = Running.begin(METHOD, options, 8).add(view_of(all_say, given, cohorts))
        products = running.state.regression.products
        assert products[0, -1] / products[0, 0] == pytest.approx(gain)
        level = 0.5 if given is not None and not options else 1.0
        np.testing.assert_allclose(running.estimate().values, level / 8)
    with pytest.raises(DoesNotFit, match="accuracy"):
        estimate(METHOD, view_of(all_say, None, cohorts), {"value": "accuracy"})
    with pytest.raises(NotDisclosed):
        estimate(METHOD, ContributionView(8, labels=labels))
    with pytest.raises(InvalidOption, match="least_difference"):
        estimate(METHOD, view_of(all_say), {"least_difference": 0})


def test_the_state_does_not_grow_and_the_note_says_when_parties_are_told_apart():
    rng, running, sizes = np.random.default_rng(3), Running.begin(METHOD, {}, 8), set()
    told = []
    for n_round in range(30):
        rows = cohorts_to_ask(8, n_round, n_round, LEAST)
        cohorts = tuple(CohortAnswer(one, rng.random((12, 3)), len(one)) for one in rows)
        running = running.add(view_of(rng.random((12, 3)), rng.integers(0, 3, 12), cohorts))
        sizes.add(running.state.regression.products.nbytes)
        told.append((running.estimate().note == "", running.estimate().standard_errors is not None))
    assert len(sizes) == 1
    assert told[0] == (False, False)
    assert told[-1] == (True, True)
    assert running.estimate().n_evaluations == sum(len(cohorts_to_ask(8, n, n, LEAST)) for n in range(30))
    assert not running.estimate().exact


def test_cohorts_of_two_are_not_valued_and_the_absent_get_nothing():
    scores = ONE_HOT[[0, 1, 0, 1]]
    pair = (CohortAnswer((0, 1), ONE_HOT[[1, 0, 1, 0]], 3),)
    running = Running.begin(METHOD, {}, 8).add(view_of(scores, None, pair, n_parties=7), rows=[0, 1, 2, 3, 4, 5, 6])
    assert running.state.regression.n_cohorts == 0
    np.testing.assert_allclose(running.estimate().values, [1 / 7] * 7 + [0])


def test_what_it_discloses_names_its_options():
    assert "every round" in what_cohorts_disclose()
    assert "every 4th round" in what_cohorts_disclose(every=4)
    assert "sums over 2 or more parties" in what_cohorts_disclose(least_difference=2)
    assert "single answers" in what_cohorts_disclose(least_difference=1)
    assert METHOD.asks.discloses(value="auto", n_cohorts=1, every=1, least_difference=3)
