import dataclasses

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.session.comparing import compare_rules
from fi_workbench.widgets.pages.compare.tables import spelled
from fi_workbench.widgets.pages.compare.verdict import party_shares, verdict

CLASSES = ("cat", "dog", "owl")
N_EACH = 20


def knowing(name, known, guess):
    """A party that is certain and right on the classes it knows, and says `guess` of all others, nearly as certain."""

    def model(queries):
        truth = np.asarray(queries).argmax(axis=1)
        says = np.where(np.isin(truth, known), truth, guess)
        sure = np.where(np.isin(truth, known), 0.98, 0.9)
        answers = np.repeat(((1 - sure) / 2)[:, None], 3, axis=1)
        answers[np.arange(len(says)), says] = sure
        return answers

    return fi.Party.from_callable(model, name=name, classes=CLASSES, input_shape=(3,), probe=False)


@pytest.fixture
def question():
    labels = np.repeat(np.arange(3), N_EACH)
    return np.eye(3, dtype=np.float32)[labels], labels


def compared(parties, question, rules):
    with fi.Federation(parties, history=None) as federation:
        return compare_rules(federation, question, rules)


def test_names_the_class_and_who_knows_it(question):
    parties = [knowing("A", [0, 1], 1), knowing("B", [0, 1], 1), knowing("C", [2], 2)]
    comparison = compared(parties, question, ["soft_vote", "self_competence"])
    truth = question[1]
    worst = comparison.outcomes[0]
    assert (worst.labels[truth == 2] == 1).all()  # two guesses outvote the one that knows
    names, shares = party_shares(comparison)
    assert names == ("A", "B", "C")
    np.testing.assert_array_equal(shares, [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    perfect = np.eye(3)[truth]
    comparison = dataclasses.replace(
        comparison, outcomes=(worst, dataclasses.replace(comparison.outcomes[1], scores=perfect))
    )
    assert verdict(comparison) == (
        "Best: Self competence, 100 %. Worst: Soft vote, 33.3 points behind. It loses most on class owl: 0 % right, "
        "against 100 %; it mostly says dog instead. Only C (100 % right) knows that class."
    )


def test_all_alike_and_no_labels(question):
    parties = [knowing("A", [0, 1, 2], 0), knowing("B", [0, 1, 2], 0)]
    comparison = compared(parties, question, ["soft_vote", "hard_vote"])
    assert verdict(comparison) == "All of them are right on 100 %."
    assert verdict(compared(parties, (question[0], None), ["soft_vote", "hard_vote"])) == ""
    assert party_shares(compared(parties, (question[0], None), ["soft_vote"]))[0] == ()


def test_a_class_that_nobody_knows(question):
    parties = [knowing("A", [0, 1], 0), knowing("B", [0, 1], 1)]
    comparison = compared(parties, question, ["soft_vote", "hard_vote"])
    best = dataclasses.replace(comparison.outcomes[1], scores=np.eye(3)[question[1]])
    said = verdict(dataclasses.replace(comparison, outcomes=(comparison.outcomes[0], best)))
    assert said.endswith("No party knows that class well; A does best, right on 0 %.")


def test_a_combiner_is_named_only_where_a_rule_has_several(question):
    comparison = compared([knowing("A", [0], 1), knowing("B", [1], 1)], question, ["soft_vote", "js_consensus"])
    one, other = (
        dataclasses.replace(comparison.outcomes[0], title=f"Stacked (combiner {digit * 16})") for digit in "ab"
    )
    assert spelled(dataclasses.replace(comparison, outcomes=(one,))).outcomes[0].title == "Stacked"
    titles = [each.title for each in spelled(dataclasses.replace(comparison, outcomes=(one, other))).outcomes]
    assert titles == [one.title, other.title]
    assert spelled(comparison).outcomes[1].title == "JS consensus"
