"""Rules on plain arrays and both ends under bad input."""

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
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer, InvalidOption, InvalidParty, UnknownName
from fi_workbench.core.options import Between, options_of

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


@pytest.mark.parametrize(
    ("logits", "said"),
    [
        (np.zeros((3, 4)), r"\(3, 4\)"),
        (np.zeros((0, 4, 5)), r"\(0, 4, 5\)"),
        (np.zeros((3, 0, 5)), r"\(3, 0, 5\)"),
        (np.zeros((3, 4, 0)), r"\(3, 4, 0\)"),
        (np.full((1, 1, 2), np.nan), "Party 0 .* NaN"),
        (np.array([[[0.0, 1]], [[0, np.inf]]]), "Party 1 .* NaN"),
        ([[[0.0, 1.0]], [[0.0, 1.0, 2.0]]], "not one array"),
        ([[["a", "b"]]], "dtype"),
        (np.zeros((1, 1, 2), dtype=complex), "dtype"),
    ],
)
def test_answers_that_are_refused(logits, said):
    with pytest.raises(InvalidAnswer, match=said):
        aggregate(logits)


def test_probabilities_that_are_refused():
    with pytest.raises(InvalidAnswer, match=r"Party 0 .* do not sum to one"):
        aggregate([[[0.5, 0.6]]], outputs="probabilities")
    with pytest.raises(InvalidAnswer, match="negative probabilities"):
        aggregate([[[1.5, -0.5]]], outputs="probabilities")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"class_counts": np.ones((2, 5))}, r"\(2, 5\)"),
        ({"class_counts": np.ones(5)}, r"\(5,\)"),
        ({"class_counts": np.ones((3, 4))}, r"5 numbers|5 entries|\(5,\)"),
        ({"class_counts": np.full((3, 5), -1)}, "negative"),
        ({"class_counts": np.full((3, 5), np.nan)}, "NaN"),
        ({"class_counts": np.full((3, 5), "many")}, "dtype"),
    ],
)
def test_class_counts_that_are_refused(given, said):
    with pytest.raises((InvalidParty, InvalidAnswer), match=said):
        aggregate(LOGITS, "class_competence", **given)
    with pytest.raises((InvalidParty, InvalidAnswer), match=said):
        aggregate(LOGITS, "prior_corrected", **given)


@pytest.mark.parametrize("sizes", [[1, 2], [1, 2, -3], [1, 2, np.inf], [[1], [2], [3]]])
def test_data_sizes_that_are_refused(sizes):
    with pytest.raises(InvalidParty, match="data_size"):
        aggregate(LOGITS, "size_weighted", data_sizes=sizes)


def test_facts_that_are_missing_name_rules_that_need_none():
    with pytest.raises(DoesNotFit, match="class_counts") as caught:
        aggregate(LOGITS, "class_competence")
    assert "soft_vote" in caught.value.fits
    assert "class_competence" not in caught.value.fits


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


def test_unknown_rules_name_the_known_ones():
    with pytest.raises(UnknownName, match=r"Did you mean 'soft_vote'\?.*hard_vote"):
        aggregate(LOGITS, "soft_votes")
    with pytest.raises(UnknownName):
        aggregate(LOGITS, 3)


def test_torch_tensors_and_lists_and_integers():
    torch = pytest.importorskip("torch")
    expected = aggregate(LOGITS)
    np.testing.assert_array_equal(aggregate(torch.tensor(LOGITS, requires_grad=True)), expected)
    np.testing.assert_array_equal(aggregate(LOGITS.tolist()), expected)
    assert aggregate(np.array([[[3, 1]]])).argmax() == 0
    assert aggregate(LOGITS.astype(np.float16)).shape == (4, 5)


def test_a_plain_function_is_a_rule():
    def maximum(answers, *, power: Annotated[float, Between(1, 3)] = 1.0):
        return answers.max(axis=0) ** power

    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(aggregate(LOGITS, maximum), p.max(0))
    np.testing.assert_allclose(aggregate(LOGITS, maximum, power=2.0), p.max(0) ** 2)
    with pytest.raises(InvalidOption, match="power"):
        aggregate(LOGITS, maximum, power=9.0)
    np.testing.assert_allclose(aggregate(LOGITS, lambda answers: answers.mean(0)), p.mean(0))


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


def test_temperatures_divide_the_logits_of_their_party():
    temperatures = np.array([1.0, 2.0, 0.5])
    cooled = LOGITS / temperatures[:, None, None]
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    for rule in ("soft_vote", "mean_logit", "median"):
        np.testing.assert_allclose(aggregate(LOGITS, rule, temperatures=temperatures), aggregate(cooled, rule))
        of_probabilities = aggregate(p, rule, outputs="probabilities", temperatures=temperatures)
        np.testing.assert_allclose(of_probabilities, aggregate(cooled, rule), atol=1e-9)
    assert aggregate(LOGITS.astype(np.float32), temperatures=temperatures).shape == (4, 5)


@pytest.mark.parametrize("temperatures", [[1, 2], [[1], [2], [3]], [1, 0, 1], [1, -1, 1], [1, np.inf, 1], ["a"] * 3])
def test_temperatures_that_are_refused(temperatures):
    with pytest.raises(InvalidParty, match="temperatures"):
        aggregate(LOGITS, temperatures=temperatures)


def test_a_function_that_asks_for_them_is_told_the_parties():
    told = []

    def by_name(answers, parties, *, trusted="party 1"):
        told.append(parties)
        return answers[parties.index(trusted)]

    p = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(aggregate(LOGITS, by_name), p[1])
    named = aggregate(LOGITS, by_name, parties=["Ada", "Bo", "Cy"], trusted="Cy")
    np.testing.assert_allclose(named, p[2])
    rule = Rule("by_name", "", "", "", "", "each", "probabilities", frozenset(), options_of(by_name), combine=by_name)
    left = finish(rule, {"trusted": "Cy"}, answers=LOGITS[[0, 2]], parties=("Ada", "Cy"))
    np.testing.assert_allclose(left, p[2])
    assert told == [("party 0", "party 1", "party 2"), ("Ada", "Bo", "Cy"), ("Ada", "Cy")]


@pytest.mark.parametrize("parties", [["Ada"], ["Ada", "Bo", "Bo"]])
def test_names_that_do_not_name_each_party_are_refused(parties):
    with pytest.raises(InvalidParty, match="3 different names"):
        aggregate(LOGITS, "median", parties=parties)


def test_facts_and_outputs_that_are_missing_are_told_by_the_names_given():
    with pytest.raises(DoesNotFit, match="Bo lacks class_counts"):
        aggregate(LOGITS, "class_competence", parties=["Ada", "Bo", "Cy"])


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
