"""What every registered rule keeps to; a new rule inherits these tests by being registered."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fi_workbench.aggregation.apply import (
    components_of,
    enrolment_components_of,
    enrolment_part,
    finish,
    side_by_side,
    total,
)
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import rules
from fi_workbench.core.errors import DoesNotFit, InvalidOption
from fi_workbench.core.options import Between
from tests.aggregation.rule_cases import (
    ALL,
    ENROLLING,
    MODES,
    PARTS,
    SUMS,
    assert_scores,
    case,
    few,
    parts_of,
    rows,
    scored,
    seeds,
    shapes,
)


@pytest.mark.parametrize("name", ALL)
def test_says_what_it_is(name):
    rule = rules[name]
    assert rule.name == name
    assert rule.title
    assert len(rule.explanation) > 20
    assert rule.formula
    assert rule.source
    assert (rule.gathers == "answers") == (rule.combine is not None) == (rule.local is None) == (rule.finish is None)
    assert (rule.gathers == "sum") == (rule.needs == "sum")


@pytest.mark.parametrize("name", ALL)
@given(shape=shapes, seed=seeds)
@few
def test_scores_are_finite_and_of_the_right_shape(name, shape, seed):
    logits, held = case(shape, seed)
    for on_absence in MODES:
        assert_scores(scored(logits, name, on_absence=on_absence, **held), *shape[1:])


@pytest.mark.parametrize("name", ALL)
@given(shape=shapes, seed=seeds)
@few
def test_order_of_parties_does_not_matter(name, shape, seed):
    logits, held = case(shape, seed)
    order = np.random.default_rng(seed).permutation(shape[0])
    moved = scored(logits[order], name, **{fact: array[order] for fact, array in held.items()})
    np.testing.assert_allclose(moved, scored(logits, name, **held), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ALL)
@given(shape=shapes, seed=seeds)
@few
def test_names_of_classes_do_not_matter(name, shape, seed):
    logits, held = case(shape, seed)
    order = np.random.default_rng(seed).permutation(shape[2])
    renamed = scored(
        logits[:, :, order], name, class_counts=held["class_counts"][:, order], data_sizes=held["data_sizes"]
    )
    np.testing.assert_allclose(renamed, scored(logits, name, **held)[:, order], rtol=1e-7, atol=1e-7)


# a rule that shifts the batch to the expected mix of classes may overrule its only party
@pytest.mark.parametrize("name", [name for name in ALL if name != "prior_matched"])
@given(seed=seeds)
@few
def test_one_party_with_even_data_gets_its_own_labels(name, seed):
    logits, _ = case((1, 8, 5), seed)
    scores = scored(logits, name, class_counts=np.full((1, 5), 20), data_sizes=[100])
    np.testing.assert_array_equal(scores.argmax(1), logits[0].argmax(1))


@pytest.mark.parametrize("name", ALL)
def test_both_ends_of_each_options_range_work(name):
    logits, held = case()
    for option in rules[name].options:
        limits = option.limits
        ends = () if limits is None else (limits.low, limits.high) if isinstance(limits, Between) else limits.choices
        for end in ends:
            # the smallest data set allowed must hold the parties' data
            sized = held | {"data_sizes": np.ones(len(logits))} if option.name == "max_size" else held
            assert_scores(scored(logits, name, **sized, **{option.name: option.kind(end)}), 6, 5)


@pytest.mark.parametrize("name", ALL)
def test_unknown_options_and_values_out_of_range_are_refused(name):
    logits, held = case()
    with pytest.raises(InvalidOption, match="no option 'no_such_option'"):
        scored(logits, name, **held, no_such_option=1)
    for option in rules[name].options:
        if isinstance(option.limits, Between):
            for beyond in (option.limits.low - 1, option.limits.high + 1, float("nan")):
                with pytest.raises(InvalidOption, match=option.name):
                    scored(logits, name, **held, **{option.name: option.kind(beyond) if beyond == beyond else beyond})
        with pytest.raises(InvalidOption, match=option.name):
            scored(logits, name, **held, **{option.name: object()})


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 4, 3), (5, 1, 2), (3, 2, 40), (2, 3, 1)])
def test_small_and_wide_shapes(name, shape):
    logits, held = case(shape)
    assert_scores(scored(logits, name, **held), *shape[1:])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [0.0, 7.5, 1e4, -1e4])
def test_tied_answers(name, value):
    _, held = case((3, 4, 5))
    held["class_counts"] = np.full((3, 5), 10)
    scores = scored(np.full((3, 4, 5), value), name, **held)
    assert_scores(scores, 4, 5)
    assert (scores.argmax(1) == 0).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=seeds)
@few
def test_extreme_logits(name, dtype, seed):
    rng = np.random.default_rng(seed)
    logits = rng.choice([-1e4, 0.0, 1e4], (3, 4, 5)).astype(dtype)
    _, held = case((3, 4, 5))
    for on_absence in MODES:
        assert_scores(scored(logits, name, on_absence=on_absence, **held), 4, 5)


@pytest.mark.parametrize("name", ALL)
def test_float32_and_float64_agree(name):
    logits, held = case(dtype=np.float32)
    single, double = scored(logits, name, **held), scored(logits.astype(np.float64), name, **held)
    np.testing.assert_allclose(single, double, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in ALL if rules[name].uses != "raw_logits"])
def test_probabilities_serve_as_well_as_their_logits(name):
    logits, held = case()
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(
        scored(p, name, outputs="probabilities", **held), scored(logits, name, **held), atol=1e-9
    )


@pytest.mark.parametrize("name", ALL)
def test_inputs_are_left_alone(name):
    logits, held = case()
    before = logits.copy(), {fact: array.copy() for fact, array in held.items()}
    for array in (logits, *held.values()):
        array.flags.writeable = False
    scored(logits, name, **held)
    np.testing.assert_array_equal(logits, before[0])
    for fact, array in held.items():
        np.testing.assert_array_equal(array, before[1][fact])


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("on_absence", MODES)
def test_parts_their_sum_and_the_finish_are_the_whole_rule(name, on_absence):
    rule = rules[name]
    logits, held = case()
    parts = parts_of(rule, logits, held, on_absence)
    assert all(set(part) == set(components_of(rule, 5, on_absence, {})) for part in parts)
    np.testing.assert_array_equal(
        finish(rule, {}, sums=total(parts)), scored(logits, name, on_absence=on_absence, **held)
    )


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("on_absence", MODES)
@given(seed=seeds)
@few
def test_a_party_may_be_missing(name, on_absence, seed):
    rule = rules[name]
    logits, held = case((4, 6, 5), seed)
    held["class_counts"][0, 2] = 0
    held["class_counts"][1:, 2] = 0 if seed % 2 else held["class_counts"][1:, 2]  # a class that only party 0 could know
    parts = parts_of(rule, logits, held, on_absence)
    for missing in range(4):
        assert_scores(finish(rule, {}, sums=total(parts[:missing] + parts[missing + 1 :])), 6, 5)
        assert_scores(finish(rule, {}, sums=parts[missing]), 6, 5)


@pytest.mark.parametrize("name", SUMS + PARTS)
@pytest.mark.parametrize("on_absence", MODES)
@given(seed=seeds, n_classes=st.integers(2, 8), kinds=st.tuples(*[st.sampled_from(
    ["one_hot", "half", "uniform", "extreme", "ordinary"])] * 2))  # fmt: skip
@few
def test_summands_stay_within_bounds_and_sensitivity(name, on_absence, seed, n_classes, kinds):
    rule = rules[name]
    rng = np.random.default_rng(seed)
    before, after = (rows(kind, 3, n_classes, rng)[None] for kind in kinds)
    _, held = case((2, 3, n_classes), seed)
    held = {fact: array[:1] for fact, array in held.items()}  # alone, it weighs the most that it can
    declared = components_of(rule, n_classes, on_absence, {})
    old, new = (parts_of(rule, logits, held, on_absence)[0] for logits in (before, after))
    for component, declaration in declared.items():
        for part in (old, new):
            assert part[component].min() >= declaration.lower
            assert part[component].max() <= declaration.upper
        moved = np.abs(new[component] - old[component])
        over_classes = declaration.axes in ("query_class", "class")
        l1 = moved.sum(-1) if over_classes else moved
        l2 = np.sqrt((moved**2).sum(-1)) if over_classes else moved
        assert np.max(l1) <= declaration.l1 * (1 + 1e-9)
        assert np.max(l2) <= declaration.l2 * (1 + 1e-9)


@pytest.mark.parametrize("name", ENROLLING)
@given(seed=seeds, n_classes=st.integers(1, 8))
@few
def test_enrolment_sums_stay_within_bounds_and_sensitivity(name, seed, n_classes):
    rule = rules[name]
    rng = np.random.default_rng(seed)
    held = [rng.dirichlet(np.full(n_classes, 0.1)) * 1e7 * 0.999 for _ in range(2)]
    old, new = (enrolment_part(rule, {"class_counts": counts, "data_size": counts.sum()}) for counts in held)
    for component, declaration in enrolment_components_of(rule, n_classes, {}).items():
        assert old[component].shape == declaration.shape(0, n_classes)
        assert declaration.lower <= old[component].min() <= old[component].max() <= declaration.upper
        moved = np.abs(new[component] - old[component])
        assert moved.sum() <= declaration.l1
        assert np.sqrt((moved**2).sum()) <= declaration.l2


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("on_absence", MODES)
def test_each_part_and_the_finish_are_the_whole_rule_and_a_party_may_be_missing(name, on_absence):
    rule = rules[name]
    logits, held = case()
    parts = parts_of(rule, logits, held, on_absence)
    assert all(set(part) == set(components_of(rule, 5, on_absence, {})) for part in parts)
    np.testing.assert_array_equal(
        finish(rule, {}, parts=side_by_side(parts)), scored(logits, name, on_absence=on_absence, **held)
    )
    for missing in range(4):
        assert_scores(finish(rule, {}, parts=side_by_side(parts[:missing] + parts[missing + 1 :])), 6, 5)


@pytest.mark.parametrize("name", [name for name in ALL if rules[name].asks_again])
def test_rules_that_ask_again_need_queries(name):
    logits, held = case()
    with pytest.raises(DoesNotFit, match="no queries") as caught:
        aggregate(logits, name, **held)
    assert "soft_vote" in caught.value.fits
    assert name not in caught.value.fits
