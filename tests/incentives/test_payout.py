"""Payments: exact to the micro-unit, whatever the contributions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fi_workbench.core.errors import DuplicateName, InvalidData, InvalidOption, UnknownName
from fi_workbench.core.options import Between
from fi_workbench.incentives.offline import payments
from fi_workbench.incentives.payout import MAX_BUDGET, MICRO, payout_rule, payouts, split
from fi_workbench.incentives.shares import shares

ALL = sorted(payouts)
contributed = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=12)
budgets = st.one_of(st.integers(0, 100), st.integers(0, 10**15), st.integers(10**18, MAX_BUDGET))


@pytest.mark.parametrize("name", ALL)
@given(values=contributed, budget=budgets)
def test_payments_sum_to_the_budget_and_nobody_pays_in(name, values, budget):
    paid = payments(values, budget, name)
    assert paid.dtype == np.int64
    assert paid.shape == (len(values),)
    assert sum(paid.tolist()) == budget
    assert (paid >= 0).all()


@pytest.mark.parametrize("name", ALL)
@given(values=contributed, budget=budgets)
def test_who_contributed_no_less_is_paid_no_less(name, values, budget):
    paid, worth = payments(values, budget, name), shares(values)
    for k in range(len(values)):
        # but for the unit that a tie leaves with the first
        assert (paid[worth > worth[k]] >= paid[k] - 1).all()
        assert np.ptp(paid[worth == worth[k]]) <= 1


@given(values=contributed, budget=budgets)
def test_nobody_is_a_unit_off_their_exact_share(values, budget):
    weights = [Fraction(part) for part in shares(values).tolist()]
    for one, weight in zip(payments(values, budget).tolist(), weights, strict=True):
        assert abs(one - budget * weight / sum(weights)) < 1


@given(n=st.integers(1, 9), budget=budgets)
def test_ties_go_to_the_first_of_the_cohort(n, budget):
    paid = payments([1.0] * n, budget).tolist()
    assert paid == sorted(paid, reverse=True)
    assert paid[0] - paid[-1] == (1 if budget % n else 0)


def test_largest_remainders_by_hand():
    assert split(10, [Fraction(3), Fraction(3), Fraction(1)]) == [4, 4, 2]  # 4 2/7, 4 2/7, 1 3/7
    assert split(11, [Fraction(3), Fraction(3), Fraction(1)]) == [5, 5, 1]  # 4 5/7, 4 5/7, 1 4/7
    assert split(1, [Fraction(1), Fraction(2)]) == [0, 1]
    assert payments([1, 1, 1], 100).tolist() == [34, 33, 33]
    assert payments([0.2, -3, 0.6], MICRO).tolist() == [250_000, 0, 750_000]
    assert payments([-1, -2], 5).tolist() == [3, 2]
    assert payments([7], 3).tolist() == [3]
    assert payments([1, 2], 0).tolist() == [0, 0]


def test_no_unit_is_lost_where_floats_would_lose_it():
    budget = 2**53 + 1  # which no float64 is
    assert payments([1.0], budget).tolist() == [budget]
    assert payments([1.0, 0.0], budget, "floor_and_merit", floor=0.0).tolist() == [budget, 0]
    assert sum(payments([1 / 3] * 7, 10**15).tolist()) == 10**15


def test_shares_are_split_as_the_fractions_that_they_are():
    values, budget = [1.0, np.pi, np.e], 10**18
    weights = [Fraction(part) for part in shares(values).tolist()]
    exact = [budget * weight / sum(weights) for weight in weights]
    assert all(abs(one - part) < 1 for one, part in zip(payments(values, budget).tolist(), exact, strict=True))


def test_shares_of_the_largest_and_smallest_numbers():
    np.testing.assert_allclose(shares([1.5e308, 1.5e308, -1.5e308]), [0.5, 0.5, 0.0])
    np.testing.assert_allclose(shares([5e-324, 1.5e-323]), [0.25, 0.75])


def test_rules_by_hand():
    values = [6.0, 3.0, 1.0, -1.0]
    assert payments(values, 1000).tolist() == [600, 300, 100, 0]
    assert payments(values, 1000, "equal").tolist() == [250] * 4
    assert payments(values, 1000, "floor_and_merit", floor=0.4).tolist() == [460, 280, 160, 100]
    # a quarter is the equal share: half of it is more than the third's tenth
    assert payments(values, 1000, "thresholded", threshold=0.5).tolist() == [667, 333, 0, 0]
    assert payments(values, 1000, "thresholded", threshold=0.4).tolist() == [600, 300, 100, 0]
    assert payments([1, 1, 1], 99, "thresholded", threshold=1.0).tolist() == [33, 33, 33]
    weights = np.exp(np.array([0.6, 0.3, 0.1, 0.0]) * 4 / 2)
    np.testing.assert_allclose(
        payments(values, 10**9, "softmax", temperature=2.0), weights / weights.sum() * 1e9, atol=1
    )
    assert payments(values, 1000, "softmax", temperature=0.01).tolist() == [1000, 0, 0, 0]
    assert np.ptp(payments(values, 1000, "softmax", temperature=100.0)) < 10


@pytest.mark.parametrize("name", ALL)
def test_rules_say_what_they_are_and_take_their_options_ends(name):
    rule = payouts[name]
    assert rule.name == name
    assert len(rule.explanation) > 20
    assert rule.title
    assert rule.formula
    for option in rule.options:
        assert isinstance(option.limits, Between)
        for end in (option.limits.low, option.limits.high):
            assert payments([3.0, 2.0, -1.0, 0.0], 1001, name, **{option.name: float(end)}).sum() == 1001
        with pytest.raises(InvalidOption, match=option.name):
            payments([1.0], 1, name, **{option.name: option.limits.high + 1})


@pytest.mark.parametrize("budget", [-1, 1.5, 2.0, "7", None, True, MAX_BUDGET + 1, float("nan")])
def test_budgets_that_are_refused(budget):
    with pytest.raises(InvalidData, match="whole number of micro-units"):
        payments([1.0, 2.0], budget)


def test_a_numpy_integer_is_a_budget():
    assert payments([1], np.int64(7)).tolist() == [7]


@pytest.mark.parametrize("values", [[np.nan, 1], [np.inf, 1], [], [[1.0]], ["a"], 3.0])
def test_contributions_that_are_refused(values):
    with pytest.raises(InvalidData, match="Contributions"):
        payments(values, 10)


def test_names_and_rules_that_are_refused():
    with pytest.raises(UnknownName, match="proportional"):
        payments([1.0], 1, "proportionate")
    with pytest.raises(InvalidOption, match="threshold"):
        payments([1.0], 1, threshold=0.5)
    with pytest.raises(DuplicateName):
        payout_rule(formula="1")(payouts["equal"].function)
    with pytest.raises(ValueError, match="needs a docstring"):
        payout_rule(formula="1")(lambda values: values)


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0], [1.0]])
def test_a_rule_that_breaks_its_contract_is_named(weights):
    try:

        @payout_rule(formula="w")
        def broken(values):
            """Weights that nobody can be paid by, for this test."""
            return np.array(weights)

        with pytest.raises(InvalidData, match="'broken' returned weights"):
            payments([1.0, 2.0], 10, "broken")
    finally:
        payouts.remove("broken")
