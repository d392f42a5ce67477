"""Known answers of the first-hour rules, computed by hand or by the formula as it stands in the literature."""

import numpy as np
import pytest

from fi_workbench.aggregation.apply import components_of, enrolment_part, finish, local_part, total
from fi_workbench.aggregation.competence import log_sensitivity
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import LocalView, rules
from fi_workbench.core.errors import DoesNotFit, InvalidParty

P = np.array(
    [[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], [[0.1, 0.6, 0.3], [0.3, 0.3, 0.4]]]
)
COUNTS = np.array([[30, 10, 0], [10, 10, 20], [0, 20, 20]])


def of(name, answers=P, **given):
    return aggregate(answers, name, outputs="probabilities", **given)


def test_hard_vote_counts_votes_and_ties_go_to_the_lowest_index():
    np.testing.assert_allclose(of("hard_vote"), [[1 / 3, 2 / 3, 0], [1 / 3, 1 / 3, 1 / 3]])
    assert of("hard_vote").argmax(1).tolist() == [1, 0]


def test_hard_vote_sees_what_the_softmax_rounds_away():
    near = np.array([[[0.0, 1e-9, -1.0]]], dtype=np.float32)
    assert aggregate(near, "soft_vote").argmax() == 0  # exp(-1e-9) is 1 in float32
    assert aggregate(near, "hard_vote").argmax() == 1


def test_soft_vote_is_the_mean():
    np.testing.assert_allclose(of("soft_vote"), P.mean(0))


def test_entropy_weighted_by_the_formula():
    w = np.exp((P * np.log(P)).sum(-1))
    np.testing.assert_allclose(of("entropy_weighted"), (w[..., None] * P).sum(0) / w.sum(0)[:, None])


def test_entropy_weighted_of_uniform_and_certain_parties():
    answers = np.array([[[0.25] * 4], [[1.0, 0, 0, 0]]])  # weights 1/4 and 1
    np.testing.assert_allclose(of("entropy_weighted", answers)[0, 0], (0.25 * 0.25 + 1) / 1.25)


def test_mean_logit_is_the_normalised_geometric_mean():
    geometric = np.exp(np.log(P).mean(0))
    np.testing.assert_allclose(of("mean_logit"), geometric / geometric.sum(-1, keepdims=True))
    logits = np.random.default_rng(0).normal(size=(3, 4, 5))
    powers = np.exp(logits.mean(0))
    np.testing.assert_allclose(aggregate(logits, "mean_logit"), powers / powers.sum(-1, keepdims=True))


def test_mean_logit_is_bounded():
    shout = np.array([[[0.0, 0.0, 1e4]], [[2.0, 0, 0]], [[2.0, 0, 0]]])
    assert aggregate(shout, "mean_logit").argmax() == 2
    assert aggregate(shout, "mean_logit", bound=1.0).argmax() == 0


def test_mean_logit_bounds_what_stands_out_not_where_the_row_stands():
    row = np.array([[[100.0, 103.0, 101.0]]])
    powers = np.exp(row[0])
    np.testing.assert_allclose(aggregate(row, "mean_logit", bound=5.0), powers / powers.sum())
    largest = np.array([[[1.0, 0.6, 0.6]]], np.float32) * (np.finfo(np.float32).max / 2)  # whose sum is no float32
    np.testing.assert_allclose(aggregate(largest, "mean_logit")[0, 0], 1.0)


def test_size_weighted_by_the_formula():
    n = np.array([1, 2, 5])
    np.testing.assert_allclose(of("size_weighted", data_sizes=n), (n[:, None, None] * P).sum(0) / 8)
    np.testing.assert_allclose(of("size_weighted", data_sizes=[0, 0, 0]), 1 / 3)
    # counts alone say the size too
    np.testing.assert_allclose(of("size_weighted", class_counts=COUNTS), P.mean(0))


def test_size_weighted_refuses_who_claims_too_much():
    with pytest.raises(InvalidParty, match=r"data_size 11 is above max_size 10"):
        of("size_weighted", data_sizes=[1, 2, 11], max_size=10.0)


def test_class_competence_by_the_formula():
    scores = (COUNTS / COUNTS.sum(0))[:, None] * P
    expected = scores.sum(0) / scores.sum((0, 2))[:, None]
    np.testing.assert_allclose(of("class_competence", class_counts=COUNTS), expected)
    np.testing.assert_allclose(of("class_competence", class_counts=COUNTS, on_absence="keep"), expected)


def test_log_pool_competence_by_the_formula():
    pooled = ((COUNTS / COUNTS.sum(0))[:, None] * np.clip(np.log(P), -12, 0)).sum(0)
    expected = np.exp(pooled) / np.exp(pooled).sum(-1, keepdims=True)
    for mode in ("renormalise", "keep"):
        np.testing.assert_allclose(of("log_pool_competence", class_counts=COUNTS, on_absence=mode), expected)


def test_prior_corrected_by_the_formula():
    smoothed = COUNTS + 1.0
    ratio = P / (smoothed / smoothed.sum(1, keepdims=True))[:, None]
    expected = (ratio / ratio.sum(-1, keepdims=True)).mean(0)
    np.testing.assert_allclose(of("prior_corrected", class_counts=COUNTS), expected)


def test_without_data_the_prior_is_even():
    np.testing.assert_allclose(of("prior_corrected", class_counts=np.zeros((3, 3))), P.mean(0))


@pytest.mark.parametrize("name", ["class_competence", "log_pool_competence"])
def test_a_class_that_nobody_holds_is_not_answered(name):
    counts = np.array([[5, 5, 0]] * 3)
    answers = np.tile([[[0.01, 0.01, 0.98]]], (3, 2, 1))
    for mode in ("renormalise", "keep"):
        assert (of(name, answers, class_counts=counts, on_absence=mode).argmax(1) != 2).all()


def sums_without(name, missing, on_absence):
    rule = rules[name]
    totals = total(enrolment_part(rule, {"class_counts": one}) for one in COUNTS)
    views = [
        LocalView(P[k], "probabilities", facts={"class_counts": COUNTS[k]}, totals=totals, on_absence=on_absence)
        for k in range(3)
        if k != missing
    ]
    return finish(rule, {}, sums=total(local_part(rule, view, {}) for view in views))


def test_those_present_share_the_weight_of_the_absent():
    w = COUNTS / COUNTS.sum(0)
    kept = (w[1:, None] * P[1:]).sum(0)
    shared = kept / w[1:].sum(0)
    np.testing.assert_allclose(sums_without("class_competence", 0, "keep"), kept / kept.sum(-1, keepdims=True))
    np.testing.assert_allclose(
        sums_without("class_competence", 0, "renormalise"), shared / shared.sum(-1, keepdims=True)
    )


def test_the_weight_of_the_absent_never_speaks_for_a_class():
    # party 0 holds three quarters of class 0; without it, "keep" must not read its silence as certainty
    scores = sums_without("log_pool_competence", 0, "keep")
    assert (scores[:, 0] < sums_without("log_pool_competence", 0, "renormalise")[:, 0]).all()


def test_sensitivities_are_attained():
    """The declared bounds are tight where this is claimed."""
    for name, n_classes in (("soft_vote", 4), ("hard_vote", 4), ("entropy_weighted", 4)):
        rule = rules[name]
        one, other = (local_part(rule, LocalView(1e4 * np.eye(n_classes)[[k]]), {}) for k in (0, 1))
        rows = next(key for key in one if one[key].ndim == 2)
        moved = np.abs(one[rows] - other[rows])
        component = components_of(rule, n_classes, "keep", {})[rows]
        assert moved.sum() == pytest.approx(component.l1)
        assert np.sqrt((moved**2).sum()) == pytest.approx(component.l2)


@pytest.mark.parametrize("n_classes", [2, 4, 10])
def test_sensitivity_of_logarithms_is_attained_by_two_halves(n_classes):
    rule = rules["log_pool_competence"]
    half = np.repeat([1e4, 0.0], n_classes // 2)[None]
    facts, totals = {"class_counts": np.ones(n_classes)}, {"class_totals": np.ones(n_classes)}
    one, other = (local_part(rule, LocalView(z, facts=facts, totals=totals), {}) for z in (half, half[:, ::-1]))
    moved = np.abs(one["weighted_log"] - other["weighted_log"])
    component = components_of(rule, n_classes, "keep", {})["weighted_log"]
    assert moved.sum() == pytest.approx(component.l1)
    assert np.sqrt((moved**2).sum()) == pytest.approx(component.l2)


@pytest.mark.parametrize("power", [1, 2])
def test_sensitivity_of_logarithms_of_very_many_classes(power):
    # a and b classes of 1/a and 1/b: the best split, by trying
    n_classes = 10**6
    a = np.unique(np.geomspace(1, n_classes, 20_000).astype(int))
    per_split = a * (12 - np.log(a).clip(max=12)) ** power
    best = max(per_split[a <= n_classes - one].max() + each for one, each in zip(a[:-1], per_split[:-1], strict=True))
    assert log_sensitivity(n_classes, power) == pytest.approx(best ** (1 / power), rel=1e-3)
    assert log_sensitivity(n_classes, power) >= best ** (1 / power) * (1 - 1e-12)


def test_claims_are_bounded():
    with pytest.raises(InvalidParty, match="at most 10000000 may be claimed"):
        of("class_competence", class_counts=COUNTS * 10**6)
    with pytest.raises(InvalidParty, match="claim 12000000 samples"):  # of all classes together
        of("class_competence", class_counts=np.full((3, 3), 4 * 10**6))


def test_competence_without_enrolment_is_refused():
    view = LocalView(P[0], "probabilities", facts={"class_counts": COUNTS[0]})
    with pytest.raises(DoesNotFit, match="class_totals"):
        local_part(rules["class_competence"], view, {})


def test_noisy_totals_do_not_break_the_bounds():
    totals = {"class_totals": np.array([1.0, -3.0, 0.0])}
    view = LocalView(P[1], "probabilities", facts={"class_counts": COUNTS[1]}, totals=totals)
    part = local_part(rules["class_competence"], view, {})
    np.testing.assert_array_equal(part["weight"], [1, 0, 0])


def test_noise_may_push_a_sum_below_zero():
    sums = {"weighted": np.array([[-0.3, -0.1], [0.0, 0.0]])}
    scores = finish(rules["class_competence"], {}, sums=sums)
    assert scores.argmax(1).tolist() == [1, 0]
    np.testing.assert_allclose(scores.sum(1), 1)


def test_energy_weighted_by_the_formula():
    logits = np.random.default_rng(8).normal(0, 3, (3, 4, 5))
    weights = np.exp(logits).sum(axis=-1) ** (1 / 2.0)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = (weights[..., None] * p).sum(axis=0) / weights.sum(axis=0)[:, None]
    np.testing.assert_allclose(aggregate(logits, "energy_weighted", temperature=2.0), expected)
    with pytest.raises(DoesNotFit, match="return probabilities"):
        of("energy_weighted")


def test_energy_is_clipped_to_its_reach():
    loud = np.array([[[500.0, 0.0]], [[0.0, 5.0]]])
    weights = np.exp([3.0, 3.0])
    p = np.exp(loud - loud.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    expected = np.average(p, axis=0, weights=weights)
    np.testing.assert_allclose(aggregate(loud, "energy_weighted", reach=3.0), expected)


@pytest.mark.parametrize("name", ["soft_vote", "hard_vote", "entropy_weighted", "class_competence"])
def test_noise_leaves_a_distribution(name):
    rule = rules[name]
    declared = components_of(rule, 3, "keep", {})
    sums = {"query_class": np.array([[-0.2, 0.6, 0.4], [-0.3, -0.1, -0.5]]), "query": np.full(2, 0.01), "scalar": 1.0}
    scores = finish(rule, {}, sums={key: np.asarray(sums[one.axes]) for key, one in declared.items()})
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert scores.argmax(axis=1).tolist() == [1, 1]
