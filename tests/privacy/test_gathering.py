"""What a reply in the clear holds, and how replies become a release: sums, parts side by side, absences."""

import numpy as np
import pytest

from fi_workbench.aggregation import aggregate, rules
from fi_workbench.aggregation.apply import components_of
from fi_workbench.privacy.context import CoordinatorContext
from fi_workbench.privacy.plain import SUM, gather
from tests.harness import Table, linear_party, queries

NAMES = ("Ada", "Bo", "Cy")


@pytest.fixture
def table():
    made = Table([linear_party(name) for name in NAMES])
    yield made
    made.close()


def answers_of(table, asked):
    return np.stack([side.party.predict(asked) for side in table.sides.values()])


def counts_of(table):
    return np.array([side.party.facts.class_counts for side in table.sides.values()])


def test_a_rule_of_each_part_runs_in_the_clear(table):
    asked = queries()
    _, release, scores = table.run(asked, table.settings(rule="two_way_prior_corrected"))
    assert release.sums is None
    assert {name: part.shape for name, part in release.parts.items()} == {"log_ratio": (3, 6, 3), "weight": (3, 3)}
    expected = aggregate(answers_of(table, asked), "two_way_prior_corrected", class_counts=counts_of(table))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_rule_of_a_sum_releases_no_parts_and_one_of_answers_neither(table):
    asked = queries()
    _, release, _ = table.run(asked, table.settings(rule="soft_vote"))
    assert release.parts is None
    assert set(release.sums) == {"probabilities", "count"}
    _, release, scores = table.run(asked, table.settings(rule="median"))
    assert release.parts is release.sums is None
    np.testing.assert_allclose(scores, aggregate(answers_of(table, asked), "median"), atol=1e-6)


def test_a_combine_that_asks_for_names_gets_those_present(table):
    told = []

    def by_name(answers, parties):
        """Keeps the names it is told, for this test."""
        told.append(parties)
        return answers.mean(axis=0)

    from fi_workbench.aggregation import aggregation_rule

    aggregation_rule()(by_name)
    try:
        asked = queries()
        table.sides["Bo"].stop()
        table.run(asked, table.settings(rule="by_name"))
    finally:
        rules.remove("by_name")
    assert told == [("Ada", "Cy")]


def context(rule, absent, kind="answer", **options):
    components = components_of(rules[rule], 2, "renormalise", options)
    return CoordinatorContext(
        round_id="r", round_digest="d", kind=kind, cohort=NAMES, identities={},
        outputs=dict.fromkeys(NAMES, "probabilities"), n_queries=1, n_classes=2, rule_needs=rules[rule].needs,
        components=components, absent=lambda *told: absent.append(told),
    )  # fmt: skip


def reply(row, **parts):
    return {"answer": np.array([row], np.float32)} | {SUM + name: np.asarray(part) for name, part in parts.items()}


def test_replies_are_summed_where_a_rule_needs_a_sum():
    absent = []
    replies = {
        "Ada": reply([0.2, 0.8], probabilities=[[0.2, 0.8]], count=1.0),
        "Bo": reply([0.5, 0.5], probabilities=[[0.5, 0.5]], count=7.0),
        "Cy": reply([1.0, 0.0], probabilities=[[1.0, 0.0]], count=1.0),
    }
    release = gather(replies, context("soft_vote", absent))
    assert release.present == ("Ada", "Cy")
    np.testing.assert_allclose(release.sums["probabilities"], [[1.2, 0.8]])
    assert release.sums["count"] == 2
    assert release.outputs == ("probabilities",) * 2
    assert [(party, kind) for party, kind, _ in absent] == [("Bo", "invalid")]
    assert "'count' of Bo" in absent[0][2]


def test_parts_stay_apart_where_a_rule_needs_each_and_a_larger_claim_is_refused():
    absent = []
    replies = {
        "Ada": reply([0.2, 0.8], log_ratio=[[-1.0, 1.0]], weight=[1.0, 0.0]),
        "Bo": reply([0.2, 0.8], log_ratio=[[0.0, 2.0]], weight=[0.0, 10.0]),
        "Cy": reply([0.2, 0.8], log_ratio=[[0.0, 2.0]], weight=[0.0, 10.1]),
    }
    release = gather(replies, context("two_way_prior_corrected", absent, max_claim=100.0))
    assert release.present == ("Ada", "Bo")
    np.testing.assert_array_equal(release.parts["log_ratio"], [[[-1, 1]], [[0, 2]]])
    np.testing.assert_array_equal(release.parts["weight"], [[1, 0], [0, 10]])
    assert [party for party, *_ in absent] == ["Cy"]
    assert "0 to 10" in absent[0][2]


def test_nobody_left_releases_nothing():
    absent = []
    release = gather({"Ada": {}, "Bo": reply([np.nan, 1.0])}, context("soft_vote", absent))
    assert release.present == ()
    assert release.sums is release.parts is None
    assert len(absent) == 2
