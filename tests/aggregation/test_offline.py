"""Rules on plain arrays: what is taken, and what is refused by name."""

from typing import Annotated

import numpy as np
import pytest

from fi_workbench.aggregation.apply import (
    finish,
)
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import Rule
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer, InvalidOption, InvalidParty, UnknownName
from fi_workbench.core.options import Between, options_of

LOGITS = np.random.default_rng(0).normal(size=(3, 4, 5))


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
