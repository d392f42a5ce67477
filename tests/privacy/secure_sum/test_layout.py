"""The vector of the ring: nothing wraps, nothing is lost, nothing out of bounds goes in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fi_workbench.aggregation import rules
from fi_workbench.aggregation.apply import components_of, enrolment_components_of
from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer
from fi_workbench.core.summand import Component
from fi_workbench.privacy.secure_sum.layout import Layout

SUM_RULES = [name for name, rule in rules.items() if satisfies("sum", rule.needs) and rule.components]


def component(lower=0.0, upper=1.0, axes="class"):
    return Component(axes, lower, upper, l1=upper - lower, l2=upper - lower)


def summed(layout, arrays):
    total = np.zeros(layout.size, np.uint64)
    for array in arrays:
        total += layout.encode(array)
    return layout.decode(total, len(arrays))


def test_components_stand_one_after_the_other():
    layout = Layout.of({"a": component(axes="query_class"), "b": component(axes="scalar")}, 4, 3, 5)
    assert [(entry.name, entry.where, entry.shape) for entry in layout.entries] == [
        ("a", slice(0, 12), (4, 3)),
        ("b", slice(12, 13), ()),
    ]
    assert layout.size == 13
    assert Layout.of({}, 4, 3, 5).size == 0
    assert all(np.log2(entry.scale) % 1 == 0 for entry in layout.entries)


@settings(max_examples=25, deadline=None)
@given(
    lower=st.floats(-1e9, 1e9), reach=st.floats(1e-6, 1e12), n_parties=st.integers(1, 10_000),
    stddev_share=st.floats(0, 1e3), places=st.lists(st.floats(0, 1), min_size=1, max_size=6),
)  # fmt: skip
def test_a_sum_never_wraps_and_is_right_to_a_millionth_of_the_range(lower, reach, n_parties, stddev_share, places):
    bounds = component(lower, lower + reach)
    reach = bounds.upper - bounds.lower
    layout = Layout.of({"a": bounds}, 0, len(places), n_parties, {"a": stddev_share * reach})
    value = np.clip(lower + reach * np.array(places), bounds.lower, bounds.upper)
    each = layout.encode({"a": value})
    (entry,) = layout.entries
    noise = 40 * stddev_share * reach * entry.scale
    assert int(each.max()) * n_parties + noise < 2**63, "the most that can come together stays in a signed word"
    with np.errstate(over="ignore"):
        total = each * np.uint64(n_parties)
    error = np.abs(layout.decode(total, n_parties)["a"] - n_parties * value)
    # a unit for each party, and what doubles of that size keep
    assert (error <= n_parties * (reach * 2**-20 + 4e-16 * max(abs(bounds.lower), abs(bounds.upper)))).all()


@pytest.mark.parametrize("n_parties", [3, 1000])
@pytest.mark.parametrize("name", SUM_RULES)
def test_every_rule_of_a_sum_fits_with_more_than_twenty_bits(name, n_parties):
    rule = rules[name]
    declared = [components_of(rule, 10, "keep", {})]
    if rule.enrolment is not None:
        declared.append(enrolment_components_of(rule, 10, {}))
    for components in declared:
        layout = Layout.of(components, 8, 10, n_parties)
        for extreme in ("lower", "upper"):
            value = {e.name: np.full(e.shape, getattr(e.component, extreme)) for e in layout.entries}
            total = summed(layout, [value] * 3)
            for entry in layout.entries:
                bound = getattr(entry.component, extreme)
                np.testing.assert_allclose(total[entry.name], 3 * bound, rtol=2**-20, atol=1e-9)
                reach = entry.component.upper - entry.component.lower
                assert reach == 0 or reach * entry.scale >= 2**20


def test_noise_goes_below_the_lower_bound_and_comes_back():
    layout = Layout.of({"a": component()}, 0, 2, 3, {"a": 2.0})
    (entry,) = layout.entries
    noise = np.array([-30 * entry.scale, 79 * entry.scale]).astype(np.int64)
    with np.errstate(over="ignore"):
        total = layout.encode({"a": np.zeros(2)}) + noise.view(np.uint64)
    np.testing.assert_allclose(layout.decode(total, 3)["a"], [-30, 79])


@pytest.mark.parametrize("stddev", [1e-9, 1.0, 1e6])
@pytest.mark.parametrize(("reach", "n_parties"), [(1e-6, 3), (1.0, 1000), (2.0**40, 10_000)])
def test_there_is_room_for_ten_thousand_standard_deviations(reach, n_parties, stddev):
    (entry,) = Layout.of({"a": component(0.0, reach)}, 0, 2, n_parties, {"a": stddev * reach}).entries
    assert stddev * reach * entry.scale <= 2**48
    assert n_parties * reach * entry.scale + 10_000 * stddev * reach * entry.scale < 2**63


@pytest.mark.parametrize(
    "value",
    [[0.5, 1.1], [-0.1, 0.5], [np.nan, 0.5], [np.inf, 0], [0.5], [[0.5, 0.5]], ["a", "b"], None],
)
def test_what_is_out_of_bounds_is_refused_by_name(value):
    layout = Layout.of({"a": component()}, 0, 2, 3)
    with pytest.raises(InvalidAnswer, match="'a'"):
        layout.encode({"a": value})


@pytest.mark.parametrize("names", [(), ("b",), ("a", "b")])
def test_what_is_missing_or_unknown_is_refused(names):
    layout = Layout.of({"a": component()}, 0, 2, 3)
    with pytest.raises(InvalidAnswer, match=r"about \['a'\]"):
        layout.encode({name: np.zeros(2) for name in names})


@pytest.mark.parametrize(
    ("bounds", "stddev"), [((0, np.inf), 0.0), ((0, 1), np.inf), ((0, 1), np.nan), ((0, 1), 1e30), ((0, 1), -1.0)]
)
def test_what_cannot_fit_is_refused_before_anything_is_sent(bounds, stddev):
    with pytest.raises(DoesNotFit, match="'a'"):
        Layout.of({"a": component(*bounds)}, 0, 2, 3, {"a": stddev})


def test_small_sums_are_exact():
    """Sums of dyadic fractions come back as they are: no rounding that depends on the order."""
    layout = Layout.of({"a": component()}, 0, 3, 100)
    values = [np.random.default_rng(seed).integers(0, 2**24, 3) / 2**24 for seed in range(100)]
    np.testing.assert_array_equal(summed(layout, [{"a": value} for value in values])["a"], np.sum(values, axis=0))
