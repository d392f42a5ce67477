"""Contributions by the parties' own word: how often the released label was theirs, where nobody sees their votes."""

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import DoesNotFit
from tests.harness import linear_party, queries
from tests.session.test_linked import over
from tests.session.toy_link import ToyLink

WORD = {"contribution": "released_agreement"}
ASKED = queries(20)


def true_agreement(federation, record):
    given = np.stack([party.predict(ASKED).argmax(axis=1) for party in federation.parties])
    return (given == record.labels).mean(axis=1)


@pytest.mark.parametrize("mechanism", ["plain", "sums_only", "secure_sum", "commit_reveal"])
def test_it_is_the_agreement_that_votes_would_show(make, toys, mechanism):
    federation = make(mechanism=mechanism, **WORD)
    record = federation.ask(ASKED)
    expected = true_agreement(federation, record)
    np.testing.assert_allclose(record.contribution_values, expected)
    assert 0 < expected.min() < 1
    np.testing.assert_allclose(record.contributions, expected / expected.sum())
    np.testing.assert_allclose(federation.contributed.values, expected)
    alone = federation.with_(contribution="equal").ask(ASKED)
    assert record.cost.messages_out == alone.cost.messages_out + 3
    assert record.cost.messages_in == alone.cost.messages_in + 3
    assert record.cost.stage_seconds["released"] > 0
    assert record.cohorts == ()


def test_a_liar_says_always_and_is_believed(make):
    federation = make(**WORD)
    federation.behave("Bo", "over_claimed_agreement")
    record = federation.ask(ASKED)
    expected = true_agreement(federation, record)
    assert expected[1] < 1
    np.testing.assert_allclose(record.contribution_values, [expected[0], 1, expected[2]])
    assert "liar" in " ".join(fi.contribution_methods["released_agreement"].function.__doc__.split())


def test_who_answers_under_noise_of_its_own_speaks_of_the_noisy_answer(make):
    federation = make(mechanism="randomised_response", mechanism_options={"epsilon": 0.1}, rule="hard_vote", **WORD)
    record = federation.ask(ASKED)
    assert record.contribution_values.min() > 0
    assert federation.contributed.note == ""


def test_noise_on_the_sum_does_not_cover_it_and_the_parties_keep_silent(make):
    federation = make(mechanism="gnmax", rule="hard_vote", **WORD)
    record = federation.ask(ASKED)
    np.testing.assert_array_equal(record.contribution_values, 0)
    np.testing.assert_allclose(record.contributions, 1 / 3)
    assert federation.contributed.note.startswith("3 of 3 parties did not say")


def test_too_few_queries_and_who_is_absent_earn_nothing(make, troubled):
    federation = make(parties=[linear_party("Ada"), troubled.party, linear_party("Cy")], **WORD)
    np.testing.assert_array_equal(federation.ask(queries(4)).contribution_values, 0)
    troubled.mood = "raises"
    record = federation.ask(ASKED)
    assert record.present == ("Ada", "Cy")
    assert record.contribution_values[1] == 0
    assert record.contribution_values[[0, 2]].min() > 0


def test_it_is_refused_where_the_coordinator_may_not_see_the_labels(make):
    pytest.importorskip("tenseal")
    with pytest.raises(DoesNotFit, match="by way of the coordinator") as refused:
        make(mechanism="encrypted_sum", **WORD)
    assert "equal" in refused.value.fits
    assert "released_agreement" not in refused.value.fits


def test_it_says_what_it_gives_away(make):
    told = make(**WORD).disclosure.assumptions
    assert any("one number a round, unchecked" in text for text in told)


def test_over_a_link_as_anywhere():
    link = ToyLink()
    try:
        with over(link, **WORD) as federation:
            sides = [link.join(linear_party(name)) for name in ("Ada", "Bo")]
            record = federation.ask(ASKED)
            given = np.stack([side.party.predict(ASKED).argmax(axis=1) for side in sides])
            np.testing.assert_allclose(record.contribution_values, (given == record.labels).mean(axis=1))
    finally:
        link.close()
