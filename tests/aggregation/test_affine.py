"""Rules whose summand is affine in the logits say the same in both forms."""

import numpy as np
import pytest

from fi_workbench.aggregation.affine import affine_part, constants_of
from fi_workbench.aggregation.apply import components_of, finish, local_part, total
from fi_workbench.aggregation.rule import LocalView, rules
from fi_workbench.core.affine import Affine
from fi_workbench.core.errors import DoesNotFit

AFFINE = [name for name, rule in rules.items() if rule.affine is not None]
COUNTS = np.array([[30, 0, 5], [1, 9, 0], [0, 11, 15]])


def views(rule, seed=0, scale=4.0):
    logits = np.random.default_rng(seed).normal(0, scale, (len(COUNTS), 6, 3))
    totals = {"class_totals": COUNTS.sum(axis=0)} if rules[rule].enrolment else {}
    facts = [{"class_counts": counts, "data_size": int(counts.sum())} for counts in COUNTS]
    return [LocalView(z, facts=one, totals=totals, on_absence="keep") for z, one in zip(logits, facts, strict=True)]


def test_they_are_the_pools_of_logits():
    assert AFFINE == ["mean_logit", "size_weighted_logit", "class_weighted_logit"]


@pytest.mark.parametrize("name", AFFINE)
def test_the_map_of_the_logits_is_the_summand(name):
    rule, declared = rules[name], components_of(rules[name], 3, "keep", {})
    for view in views(name):
        summand, part = local_part(rule, view, {}), affine_part(rule, view.facts, view.totals, 3, {})
        assert set(part.maps) | set(constants_of(declared)) == set(summand) == set(declared)
        for component, mapped in part.maps.items():
            values = view.values @ mapped.matrix.T + mapped.offset
            wanted = summand[component] if summand[component].ndim else np.full((6, 1), summand[component])
            np.testing.assert_allclose(values, wanted, atol=1e-9)
        for component, value in constants_of(declared).items():
            assert summand[component] == value


@pytest.mark.parametrize("name", AFFINE)
def test_beyond_its_reach_it_clips_and_is_affine_no_more(name):
    """So a model must be known to stay within."""
    (view, *_), options = views(name, scale=500.0), {"bound": 20.0}
    part = affine_part(rules[name], view.facts, view.totals, 3, options)
    assert part.reach == 20.0
    component, mapped = next(iter(part.maps.items()))
    values = view.values @ mapped.matrix.T + mapped.offset
    assert np.abs(values - local_part(rules[name], view, options)[component]).max() > 1


def test_known_sums_of_two_parties():
    sizes, logits = np.array([30.0, 10.0]), np.array([[[2.0, -2.0]], [[-1.0, 1.0]]])
    both = [LocalView(z, facts={"data_size": n}, on_absence="keep") for z, n in zip(logits, sizes, strict=True)]
    rule = rules["size_weighted_logit"]
    scores = finish(rule, {}, sums=total(local_part(rule, view, {}) for view in both))
    z = (30 * 2 - 10 * 1) / 40  # and its negative in the other class
    np.testing.assert_allclose(scores, [[1 / (1 + np.exp(-2 * z)), 1 / (1 + np.exp(2 * z))]], atol=1e-12)


def test_who_holds_no_sample_of_a_class_says_nothing_of_it():
    view = views("class_weighted_logit")[0]
    assert (local_part(rules["class_weighted_logit"], view, {})["weighted"][:, 1] == 0).all()


def test_another_rule_is_refused_by_name():
    with pytest.raises(DoesNotFit, match=r"'soft_vote' is not affine in the logits.*mean_logit, size_weighted_logit"):
        affine_part(rules["soft_vote"], {}, {}, 3, {})


def test_maps_stack_in_their_order():
    stacked = Affine.stacked({"a": Affine(np.eye(2), np.zeros(2)), "b": Affine(np.zeros((1, 2)), np.array([7.0]))})
    assert stacked.matrix.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert stacked.offset.tolist() == [0, 0, 7]
