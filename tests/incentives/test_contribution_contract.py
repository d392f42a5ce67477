"""What every registered contribution method keeps to; a new method inherits these tests by being registered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fi_workbench.incentives  # noqa: F401  registers the members
from fi_workbench.core.disclosure import NEEDS, satisfies
from fi_workbench.core.errors import InvalidOption, NotDisclosed
from fi_workbench.core.options import Between
from fi_workbench.incentives.apply import contribute
from fi_workbench.incentives.contribution import ContributionView, contribution_methods
from fi_workbench.incentives.offline import contributions
from fi_workbench.incentives.shares import shares

ALL = sorted(contribution_methods)
shapes = st.tuples(st.integers(1, 6), st.integers(1, 8), st.integers(2, 5))
few = settings(max_examples=20, deadline=None)


def case(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 2, shape), rng.integers(0, shape[2], shape[1])


@pytest.mark.parametrize("name", ALL)
def test_says_what_it_is(name):
    method = contribution_methods[name]
    assert method.name == name
    assert method.title
    assert len(method.explanation) > 20
    assert method.formula
    assert method.source
    assert method.needs in NEEDS


@pytest.mark.parametrize("name", ALL)
@given(shape=shapes, seed=st.integers(0, 2**32 - 1), with_labels=st.booleans())
@few
def test_one_finite_number_per_party_in_the_parties_order(name, shape, seed, with_labels):
    logits, labels = case(shape, seed)
    truth = labels if with_labels or contribution_methods[name].labels == "required" else None
    values = contributions(logits, name, truth)
    assert values.shape == (shape[0],)
    assert values.dtype == np.float64
    assert np.isfinite(values).all()
    order = np.random.default_rng(seed).permutation(shape[0])
    np.testing.assert_allclose(contributions(logits[order], name, truth), values[order], atol=1e-9)
    paid = shares(values)
    assert paid.sum() == pytest.approx(1)
    assert (paid >= 0).all()


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32 - 1))
@few
def test_equal_parties_contribute_the_same(name, seed):
    logits, labels = case((4, 6, 3), seed)
    logits[3] = logits[1]
    values = contributions(logits, name, labels)
    assert values[3] == pytest.approx(values[1], abs=1e-12)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 3, 4), (5, 1, 2), (3, 4, 1), (20, 3, 2)])
def test_small_shapes_ties_and_extremes(name, shape):
    _, labels = case(shape)
    for logits in (np.zeros(shape), np.where(np.arange(shape[2]) == 0, 1e4, -1e4) + np.zeros(shape)):
        for dtype in (np.float32, np.float64):
            assert np.isfinite(contributions(logits.astype(dtype), name, labels)).all()


@pytest.mark.parametrize("name", ALL)
def test_it_computes_from_no_more_than_it_needs(name):
    method = contribution_methods[name]
    logits, labels = case((4, 6, 3))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    view = ContributionView(
        4,
        answers=p if satisfies(method.needs, "each") else None,
        votes=p.argmax(-1) if satisfies(method.needs, "votes") else None,
        scores=p.mean(0),
        labels=labels if method.labels == "required" else None,
    )
    expected = contributions(logits, name, view.labels)
    np.testing.assert_allclose(contribute(method, view), expected, atol=1e-12)
    if method.needs in ("votes", "each"):
        with pytest.raises(NotDisclosed):
            contribute(method, ContributionView(4, labels=labels))


@pytest.mark.parametrize("name", ALL)
def test_options_ends_and_refusals(name):
    logits, labels = case((3, 4, 3))
    with pytest.raises(InvalidOption, match="no_such_option"):
        contributions(logits, name, labels, no_such_option=1)
    for option in contribution_methods[name].options:
        if isinstance(option.limits, Between):
            for end in (option.limits.low, option.limits.high):
                assert np.isfinite(contributions(logits, name, labels, **{option.name: option.kind(end)})).all()
            with pytest.raises(InvalidOption, match=option.name):
                contributions(logits, name, labels, **{option.name: option.kind(option.limits.high + 1)})


@pytest.mark.parametrize("name", ALL)
def test_inputs_are_left_alone(name):
    logits, labels = case((3, 4, 3))
    before = logits.copy()
    logits.flags.writeable = labels.flags.writeable = False
    contributions(logits, name, labels)
    np.testing.assert_array_equal(logits, before)
