"""Contributions from sums alone: parts of the parties are asked the same, and their cost is in the round's."""

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import DoesNotFit
from tests.harness import CLASSES, SHAPE, linear_party, queries
from tests.session.test_linked import over
from tests.session.toy_link import ToyLink

EIGHT = tuple(f"party {k}" for k in range(8))
TOLD = {"contribution": "cohort_shapley"}


def blind_party(name):
    """A party that always names the last class, and is sure of it."""

    def model(asked):
        return np.tile(np.float32([0, 0, 12]), (len(asked), 1))

    return fi.Party.from_callable(model, name=name, classes=CLASSES, input_shape=SHAPE, outputs="logits")


def sighted_party(name, blur):
    """A party that names the largest of its first three inputs, all but rightly."""
    noise = np.random.default_rng(len(name)).normal(0, blur, (4, 3)).astype(np.float32)

    def model(asked):
        return 4 * (asked[:, :3] + asked @ noise)

    return fi.Party.from_callable(model, name=name, classes=CLASSES, input_shape=SHAPE, outputs="logits")


def labelled(n_round, n=24):
    asked = queries(n, seed=100 + n_round)
    return asked, asked[:, :3].argmax(axis=1)


def with_eight(make, **settings):
    return make(EIGHT, **TOLD, **settings)


@pytest.mark.parametrize("mechanism", ["sums_only", "secure_sum"])
def test_sums_tell_the_same_as_answers_in_the_clear(make, toys, mechanism):
    told = {}
    for name in ("plain", mechanism):
        federation = with_eight(make, mechanism=name, seed=3)
        records = [federation.ask(*labelled(n)) for n in range(4)]
        told[name] = records[-1].contribution_values, [record.cohorts for record in records]
        if name != "plain":
            assert all(record.answers is None for record in records)
    np.testing.assert_allclose(told["plain"][0], told[mechanism][0], atol=1e-9)
    assert told["plain"][1] == told[mechanism][1]
    assert all(cohorts for cohorts in told["plain"][1])


def test_who_adds_nothing_is_told_from_those_who_do(make, toys):
    parties = [*(sighted_party(f"sees{'!' * k}", 0.2) for k in range(6)), blind_party("blind")]
    federation = make(parties=parties, mechanism="sums_only", contribution="cohort_shapley", seed=1)
    for n_round in range(40):
        record = federation.ask(*labelled(n_round))
    values, errors = record.contribution_values, record.contribution_errors
    assert values.argmin() == 6
    assert values[6] + 2 * errors[6] < values[:6].min()
    np.testing.assert_allclose(federation.contributed.values, values)
    everybody = np.mean([one["accuracy"] for one in federation.history])
    assert values.sum() == pytest.approx(everybody)
    assert record.contributions[6] < 1 / 7 < record.contributions[:6].mean()
    assert record.payments.sum() == federation.settings.budget_micro


def test_cohorts_are_questions_of_their_own_and_no_rounds(make):
    policies = {name: fi.Policy(query_budget=10_000) for name in EIGHT}
    federation = with_eight(make, policies=policies)
    alone = make(EIGHT, contribution="equal").ask(queries(6))
    record = federation.ask(queries(6))
    (members,) = record.cohorts
    assert len(members) in (3, 4, 5)
    assert len(federation.history) == 1
    assert federation.history[0]["cohorts"] == [list(members)]
    assert record.cost.messages_out == alone.cost.messages_out + len(members)
    assert record.cost.messages_in == alone.cost.messages_in + len(members)
    assert record.cost.bytes_in > alone.cost.bytes_in
    assert record.cost.stage_seconds["cohorts"] > 0
    client = federation.client.public.verify_key.hex()
    booked = {party.name: federation.runtime.venue.side(party).journal.spent(client) for party in federation.parties}
    assert booked == {name: 12 if name in members else 6 for name in EIGHT}


def test_the_same_queries_go_to_the_same_cohorts(make):
    federation = with_eight(make)
    asked = [federation.ask(queries(6, seed)).cohorts for seed in (1, 2, 3, 4, 1, 2)]
    assert asked[4:] == asked[:2]
    assert len(set(asked)) > 1


def test_every_nth_round_is_valued_and_values_are_carried_on_between(make):
    federation = with_eight(make, contribution_options={"every": 3})
    records = [federation.ask(*labelled(n)) for n in range(5)]
    assert [bool(record.cohorts) for record in records] == [True, False, False, True, False]
    assert "cohorts" not in records[1].cost.stage_seconds
    assert all(record.contribution_values.shape == (8,) for record in records)


def test_those_who_refuse_or_fail_in_a_cohort_cost_the_round_nothing(make, troubled):
    troubled.mood = lambda n_asked: "well" if n_asked % 2 else "raises"  # its second question is the cohort's
    names = [f"party {k}" for k in range(7)]
    parties = [*map(linear_party, names), troubled.party]
    policies = {names[0]: fi.Policy(query_budget=6), names[1]: fi.Policy(min_cohort=8)}
    federation = make(parties=parties, policies=policies, **TOLD)
    answered = 0
    for seed in range(12):
        record = federation.ask(queries(6, seed))
        assert set(names[1:]) <= set(record.present)
        assert record.contribution_values is not None
        assert np.isfinite(record.contribution_values).all()
        if seed:
            assert record.contribution_values[record.parties.index(names[0])] == 0  # its budget is spent: absent
            assert names[0] not in record.present
        answered += len(record.cohorts)
    assert answered >= 6
    assert 0 < federation.contributed.n_evaluations < answered


def test_cohorts_that_all_refuse_leave_values_equal(make):
    federation = with_eight(make, policies={name: fi.Policy(min_cohort=8) for name in EIGHT})
    record = federation.ask(*labelled(0))
    assert record.accuracy > 0
    np.testing.assert_allclose(record.contribution_values, record.accuracy / 8)
    assert "do not tell all parties apart" in federation.contributed.note
    assert federation.contributed.n_evaluations == 0


def test_owners_who_answer_a_query_in_one_cohort_only_are_missing_from_the_others(make):
    policies = {name: fi.Policy(same_cohort=True) for name in EIGHT[:5]}
    federation = with_eight(make, mechanism="secure_sum", policies=policies)
    client, booked = federation.client.public.verify_key.hex(), {}
    for n_round in range(3):
        record = federation.ask(*labelled(n_round))
        assert record.present == EIGHT
        assert record.cohorts
        for name in {name for members in record.cohorts for name in members} - set(policies):
            booked[name] = booked.get(name, 0) + 24
    for party in federation.parties:
        spent = federation.runtime.venue.side(party).journal.spent(client)
        assert spent == 3 * 24 + booked.get(party.name, 0)


def test_what_cannot_be_is_refused_when_the_federation_is_made(make, toys):
    with pytest.raises(DoesNotFit, match=r"among 5 parties; it needs 6") as refused:
        make(EIGHT[:5], **TOLD)
    assert "cohort_shapley" not in refused.value.fits
    with pytest.raises(DoesNotFit, match="class_counts into the sum, the same in every round"):
        with_eight(make, mechanism="sums_only", rule="class_competence")
    assert make(EIGHT[:5], **TOLD, contribution_options={"least_difference": 2}).ask(queries()).cohorts
    record = with_eight(make, rule="class_competence").ask(queries())  # in the clear there is nothing to hide
    assert record.cohorts
    assert [stage for stage in record.cost.stage_seconds if stage == "enrol"] == ["enrol"]


def test_it_says_what_it_gives_away(make, toys):
    federation = with_eight(make, mechanism="sums_only", contribution_options={"every": 4})
    assert any("every 4th round" in text and "subtraction" in text for text in federation.disclosure.assumptions)
    assert federation.disclosure.needs["contribution cohort_shapley"] == "sum"
    other = federation.with_(contribution="equal").disclosure
    assert not any("subtraction" in text for text in other.assumptions)


@pytest.mark.parametrize("mechanism", ["gnmax", "distributed_gaussian"])
def test_under_noise_each_cohort_is_booked_as_another_release(make, mechanism):
    federation = with_eight(make, mechanism=mechanism, rule="hard_vote")
    record = federation.ask(*labelled(0))
    (members,) = record.cohorts
    client = federation.client.public.verify_key.hex()
    for party in federation.parties:
        account = federation.runtime.venue.side(party).journal.account(client)
        assert sum(account.events.values()) == 24 * (2 if party.name in members else 1)


def test_over_a_link_cohorts_are_asked_like_anybody():
    link = ToyLink()
    try:
        with over(link, **TOLD) as federation:
            for name in EIGHT:
                link.join(linear_party(name))
            record = federation.ask(*labelled(0))
            assert record.present == EIGHT
            assert record.cohorts
            assert federation.contributed.n_evaluations == len(record.cohorts)
            link.leave(EIGHT[0])
            later = federation.ask(*labelled(1))
            assert EIGHT[0] not in later.present
            assert all(EIGHT[0] not in members for members in later.cohorts)
    finally:
        link.close()
