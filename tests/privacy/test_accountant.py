"""What releases cost together: closed forms, dp-accounting's published values, and what must hold of any account."""

import math
import subprocess
import sys

import numpy as np
import pytest
from dp_accounting import gaussian_mechanism
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from scipy.stats import binom

from fi_workbench.core.errors import InvalidOption
from fi_workbench.privacy import accountant
from fi_workbench.privacy.accountant import (
    BEYOND,
    epsilon_of,
    fits,
    gaussian_epsilon,
    n_affordable,
    protected,
    sigma_for,
)
from fi_workbench.privacy.event import UNPROTECTED, Event

DELTA = 1e-5


def gaussian(multiplier, **more):
    return Event("gaussian", multiplier, **more)


def laplace(multiplier, **more):
    return Event("laplace", multiplier, **more)


def response(chance, n_classes=10, **more):
    return Event("randomised_response", chance, n_classes, **more)


def sampled(event, share):
    return Event(event.noise, event.multiplier, event.n_classes, share, "participate")


@pytest.mark.parametrize(("multiplier", "count"), [(4 / math.sqrt(2), 100), (10.0, 1), (300.0, 5000)])
def test_gaussian_noise_has_its_closed_form(multiplier, count):
    """RDP alpha / (2 sigma^2) a release; the exact epsilon is that of one release of all their noise together."""

    def converted(order):
        return count * order / (2 * multiplier**2) + math.log1p(-1 / order) - math.log(DELTA * order) / (order - 1)

    best = minimize_scalar(converted, bounds=(1.05, 1000), method="bounded").fun
    assert best - 1e-9 <= epsilon_of({gaussian(multiplier): count}, DELTA) <= 1.02 * best
    exact = gaussian_mechanism.get_epsilon_gaussian(multiplier / math.sqrt(count), DELTA)
    assert epsilon_of({gaussian(multiplier): count}, DELTA, "pld") == pytest.approx(exact, rel=1e-8)


def test_noisy_votes_of_ten_parties_over_a_hundred_queries():
    """GNMax at sigma 4: two votes move, so that the L2 sensitivity is sqrt(2) and RDP alpha / sigma^2 a query."""
    assert epsilon_of({gaussian(4 / math.sqrt(2)): 100}, 1e-5) == pytest.approx(22.02, abs=0.01)


@pytest.mark.parametrize(
    ("events", "delta", "epsilon"),
    [
        ({gaussian(math.sqrt(3)): 3}, 0.126936, 1.0),
        ({sampled(gaussian(0.5), 0.2): 3}, 0.15594, 1.0),
        ({laplace(1.0): 3, laplace(2.0): 2}, 1e-14, 4.0),
        ({sampled(laplace(0.5), 0.2): 3}, 1e-14, 2.46964),
        ({response(0.5, 4): 1}, 1e-12, math.log(5)),
    ],
    ids=str,
)
def test_values_that_dp_accounting_publishes(events, delta, epsilon):
    assert epsilon_of(events, delta, "pld") == pytest.approx(epsilon, abs=1e-3)
    assert epsilon_of(events, delta, "rdp") >= epsilon - 1e-3


@pytest.mark.parametrize(("chance", "n_rounds"), [(0.5, 1), (0.9, 40), (0.7, 10)])
def test_many_coin_flips_cost_what_their_binomial_says(chance, n_rounds):
    """Binary randomised response: the loss after n releases is epsilon (2 X - n), with X binomial.

    dp-accounting's own accountant by losses counts one release of them, whatever n.
    """
    kept = 1 - chance / 2
    step = math.log(kept / (1 - kept))
    hits = np.arange(n_rounds + 1)
    loss = step * (2 * hits - n_rounds)

    def delta_at(epsilon):
        return float((binom.pmf(hits, n_rounds, kept) * np.maximum(-np.expm1(epsilon - loss), 0.0)).sum())

    found = epsilon_of({response(chance, 2): n_rounds}, DELTA, "pld")
    assert delta_at(found) <= DELTA * (1 + 1e-6)
    assert delta_at(found - 0.01) > DELTA
    assert epsilon_of({response(chance, 2): n_rounds}, DELTA) >= found


@pytest.mark.parametrize(
    "event", [laplace(10.0), response(0.9), sampled(laplace(1.0), 0.1), sampled(response(0.5), 0.2)]
)
def test_few_pure_releases_cost_their_sum_and_many_less(event):
    laplacian = event.noise == "laplace"
    one = 1 / event.multiplier if laplacian else math.log1p((1 - event.multiplier) * 10 / event.multiplier)
    one = math.log1p(event.sampling * math.expm1(one))
    assert epsilon_of({event: 2}, DELTA) == pytest.approx(2 * one)
    assert epsilon_of({event: 1000}, DELTA) < 1000 * one * 0.8


def test_pure_releases_beside_gaussian_ones_are_taken_the_better_way():
    few, many = {gaussian(5.0): 10, laplace(20.0): 1}, {gaussian(5.0): 10, laplace(20.0): 2000}
    alone = epsilon_of({gaussian(5.0): 10}, DELTA)
    assert alone < epsilon_of(few, DELTA) <= alone + 1 / 20 + 1e-12
    assert epsilon_of(many, DELTA) < alone + 2000 / 20


@pytest.mark.parametrize("event", [gaussian(2.0), laplace(1.0), response(0.5)])
@pytest.mark.parametrize("method", ["rdp", "pld"])
def test_who_takes_part_seldom_spends_less(event, method):
    costs = [epsilon_of({sampled(event, share): 20}, DELTA, method) for share in (0.05, 0.2, 0.5, 1.0)]
    assert costs == sorted(costs)
    assert costs[0] < 0.4 * costs[-1]


def test_a_multiplier_means_the_same_under_either_relation():
    """It is over the sensitivity under its own relation: nothing is doubled."""
    for method in ("rdp", "pld"):
        costs = {epsilon_of({gaussian(3.0, relation=one): 7}, DELTA, method) for one in ("replace", "participate")}
        assert len(costs) == 1


@pytest.mark.parametrize("nothing", [UNPROTECTED, gaussian(0.0), laplace(0.0), response(0.0)])
@pytest.mark.parametrize("method", ["rdp", "pld"])
def test_what_has_no_guarantee_costs_everything(nothing, method):
    assert not protected([gaussian(1.0), nothing])
    assert epsilon_of({gaussian(1.0): 3, nothing: 1}, DELTA, method) == math.inf
    assert n_affordable({nothing: 1}, 1e6, DELTA, method) == 0


def test_what_tells_nothing_costs_nothing():
    assert epsilon_of({}, DELTA) == 0.0
    assert epsilon_of({UNPROTECTED: 0, response(1.0): 5, response(0.0, 1): 5}, DELTA) == 0.0


EVENTS = st.sampled_from(
    [
        gaussian(3.0),
        gaussian(40.0),
        laplace(30.0),
        response(0.95),
        sampled(gaussian(4.0), 0.1),
        sampled(laplace(2.0), 0.1),
    ]
)
ACCOUNTS = st.dictionaries(EVENTS, st.integers(1, 50), max_size=4)


@settings(max_examples=60, deadline=None)
@given(ACCOUNTS, EVENTS, st.integers(1, 20))
def test_spending_more_never_costs_less_and_order_does_not_matter(account, event, count):
    more = {**account, event: account.get(event, 0) + count}
    assert epsilon_of(more, DELTA) >= epsilon_of(account, DELTA)
    assert epsilon_of(dict(reversed(more.items())), DELTA) == epsilon_of(more, DELTA)
    assert epsilon_of(more, DELTA) <= epsilon_of(account, DELTA / 2) + epsilon_of({event: count}, DELTA / 2) + 1e-9


@pytest.mark.parametrize("event", [gaussian(3.0), laplace(30.0), response(0.95), sampled(gaussian(4.0), 0.1)])
def test_the_tight_way_never_says_more_than_the_quick_one(event):
    costs = [(epsilon_of({event: count}, DELTA, "pld"), epsilon_of({event: count}, DELTA)) for count in (1, 9, 60)]
    assert all(tight <= quick for tight, quick in costs)
    assert costs == sorted(costs)


@pytest.mark.parametrize("event", [laplace(1e-3), laplace(1e-200), gaussian(1e-3), gaussian(1e-200), response(1e-300)])
def test_what_protects_nobody_is_reckoned_at_once(event):
    """Its distribution of losses would have millions of places."""
    assert epsilon_of({event: 3}, DELTA, "pld") == epsilon_of({event: 3}, DELTA) > BEYOND


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 1.0, 8.0, 50.0])
@pytest.mark.parametrize("delta", [1e-10, 1e-5, 0.1])
def test_the_noise_for_an_epsilon_is_the_least_that_suffices(epsilon, delta):
    sigma = sigma_for(epsilon, delta, sensitivity=2.0)
    assert sigma == pytest.approx(2 * gaussian_mechanism.get_sigma_gaussian(epsilon, delta), rel=1e-6)
    assert gaussian_epsilon(sigma / 2, delta) <= epsilon * (1 + 1e-8)
    assert gaussian_epsilon(0.999 * sigma / 2, delta) > epsilon


@pytest.mark.parametrize("method", ["rdp", "pld"])
@pytest.mark.parametrize("event", [gaussian(10.0), laplace(20.0), response(0.97)])
def test_as_many_are_affordable_as_fit(event, method):
    count = n_affordable({event: 1}, 4.0, DELTA, method)
    assert count > 1
    assert fits({event: count}, 4.0, DELTA, method)
    assert not fits({event: count + 1}, 4.0, DELTA, method)
    assert n_affordable({event: 1}, 4.0, DELTA, method, at_most=3) == 3


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0, math.nan])
def test_a_delta_that_cannot_be_is_refused(delta):
    for reckon in (lambda: epsilon_of({gaussian(1.0): 1}, delta), lambda: sigma_for(1.0, delta)):
        with pytest.raises(InvalidOption, match="delta"):
            reckon()


def test_what_else_cannot_be_is_refused():
    with pytest.raises(InvalidOption, match="there are rdp, pld"):
        epsilon_of({gaussian(1.0): 1}, DELTA, "zcdp")
    with pytest.raises(InvalidOption, match="positive"):
        sigma_for(0.0, DELTA)
    with pytest.raises(ValueError, match="no randomised response"):
        epsilon_of({response(1.5): 1}, DELTA)


def test_the_worst_pure_release_is_binary_randomised_response():
    """Against the divergence of its two distributions, written out."""
    epsilon, orders = 0.7, accountant._orders()
    p = np.array([1.0, math.exp(-epsilon)]) / (1 + math.exp(-epsilon))
    written = [logsumexp(a * np.log(p) + (1 - a) * np.log(p[::-1])) / (a - 1) for a in orders]
    np.testing.assert_allclose(accountant._pure_curve(epsilon), written)
    assert max(accountant._pure_curve(epsilon)) <= epsilon


def test_a_party_without_a_budget_does_not_pay_for_the_accountant():
    """dp-accounting takes a second to import."""
    script = """
import sys
import numpy as np
import fi_workbench as fi
from fi_workbench.protocol import party_side
from fi_workbench.session import joining
fi.mechanisms.items()
even = lambda queries: np.full((len(queries), 3), 1 / 3)
party = fi.Party.from_callable(even, name="Ada", classes=("a", "b", "c"), input_shape=(3,))
with fi.Federation([party], history=None, mechanism="laplace") as federation:
    federation.ask(np.ones((2, 3), dtype=np.float32))
    assert "dp_accounting" not in sys.modules
    assert federation.budget[0].epsilon > 0
    assert "dp_accounting" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
