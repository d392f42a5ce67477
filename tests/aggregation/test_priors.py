"""Priors and coverage: by the formula, and where the two-way fit has a closed form."""

import numpy as np
import pytest

from fi_workbench.aggregation.apply import components_of, enrolment_part, finish, local_part, side_by_side, total
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import LocalView, rules
from fi_workbench.core.errors import InvalidAnswer

RNG = np.random.default_rng(2)
P = RNG.dirichlet(np.ones(4), (3, 6))
COUNTS = np.array([[30, 10, 0, 60], [10, 10, 20, 60], [0, 20, 20, 0]])


def of(rule, counts=COUNTS, answers=P, **given):
    return aggregate(answers, rule, outputs="probabilities", class_counts=counts, **given)


def two_way_by_least_squares(p, counts, smoothing=1.0, power=0.5):
    """The same fit by one dense weighted least squares problem per query, solved by numpy."""
    n_parties, n_queries, n_classes = p.shape
    prior = (counts + smoothing) / (counts + smoothing).sum(axis=1, keepdims=True)
    ratio = np.clip(np.log(p), -12, 0) - np.log(prior)[:, None]
    root = (counts.astype(float) ** power) ** 0.5
    design = np.zeros((n_parties, n_classes, n_classes + n_parties))
    for k in range(n_parties):
        for c in range(n_classes):
            design[k, c, c], design[k, c, n_classes + k] = root[k, c], -root[k, c]
    fitted = np.array(
        [
            np.linalg.lstsq(design.reshape(-1, n_classes + n_parties), (root * ratio[:, n]).ravel(), rcond=None)[0]
            for n in range(n_queries)
        ]
    )[:, :n_classes]
    powers = np.exp(fitted - fitted.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_two_way_fit_is_the_least_squares_solution():
    np.testing.assert_allclose(
        of("two_way_prior_corrected", n_sweeps=200), two_way_by_least_squares(P, COUNTS), rtol=1e-4
    )
    scores = of("two_way_prior_corrected", n_sweeps=200, power=1.0, smoothing=5.0)
    np.testing.assert_allclose(scores, two_way_by_least_squares(P, COUNTS, 5.0, 1.0), rtol=1e-4)


def test_two_way_of_even_parties_is_the_geometric_mean():
    geometric = np.exp(np.log(P).mean(axis=0))
    expected = geometric / geometric.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(of("two_way_prior_corrected", np.full((3, 4), 9)), expected)
    np.testing.assert_allclose(of("two_way_prior_corrected", np.zeros((3, 4))), expected)
    np.testing.assert_allclose(of("two_way_prior_corrected", np.full((3, 4), 9), power=0.0), expected)


def test_two_way_recovers_a_likelihood_that_each_party_sees_through_its_own_prior():
    likelihood = RNG.dirichlet(np.ones(4), 6)
    priors = RNG.dirichlet(np.full(4, 3.0), 3)
    answers = priors[:, None] * likelihood
    answers /= answers.sum(axis=-1, keepdims=True)
    counts = priors * 1e6
    np.testing.assert_allclose(of("two_way_prior_corrected", counts, answers), likelihood, rtol=1e-3)
    assert np.abs(of("soft_vote", counts, answers) - likelihood).max() > 0.05


@pytest.mark.parametrize("rule", ["two_way_prior_corrected", "coverage"])
def test_a_class_that_nobody_holds_is_not_answered(rule):
    counts = np.array([[5, 5, 0, 5]] * 3)
    answers = np.tile([[[0.01, 0.01, 0.97, 0.01]]], (3, 2, 1))
    np.testing.assert_array_equal(of(rule, counts, answers)[:, 2], 0)


def test_a_party_without_data_has_no_say_in_the_two_way_fit():
    counts = COUNTS.copy()
    counts[2] = 0
    alone = of("two_way_prior_corrected", counts[:2], P[:2], n_sweeps=200)
    np.testing.assert_allclose(of("two_way_prior_corrected", counts, n_sweeps=200)[:, [0, 1, 2, 3]], alone, rtol=1e-6)


def test_coverage_by_the_formula():
    mask = 0.3 * COUNTS.sum(axis=0) <= COUNTS
    covered = (mask[:, None] * P).sum(axis=0) / mask.sum(axis=0)
    np.testing.assert_allclose(of("coverage", share=0.3), covered / covered.sum(axis=1, keepdims=True))


def test_coverage_without_those_who_covered():
    rule = rules["coverage"]
    totals = total(enrolment_part(rule, {"class_counts": one}) for one in COUNTS)
    view = LocalView(P[2], "probabilities", facts={"class_counts": COUNTS[2]}, totals=totals)
    scores = finish(rule, {}, sums=local_part(rule, view, {}))
    expected = P[2] * (COUNTS[2] > 0)
    np.testing.assert_allclose(scores, expected / expected.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("rule", ["class_competence", "log_pool_competence", "coverage", "two_way_prior_corrected"])
def test_a_claim_counts_no_more_than_it_may(rule):
    over, clipped = COUNTS.copy(), np.minimum(COUNTS, 20)
    over[2] = [0, 50_000, 50_000, 0]
    clipped[2] = [0, 20, 20, 0]
    if rule == "two_way_prior_corrected":  # the prior that is taken out is the party's own affair
        part = local_part(
            rules[rule], LocalView(P[2], "probabilities", facts={"class_counts": over[2]}), {"max_claim": 20.0}
        )
        np.testing.assert_allclose(part["weight"], np.sqrt(clipped[2]))
    else:
        np.testing.assert_allclose(of(rule, over, max_claim=20.0), of(rule, clipped))
        assert np.abs(of(rule, over) - of(rule, clipped)).max() > 0.01 or rule == "coverage"


def test_who_claims_more_than_the_bound_breaks_the_declaration():
    rule = rules["class_competence"]
    honest = enrolment_part(rule, {"class_counts": np.array([90, 5])}, {"max_claim": 50.0})
    assert honest["class_totals"].tolist() == [50, 5]
    declared = rule.enrolment.components(2, max_claim=50.0)["class_totals"]
    with pytest.raises(InvalidAnswer, match="0 to 50"):
        declared.check(np.array([90.0, 5.0]), 0, 2, "'class_totals' of Bo")


def test_bounds_of_the_log_ratio_hold_at_the_most_lopsided_counts():
    rule = rules["two_way_prior_corrected"]
    facts = {"class_counts": np.array([1e7, 0, 0])}
    options = {"smoothing": 0.01}
    part = local_part(rule, LocalView(np.array([[0.0, 1e4, 0.0], [1e4, 0, 0]]), facts=facts), options)
    declared = components_of(rule, 3, "keep", options)["log_ratio"]
    assert part["log_ratio"].max() > declared.upper - 0.1
    assert part["log_ratio"].min() == pytest.approx(declared.lower, abs=1e-6)


def test_parts_come_from_each_party_and_are_finished_side_by_side():
    rule = rules["two_way_prior_corrected"]
    parts = [local_part(rule, LocalView(P[k], "probabilities", facts={"class_counts": COUNTS[k]}), {}) for k in (0, 2)]
    together = side_by_side(parts)
    assert {name: array.shape for name, array in together.items()} == {"log_ratio": (2, 6, 4), "weight": (2, 4)}
    np.testing.assert_array_equal(
        finish(rule, {}, parts=together), of("two_way_prior_corrected", COUNTS[[0, 2]], P[[0, 2]])
    )
