"""Both ends of a rule, and what is held against its declaration."""

import dataclasses
from typing import Annotated

import numpy as np
import pytest

from fi_workbench.aggregation.apply import (
    check_facts,
    check_outputs,
    enrolment_part,
    finish,
    local_part,
    side_by_side,
    total,
)
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import Component, LocalView, Rule, aggregation_rule, each_rule, rules, sum_rule
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer, InvalidParty
from fi_workbench.core.options import Between

LOGITS = np.random.default_rng(0).normal(size=(3, 4, 5))


@pytest.fixture
def register():
    """Register rules for one test."""
    before = set(rules)
    yield
    for name in set(rules) - before:
        rules.remove(name)


def broken(**changes):
    """A soft vote whose ends were tampered with."""
    return dataclasses.replace(rules["soft_vote"], **changes)


def test_facts_are_checked_at_the_party_too():
    view = LocalView(LOGITS[0], facts={}, totals={"class_totals": np.ones(5)})
    with pytest.raises(InvalidParty, match="holds no class_counts"):
        local_part(rules["class_competence"], view, {})
    with pytest.raises(InvalidParty, match="holds no data_size"):
        local_part(rules["size_weighted"], view, {})
    with pytest.raises(InvalidParty, match="holds no class_counts"):
        enrolment_part(rules["class_competence"], {})
    with pytest.raises(InvalidAnswer, match="class_totals"):
        enrolment_part(rules["class_competence"], {"class_counts": np.ones(4)}, n_classes=5)
    assert enrolment_part(rules["soft_vote"], {}) == {}


@pytest.mark.usefixtures("register")
def test_the_example_of_the_house_works_entire():
    @aggregation_rule(needs="each")
    def own_trimmed_mean(answers, *, trim: Annotated[float, Between(0, 0.5)] = 0.2):
        """Mean per class, after dropping the `trim` share of parties at either end."""
        n_drop = min(int(trim * len(answers)), (len(answers) - 1) // 2)
        ranked = np.sort(answers, axis=0)
        return ranked[n_drop : len(answers) - n_drop].mean(axis=0)

    assert rules["own_trimmed_mean"].options[0].limits == Between(0, 0.5)
    by_name = aggregate(LOGITS, "own_trimmed_mean", trim=0.5)
    np.testing.assert_array_equal(by_name, aggregate(LOGITS, own_trimmed_mean, trim=0.5))
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(by_name, np.median(p, axis=0))


@pytest.mark.usefixtures("register")
def test_a_rule_of_votes_gets_one_hot_votes_and_cannot_change_the_answers():
    @aggregation_rule(needs="votes", formula="f", source="s")
    def plurality(votes):
        """Most votes win, spelled out for this test."""
        assert set(np.unique(votes)) == {0.0, 1.0}
        votes *= 2
        return votes.sum(axis=0)

    before = LOGITS.copy()
    np.testing.assert_array_equal(aggregate(LOGITS, plurality).argmax(1), aggregate(LOGITS, "hard_vote").argmax(1))
    np.testing.assert_array_equal(LOGITS, before)


def test_a_registered_sum_rule_given_as_function_keeps_its_two_ends():
    from fi_workbench.aggregation.voting import soft_vote

    np.testing.assert_array_equal(aggregate(LOGITS, soft_vote), aggregate(LOGITS, "soft_vote"))
    np.testing.assert_array_equal(aggregate(LOGITS, rules["soft_vote"]), aggregate(LOGITS, "soft_vote"))


@pytest.mark.usefixtures("register")
def test_each_end_takes_only_its_own_options():
    @sum_rule(
        components=lambda n_classes, on_absence, *, reach=2.0: {"x": Component("query_class", -reach, reach, 1, 1)},
        finish=lambda sums, *, shift=1.0: sums["x"] + shift,
    )
    def shifted(view, *, scale: Annotated[float, Between(0, 10)] = 1.0):
        """Scaled and shifted, for this test."""
        return {"x": scale * view.probabilities}

    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(aggregate(LOGITS, "shifted", scale=2.0, shift=3.0), 2 * p.sum(0) + 3)
    with pytest.raises(InvalidAnswer, match=r"'x' of 'shifted'.*bounds"):
        aggregate(LOGITS, "shifted", scale=10.0)


@pytest.mark.parametrize(
    ("summand", "said"),
    [
        ({"probabilities": np.zeros((4, 5))}, "count"),
        ({"probabilities": np.zeros((4, 5)), "count": np.ones(()), "more": np.ones(())}, "more"),
        ({"probabilities": np.zeros((5, 4)), "count": np.ones(())}, r"'probabilities'.*\(5, 4\)"),
        ({"probabilities": np.full((4, 5), np.nan), "count": np.ones(())}, "'probabilities'"),
        ({"probabilities": np.full((4, 5), 1.1), "count": np.ones(())}, "'probabilities'.*bounds"),
        ({"probabilities": np.zeros((4, 5)), "count": 2.0}, "'count'"),
        ({"probabilities": np.zeros((4, 5)), "count": "one"}, "'count'"),
    ],
)
def test_a_summand_that_breaks_its_declaration_is_refused_by_component(summand, said):
    with pytest.raises(InvalidAnswer, match=said):
        local_part(broken(local=lambda view: summand), LocalView(LOGITS[0]), {})


def test_rounding_is_clipped_back_to_the_bounds():
    part = {"probabilities": np.full((4, 5), 1 + 1e-7), "count": np.ones(())}
    assert local_part(broken(local=lambda view: part), LocalView(LOGITS[0]), {})["probabilities"].max() == 1.0


@pytest.mark.parametrize("scores", [np.zeros(4), np.full((4, 5), np.nan), np.array([["a"]]), None])
def test_scores_that_break_the_contract_are_refused(scores):
    with pytest.raises(InvalidAnswer, match="soft_vote"):
        aggregate(LOGITS, broken(finish=lambda sums: scores))
    with pytest.raises(InvalidAnswer, match="returned"):
        aggregate(LOGITS, lambda answers: scores)


def test_what_a_rule_needs_must_be_there():
    each = Rule(
        "each_rule", "", "", "", "", "each", "probabilities", frozenset(), (), combine=lambda answers: answers[0]
    )
    with pytest.raises(DoesNotFit, match="none were given"):
        finish(each, {})
    with pytest.raises(DoesNotFit, match="no party-side part"):
        local_part(each, LocalView(LOGITS[0]), {})
    with pytest.raises(DoesNotFit, match="finishes a sum"):
        finish(rules["soft_vote"], {}, answers=LOGITS)
    with pytest.raises(DoesNotFit, match="no party is present"):
        total([])


def test_parties_may_differ_in_what_they_return():
    each = Rule(
        "mean", "", "", "", "", "each", "probabilities", frozenset(), (), combine=lambda answers: answers.mean(0)
    )
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    mixed = finish(each, {}, answers=(LOGITS[0], p[1], LOGITS[2]), outputs=("logits", "probabilities", "logits"))
    np.testing.assert_allclose(mixed, p.mean(0))


def test_raw_logits_refuse_parties_that_return_probabilities():
    raw = Rule("energy", "", "", "", "", "each", "raw_logits", frozenset(), (), combine=lambda answers: answers.mean(0))
    check_outputs(raw, {"ada": "logits"})
    with pytest.raises(DoesNotFit, match="bob return probabilities") as caught:
        check_outputs(raw, {"ada": "logits", "bob": "probabilities"})
    assert "mean_logit" in caught.value.fits
    with pytest.raises(DoesNotFit):
        aggregate([[[0.5, 0.5]]], raw, outputs="probabilities")
    check_outputs(rules["mean_logit"], {"bob": "probabilities"})


def test_facts_of_parties_are_compared_by_name():
    check_facts(rules["size_weighted"], {"ada": {"data_size"}})
    with pytest.raises(DoesNotFit, match="bob lacks data_size") as caught:
        check_facts(rules["size_weighted"], {"ada": {"data_size"}, "bob": {"class_counts"}})
    assert "size_weighted" not in caught.value.fits
    assert "soft_vote" in caught.value.fits


def test_sums_are_kept_apart_from_their_parts():
    part = {"x": np.ones(3, dtype=np.float32)}
    summed = total([part, part])
    assert summed["x"].tolist() == [2, 2, 2]
    assert part["x"].tolist() == [1, 1, 1]


@pytest.mark.usefixtures("register")
def test_a_rule_of_each_part_gets_them_side_by_side():
    @each_rule(
        components=lambda n_classes, on_absence: {"own": Component("query_class", 0, 1, 2, 2)},
        finish=lambda parts, *, k=0: parts["own"][k],
    )
    def one_of_them(view):
        """The part of one party, for this test."""
        return {"own": view.probabilities}

    rule = rules["one_of_them"]
    assert (rule.needs, rule.gathers, rules["soft_vote"].gathers, rules["median"].gathers) == (
        "each", "parts", "sum", "answers",
    )  # fmt: skip
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(aggregate(LOGITS, one_of_them, k=2), p[2])
    with pytest.raises(DoesNotFit, match="finishes each party's part"):
        finish(rule, {}, sums={"own": p[0]}, answers=LOGITS)
    with pytest.raises(DoesNotFit, match="no party is present"):
        side_by_side([])
