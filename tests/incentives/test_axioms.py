"""Coalition values by their definitions on random games, and the axioms that characterise them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fi_workbench.incentives.games.sampling import sampled_banzhaf, sampled_interactions, sampled_shapley
from fi_workbench.incentives.games.semivalues import banzhaf_of_values, interactions_of_values, shapley_of_values
from tests.incentives.textbook_games import TableGame

VALUES = {"shapley": shapley_of_values, "banzhaf": banzhaf_of_values, "interactions": interactions_of_values}
sizes, seeds = st.integers(1, 5), st.integers(0, 2**32 - 1)


def table(n_parties, seed, n_digits=3):
    """Values of all coalitions of a random game, the empty one worth 0: (2^party,)."""
    values = np.random.default_rng(seed).normal(0, 1, 1 << n_parties).round(n_digits)
    values[0] = 0.0
    return values


def subsets(members):
    """All subsets of some parties, as (index of the coalition, its size)."""
    for size in range(len(members) + 1):
        for some in itertools.combinations(members, size):
            yield sum(1 << k for k in some), size


def defined(values):
    """Shapley and Banzhaf values and interactions, by sums over sets as they stand in the books."""
    n = len(values).bit_length() - 1
    shapley, banzhaf, pairs = np.zeros(n), np.zeros(n), np.zeros((n, n))
    for k in range(n):
        for others, size in subsets([j for j in range(n) if j != k]):
            gain = values[others | 1 << k] - values[others]
            shapley[k] += math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n) * gain
            banzhaf[k] += gain / 2 ** (n - 1)
    for i, j in itertools.permutations(range(n), 2):
        for others, size in subsets([k for k in range(n) if k not in (i, j)]):
            i_, j_ = 1 << i, 1 << j
            both = values[others | i_ | j_] - values[others | i_] - values[others | j_] + values[others]
            pairs[i, j] += math.factorial(size) * math.factorial(n - size - 2) / math.factorial(n - 1) * both
    return {"shapley": shapley, "banzhaf": banzhaf, "interactions": pairs}


@given(n_parties=sizes, seed=seeds)
def test_by_the_definitions(n_parties, seed):
    values = table(n_parties, seed)
    for name, expected in defined(values).items():
        np.testing.assert_allclose(VALUES[name](values), expected, atol=1e-12)


@pytest.mark.parametrize("name", VALUES)
@given(n_parties=sizes, seed=seeds, factor=st.floats(-3, 3))
def test_linear(name, n_parties, seed, factor):
    one, other, value = table(n_parties, seed), table(n_parties, seed + 1), VALUES[name]
    np.testing.assert_allclose(value(one + factor * other), value(one) + factor * value(other), atol=1e-12)


@pytest.mark.parametrize("name", VALUES)
@given(n_parties=st.integers(2, 5), seed=seeds)
def test_who_adds_the_same_to_everybody_is_worth_that_and_interacts_with_nobody(name, n_parties, seed):
    worth = 0.25 if seed % 2 else 0.0  # a dummy, or a null party
    few = table(n_parties - 1, seed)
    found = VALUES[name](np.concatenate([few, few + worth]))  # the last party joins
    np.testing.assert_allclose(found[-1], 0.0 if name == "interactions" else worth, atol=1e-12)
    # and the others are worth what they were
    np.testing.assert_allclose(found[:-1][..., : n_parties - 1], VALUES[name](few), atol=1e-12)


@given(n_parties=sizes, seed=seeds)
def test_shapley_values_are_efficient_and_any_renaming_of_the_parties_renames_the_values(n_parties, seed):
    values = table(n_parties, seed)
    assert shapley_of_values(values).sum() == pytest.approx(values[-1], abs=1e-12)
    order = np.random.default_rng(seed).permutation(n_parties)
    # party j of the new game is party order[j] of the old
    bits = np.arange(1 << n_parties)[:, None] >> np.arange(n_parties) & 1
    renamed = values[(bits << order).sum(axis=1)]
    np.testing.assert_allclose(shapley_of_values(renamed), shapley_of_values(values)[order], atol=1e-12)
    np.testing.assert_allclose(banzhaf_of_values(renamed), banzhaf_of_values(values)[order], atol=1e-12)
    pairs = interactions_of_values(values)
    np.testing.assert_allclose(interactions_of_values(renamed), pairs[np.ix_(order, order)], atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_samples_are_unbiased(seed):
    values = table(4, seed)
    game = TableGame(4, lambda members: values[sum(1 << k for k in members)])
    expected = defined(values)
    for name, sample in (
        ("shapley", sampled_shapley), ("banzhaf", sampled_banzhaf), ("interactions", sampled_interactions),
    ):  # fmt: skip
        found = sample(game, 2800, seed)
        assert game.n_evaluations <= 2800
        game.n_evaluations = 0
        assert (np.abs(found.values - expected[name]) <= 5 * found.standard_errors + 1e-12).all()
