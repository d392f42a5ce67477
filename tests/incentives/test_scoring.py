"""Proper scores: known answers, properness, and audits of a share."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.incentives.apply import contribute, estimate
from fi_workbench.incentives.contribution import ContributionView, contribution_methods
from fi_workbench.incentives.offline import contributions
from fi_workbench.incentives.running import Running
from fi_workbench.incentives.scoring import scores_of

METHOD = contribution_methods["proper_score"]


def case(rng, shape=(3, 400, 4)):
    return ContributionView(
        shape[0], rng.dirichlet(np.ones(shape[2]), shape[:2]), labels=rng.integers(0, shape[2], shape[1])
    )


@pytest.mark.parametrize("rule", ["log", "brier"])
def test_the_uniform_answer_scores_nothing_and_certainty_most(rule):
    p = np.array([[[0.25] * 4], [[1.0, 0, 0, 0]], [[0, 1.0, 0, 0]]])
    values = contributions(p, "proper_score", [0], outputs="probabilities", rule=rule)
    best, worst = {"log": (np.log(4), np.log(4e-12)), "brier": (0.75, -1.25)}[rule]
    np.testing.assert_allclose(values, [0, best, worst], atol=1e-12)


def test_it_equals_sklearn(rng):
    view = case(rng)
    for k in range(3):
        log = -log_loss(view.labels, view.answers[k], labels=range(4)) + np.log(4)
        brier = 0.75 - brier_score_loss(view.labels, view.answers[k], labels=range(4), scale_by_half=False)
        assert contribute(METHOD, view)[k] == pytest.approx(log)
        assert contribute(METHOD, view, {"rule": "brier"})[k] == pytest.approx(brier)


@pytest.mark.parametrize("rule", ["log", "brier"])
def test_no_answer_scores_more_in_expectation_than_the_belief(rng, rule):
    belief = rng.dirichlet(np.ones(3))
    told = np.concatenate([belief[None], rng.dirichlet(np.ones(3), 200), belief[None] ** 3 / (belief**3).sum()])
    expected = sum(
        chance * scores_of(told[:, None], np.array([label]), rule)[:, 0] for label, chance in enumerate(belief)
    )
    assert expected.argmax() == 0


def test_an_audit_of_a_share_is_seeded_and_says_how_far_it_may_be_off(rng):
    view = case(rng)
    whole = estimate(METHOD, view)
    assert whole.exact
    assert whole.standard_errors is None
    runs = [estimate(METHOD, view, {"share": 0.1, "seed": seed}) for seed in range(200)]
    assert not runs[0].exact
    np.testing.assert_array_equal(runs[0].values, estimate(METHOD, view, {"share": 0.1, "seed": 0}).values)
    spread = np.std([run.values for run in runs], axis=0)
    np.testing.assert_allclose(np.mean([run.standard_errors for run in runs], axis=0), spread, rtol=0.2)
    np.testing.assert_allclose(
        np.mean([run.values for run in runs], axis=0), whole.values, atol=4 * spread.max() / 200**0.5
    )
    one = estimate(METHOD, case(rng, (3, 1, 4)), {"share": 0.01})
    assert np.isfinite(one.values).all()


def test_a_stream_audits_its_share_of_each_round(rng):
    running = Running.begin(METHOD, {"share": 0.25}, 4)
    for _ in range(3):
        running = running.add(case(rng, (2, 10, 4)), [0, 3])
    assert running.state.n_audited.tolist() == [9, 0, 0, 9]
    assert running.state.n_queries.tolist() == [30, 0, 0, 30]
    assert running.estimate().values[[1, 2]].tolist() == [0, 0]


def test_each_round_audits_other_places(rng):
    view = case(rng, (2, 40, 4))
    first = Running.begin(METHOD, {"share": 0.25}, 2).add(view)
    second = first.add(view)
    assert (second.state.sums - first.state.sums != first.state.sums).all()


def test_labels_are_required(rng):
    with pytest.raises(DoesNotFit, match="true labels"):
        contribute(METHOD, ContributionView(3, case(rng).answers))
