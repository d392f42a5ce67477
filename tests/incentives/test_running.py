"""Contributions over a stream equal one pass over its queries, at a price that does not grow with the stream."""

import numpy as np
import pytest

from fi_workbench.core.errors import DoesNotFit, InvalidData, InvalidOption
from fi_workbench.incentives.apply import estimate
from fi_workbench.incentives.contribution import ContributionView, contribution_methods, counting_method
from fi_workbench.incentives.estimate import Estimate
from fi_workbench.incentives.games import ensemble
from fi_workbench.incentives.running import MIXED, Running

ALL = sorted(contribution_methods)
CUTS = [7, 8, 40, 90]


def stream(rng, n_parties=4, n_queries=160, n_classes=3):
    """Parties of falling skill: answers, labels."""
    labels = rng.integers(0, n_classes, n_queries)
    logits = rng.normal(0, 1, (n_parties, n_queries, n_classes))
    logits[:, np.arange(n_queries), labels] += np.linspace(3.0, 1.0, n_parties)[:, None]
    p = np.exp(logits)
    return p / p.sum(-1, keepdims=True), labels


def view_of(p, labels=None):
    return ContributionView(len(p), p, p.argmax(-1), p.mean(0), labels)


def rounds_of(p, labels, cuts=CUTS):
    known = [None] * (len(cuts) + 1) if labels is None else np.split(labels, cuts)
    return [view_of(*both) for both in zip(np.split(p, cuts, axis=1), known, strict=True)]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("with_labels", [True, False])
def test_rounds_add_up_to_one_pass_over_all(rng, name, with_labels):
    method = contribution_methods[name]
    if method.labels == "required" and not with_labels:
        return
    p, labels = stream(rng, n_queries=600)
    labels = labels if with_labels else None
    running = Running.begin(method, {}, len(p))
    for view in rounds_of(p, labels, [50, 57, 200, 400]):
        running = running.add(view)
    found, whole = running.estimate(), estimate(method, view_of(p, labels))
    assert (running.n_rounds, running.n_queries, running.n_answered.tolist()) == (5, 600, [600] * 4)
    # Dawid-Skene keeps the counts of earlier rounds as they were then estimated
    np.testing.assert_allclose(found.values, whole.values, atol=0.02 if name == "dawid_skene_skill" else 1e-12)
    assert found.exact == whole.exact
    assert found.note == whole.note


@pytest.mark.parametrize("value", ["agreement", "log_score"])
def test_each_worth_of_coalitions_adds_up(rng, value):
    p, labels = stream(rng)
    for name in ("shapley", "banzhaf", "leave_one_out"):
        running = Running.begin(contribution_methods[name], {"value": value}, len(p))
        for view in rounds_of(p, labels):
            running = running.add(view)
        whole = estimate(contribution_methods[name], view_of(p, labels), {"value": value})
        np.testing.assert_allclose(running.estimate().values, whole.values, atol=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_who_misses_a_round_contributes_nothing_to_it(rng, name):
    method = contribution_methods[name]
    p, labels = stream(rng, n_parties=5, n_queries=300)
    running = Running.begin(method, {}, 5)
    first = running.add(view_of(p[:, :200], labels[:200]))
    second = first.add(view_of(p[[4, 0, 1, 3], 200:], labels[200:]), [4, 0, 1, 3])
    assert first.n_answered.tolist() == [200] * 5  # what was there is left as it was
    assert second.n_answered.tolist() == [300, 300, 200, 300, 300]
    values = second.estimate().values
    if method.accumulate is None:
        weights = (1, 1) if method.over_queries == "sum" else (2 / 3, 1 / 3)
        parts = [estimate(method, view_of(p[:, :200], labels[:200])).values, np.zeros(5)]
        parts[1][[4, 0, 1, 3]] = estimate(method, view_of(p[[4, 0, 1, 3], 200:], labels[200:])).values
        np.testing.assert_allclose(values, weights[0] * parts[0] + weights[1] * parts[1], atol=1e-12)
    else:
        alone = estimate(method, view_of(p[:, :200], labels[:200])).values
        if name not in ("dawid_skene_skill", "peer_truth_serum"):  # where the others' later votes say more of its own
            assert values[2] == pytest.approx(alone[2] * 2 / 3, abs=1e-12)
        assert values[2] < alone[2]


@pytest.mark.parametrize("name", ALL)
def test_the_thousandth_round_costs_what_the_first_did(rng, name, monkeypatch):
    """Queries handed to the method and numbers kept, not seconds, are counted."""
    method = contribution_methods[name]
    p, labels = stream(rng, n_queries=4)
    view, work, seen = view_of(p, labels), [], []
    for part in ("all_values", "values_without"):
        original = getattr(ensemble.EnsembleGame, part)

        def counted(game, original=original):
            seen.append(game.answers.size)
            return original(game)

        monkeypatch.setattr(ensemble.EnsembleGame, part, counted)
    running = Running.begin(method, {}, len(p))
    for _ in range(1000):
        seen.clear()
        # a view of its own each round: nothing may be kept on it
        running = running.add(view_of(view.answers, view.labels))
        work.append((sum(seen), numbers_in(running.state)))
    assert len(set(work)) == 1
    assert running.n_rounds == 1000


def numbers_in(state):
    if isinstance(state, np.ndarray):
        return state.size
    if hasattr(state, "__dataclass_fields__"):
        return sum(numbers_in(getattr(state, name)) for name in state.__dataclass_fields__)
    return 1


def test_a_counting_method_sees_each_round_once(rng):
    calls = []

    def added(before, view, *, step: int = 1):
        calls.append(view.n_queries)
        return (before or 0) + step * view.n_queries

    try:

        @counting_method(accumulate=added, needs="nothing", formula="n", source="this test")
        def queries_seen(total, *, factor: float = 1.0):
            """How many queries there were, for this test."""
            return np.full(3, factor * total)

        method = contribution_methods["queries_seen"]
        assert [option.name for option in method.options] == ["step", "factor"]
        running = Running.begin(method, {"step": 2, "factor": 0.5}, 3)
        for n_queries in (5, 6, 7):
            running = running.add(ContributionView(3, scores=np.ones((n_queries, 2))))
            assert running.estimate().values.tolist() == [running.n_queries] * 3
        assert calls == [5, 6, 7]
    finally:
        contribution_methods.remove("queries_seen")


def test_sampled_rounds_draw_anew_and_their_errors_shrink(rng):
    p, labels = stream(rng, n_parties=6, n_queries=40)
    options = {"exact_up_to": 1, "budget": 240}
    one = estimate(contribution_methods["shapley"], view_of(p, labels), options)
    running = Running.begin(contribution_methods["shapley"], options, 6)
    for _ in range(25):
        running = running.add(view_of(p, labels))
    found = running.estimate()
    assert not found.exact
    assert found.n_evaluations == 25 * one.n_evaluations
    np.testing.assert_allclose(found.standard_errors, one.standard_errors / 5, rtol=0.5)
    exact = estimate(contribution_methods["shapley"], view_of(p, labels)).values
    assert (np.abs(found.values - exact) <= 4 * found.standard_errors + 1e-12).all()
    assert np.abs(found.values - one.values).max() > 1e-6


def test_errors_of_who_missed_rounds_shrink_with_the_values(rng):
    p, labels = stream(rng, n_queries=80)
    method, options = contribution_methods["proper_score"], {"share": 0.5}
    one = Running.begin(method, options, 4).add(view_of(p, labels))
    two = one.add(view_of(p[:3], labels), [0, 1, 2])
    assert two.estimate().values[3] == pytest.approx(one.estimate().values[3] / 2)
    assert two.estimate().standard_errors[3] == pytest.approx(one.estimate().standard_errors[3] / 2)


def test_one_round_that_cannot_tell_its_error_leaves_it_open_and_notes_are_kept(rng):
    p, labels = stream(rng, n_queries=40)
    method = contribution_methods["shapley"]
    running = Running.begin(method, {"exact_up_to": 1, "budget": 100}, 4)
    sampled = running.add(view_of(p, labels), known=Estimate(np.ones(4), np.full(4, 0.1), 8, exact=False, note="Few."))
    assert sampled.estimate().standard_errors.tolist() == [0.1] * 4
    blind = sampled.add(view_of(p, labels), known=Estimate(np.ones(4), None, 4, exact=False))
    assert blind.estimate().standard_errors is None
    again = blind.add(view_of(p, labels), known=Estimate(np.ones(4), np.full(4, 0.1), 8, exact=False))
    assert again.estimate().standard_errors is None
    assert again.estimate().note == "Few."
    assert again.estimate().n_evaluations == 20


def test_rounds_with_and_without_labels_are_remarked_on(rng):
    p, labels = stream(rng)
    running = Running.begin(contribution_methods["shapley"], {}, 4).add(view_of(p, labels))
    assert running.estimate().note == ""
    assert running.add(view_of(p)).estimate().note == MIXED
    counted = Running.begin(contribution_methods["final_agreement"], {}, 4).add(view_of(p, labels)).add(view_of(p))
    assert counted.estimate().note == ""


def test_what_is_refused(rng):
    p, _ = stream(rng)
    shapley = contribution_methods["shapley"]
    with pytest.raises(InvalidOption, match="no_such"):
        Running.begin(shapley, {"no_such": 1}, 4)
    with pytest.raises(InvalidData, match="at least one"):
        Running.begin(shapley, {}, 0)
    running = Running.begin(shapley, {}, 4)
    with pytest.raises(InvalidData, match="No round"):
        running.estimate()
    for rows in ([0, 1, 2], [0, 1, 2, 4], [0, 1, 1, 2], [-1, 0, 1, 2], [0.0, 1.0, 2.0, 3.0]):
        with pytest.raises(InvalidData, match="different positions"):
            running.add(view_of(p), rows)
    with pytest.raises(InvalidData, match="different positions"):
        running.add(view_of(p[:3]))
    with pytest.raises(DoesNotFit, match="true labels"):
        Running.begin(contribution_methods["proper_score"], {}, 4).add(view_of(p))


def test_an_estimate_is_checked(rng):
    method = contribution_methods["equal"]
    from dataclasses import replace

    view = view_of(stream(rng)[0])
    wrong = (Estimate(np.ones(3)), Estimate(np.ones(4), np.array([0.1, -1, 0, 0])), Estimate(np.ones(4), np.ones(3)))
    for returned in wrong:
        with pytest.raises(InvalidData, match="equal"):
            estimate(replace(method, function=lambda _view, returned=returned: returned), view)
