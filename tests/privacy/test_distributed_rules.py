"""Every sum rule under distributed noise: what one answer can move, what a finish makes of noise, who stays out."""

import math

import numpy as np
import pytest
from scipy import stats

from fi_workbench.aggregation.apply import finish, local_part
from fi_workbench.aggregation.rule import LocalView, rules
from fi_workbench.core.summand import Component
from fi_workbench.privacy.distributed import PER_QUERY, DistributedGaussian
from tests.privacy.ring import N_CLASSES, declared, layout_of, party_context

SUM_RULES = [name for name, rule in rules.items() if rule.needs == "sum"]


def rows_of(rule):
    """Summands of one party for answers of all kinds, at the extremes too: name -> (answer, ...)."""
    rng = np.random.default_rng(4)
    eye = 60.0 * np.eye(N_CLASSES)
    half = np.repeat([[30.0, -30.0]], N_CLASSES // 2, axis=1).reshape(1, -1)
    answers = np.concatenate([rng.normal(size=(30, N_CLASSES), scale=4), eye, -eye, half, -half, np.zeros((1, 4))])
    facts = {"class_counts": [50.0, 3.0, 0.0, 9.0], "data_size": 62.0}
    totals = {"class_totals": np.array([100.0, 9.0, 5.0, 9.0])}
    images = np.zeros((len(answers), 1, 4, 4), dtype=np.float32)
    view = LocalView(
        answers, "logits", images, lambda asked: answers, facts, totals, "keep", lambda: np.random.default_rng(0)
    )
    return local_part(rules[rule], view, {})


@pytest.mark.parametrize("rule", SUM_RULES)
@pytest.mark.parametrize("participation", [1.0, 0.5])
def test_no_answer_moves_a_release_by_more_than_the_multiplier_says(rule, participation, monkeypatch):
    """On the ring, over all pairs of answers, in units of the noise that is drawn: the bound that is booked."""
    made = DistributedGaussian(noise_multiplier=0.7, participation=participation)
    components, part = declared(rule), rows_of(rule)
    n_queries = max(array.shape[0] for array in part.values() if array.ndim)
    layout, context = layout_of(made, components, n_queries, 5), party_context("Ada", components, n_queries)
    drawn = {}

    def recorded(stream, n, steps):
        drawn[len(drawn)] = steps
        return np.zeros(n, dtype=np.int64)

    monkeypatch.setattr("fi_workbench.privacy.distributed.discrete_gaussian", recorded)
    monkeypatch.setattr("fi_workbench.privacy.distributed.coins", lambda stream, n, chance: np.ones(n, bool))
    made.blur(layout, context)
    noisy = [entry for entry in layout.entries if entry.name in made.stddevs(made.carried(components))]
    steps = {entry.name: drawn[at] * math.sqrt(made.n_shares(5)) for at, entry in enumerate(noisy)}
    vector = layout.encode(made.prepared(part, context)).view(np.int64)
    moved = np.zeros((n_queries, n_queries + 1))
    for entry in layout.entries:
        if entry.component.axes not in PER_QUERY:
            continue
        rows = vector[entry.where].reshape(n_queries, -1).astype(float)
        absent = np.full((1, rows.shape[1]), -entry.component.lower * entry.scale)
        apart = ((rows[:, None] - np.concatenate([rows, absent])[None]) ** 2).sum(axis=-1)
        moved += apart / steps[entry.name] ** 2
    # in or out: against the row of one who stays out; else against any other row
    worst = moved[:, -1].max() if participation < 1 else moved[:, :-1].max()
    assert 0 < worst <= 1 / 0.7**2
    if rule in ("hard_vote", "soft_vote"):  # two sure answers attain it
        assert worst == pytest.approx(1 / 0.7**2, rel=1e-3)


@pytest.mark.parametrize("rule", SUM_RULES)
@pytest.mark.parametrize("size", [0.3, 30.0, 1e6])
def test_every_rule_survives_noise(rule, size):
    rng = np.random.default_rng(8)
    sums = {}
    for name, one in declared(rule).items():
        shape = one.shape(50, N_CLASSES)
        sums[name] = 5 * rng.uniform(one.lower, one.upper, shape) + size * one.l2 * rng.normal(size=shape)
    scores = finish(rules[rule], {}, sums=sums)
    assert np.isfinite(scores).all()
    assert scores.min() >= 0
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_who_stays_out_sends_zeros():
    made = DistributedGaussian(participation=0.25)
    for rule in ("soft_vote", "entropy_weighted", "mean_logit"):
        n_queries, components = 4000, declared(rule)
        logits = np.random.default_rng(0).normal(size=(n_queries, N_CLASSES))
        view = LocalView(logits, "logits", None, None, {}, {}, "keep", lambda: None)
        part = local_part(rules[rule], view, {})
        sent = made.prepared(part, party_context("Ada", components, n_queries))
        for name, one in components.items():
            if one.axes not in PER_QUERY:
                np.testing.assert_array_equal(sent[name], part[name])
                continue
            out = (sent[name].reshape(n_queries, -1) == 0).all(axis=1)
            assert stats.binomtest(int((~out).sum()), n_queries, 0.25).pvalue > 1e-3
            np.testing.assert_allclose(sent[name][~out], part[name][~out])
        outs = [
            np.all(sent[name].reshape(n_queries, -1) == 0, axis=1)
            for name, one in components.items()
            if one.shape(2, 2)
        ]
        assert all((out == outs[0]).all() for out in outs), "one coin for all that is said of a query"
        layout = layout_of(made, components, n_queries, 5)
        decoded = layout.decode(layout.encode(sent), 1)
        for name, array in sent.items():
            np.testing.assert_allclose(decoded[name], array, atol=1e-4, err_msg="zero is within the ring's bounds")


def test_longer_rows_are_scaled_down_to_what_is_reckoned_with():
    made = DistributedGaussian(participation=0.5)
    component = Component("query_class", 0.0, 10.0, l1=20.0, l2=2.0)
    sent = made._thinned(component, np.array([[10.0, 0.0], [0.3, 0.4]]), np.array([True, True]))
    np.testing.assert_allclose(sent, [[math.sqrt(2.0), 0.0], [0.3, 0.4]])
    fixed = Component("query_class", 1.0, 1.0, l1=0.0, l2=0.0)
    assert (made._thinned(fixed, np.ones((2, 2)), np.array([False, True])) == 1).all(), (
        "what all say alike tells nothing"
    )
