"""Parties are killed and restarted under a steady stream of rounds, and no round is lost or wrong."""

import os
from dataclasses import replace

import numpy as np
import pytest

import fi_workbench as fi
from benchmarks.processes import Usage
from benchmarks.soak import Plan, soak
from benchmarks.soak_checks import Judge, Outage, Soaked
from benchmarks.toy_parties import party_name, toy_party, toy_queries
from fi_workbench.core.records import Absence

SECONDS = float(os.environ.get("FI_WORKBENCH_SOAK_SECONDS", "120"))
STARTING_SECONDS = 120.0


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + STARTING_SECONDS + 120)
def test_no_round_is_lost_or_wrong_while_parties_are_killed(monkeypatch, tmp_path):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    plan = Plan(seconds=SECONDS, rate=10.0, kill_every_seconds=20.0)
    result = soak(plan)
    assert result.faults == []
    n_kills = len(result.back_seconds)
    assert n_kills >= (SECONDS - plan.kill_every_seconds) // plan.kill_every_seconds
    assert result.counts["rounds"] == result.asked
    assert result.counts["absences"] >= n_kills, "whoever was killed was missed"


# what the soak is judged by must see each fault


@pytest.fixture(scope="module")
def asked():
    """A record of three parties, and its queries."""
    queries = toy_queries(0, 4)
    with fi.Federation([toy_party(index) for index in range(3)], history=None) as federation:
        return federation.ask(queries), queries


@pytest.fixture
def judge():
    return Judge([party_name(index) for index in range(3)])


def without(record, index, reason="its node failed"):
    """The same record had this party been absent; its scores are those of all."""
    name = party_name(index)
    present = tuple(one for one in record.present if one != name)
    return replace(record, present=present, absent=(Absence(name, "predict", "unreachable", reason),))


def test_a_right_record_is_no_fault(judge, asked):
    record, queries = asked
    judge.judge(record, queries, 0.0, 1.0)
    assert judge.faults == []
    assert judge.counts == {"rounds": 1}


def test_scores_of_another_question_are_seen(judge, asked):
    record, _ = asked
    judge.judge(record, toy_queries(1, 4), 0.0, 1.0)
    assert judge.counts["wrong"] == 1


def test_scores_of_somebody_absent_are_seen(judge, asked):
    record, queries = asked
    judge.outages.append(Outage(party_name(1), killed_at=0.5))
    judge.judge(without(record, 1), queries, 0.0, 1.0)
    assert judge.counts["wrong"] == 1
    assert judge.counts["unexplained"] == 0


@pytest.mark.parametrize(
    ("killed", "killed_at", "back_at", "reason"),
    [
        (2, 0.5, 5.0, "its node failed"),  # another one was killed
        (1, 2.0, 5.0, "its node failed"),  # only later
        (1, -9.0, -1.0, "its node failed"),  # it was back by then
        (1, 0.5, 5.0, ""),  # nobody says why
    ],
)
def test_an_absence_that_no_kill_explains_is_seen(judge, asked, killed, killed_at, back_at, reason):
    record, queries = asked
    judge.outages.append(Outage(party_name(killed), killed_at, back_at=back_at))
    judge.judge(without(record, 1, reason), queries, 0.0, 1.0)
    assert judge.counts["unexplained"] == 1


def test_a_party_that_is_neither_present_nor_absent_is_seen(judge, asked):
    record, queries = asked
    judge.judge(replace(record, present=record.present[1:]), queries, 0.0, 1.0)
    assert judge.counts["wrong"] == 1


def test_two_records_of_one_round_are_seen(judge, asked):
    for _ in range(2):
        judge.judge(*asked, 0.0, 1.0)
    assert judge.counts["wrong"] == 1


def result_of(link_after, **changes):
    usage = Usage(1.0, 100 * 2**20, 20, 10)
    made = Soaked(
        10, 10.0, {"rounds": 10}, {}, {}, [], [], (usage, link_after), (usage, usage), [], []
    )  # fmt: skip
    return replace(made, **changes)


def test_what_grows_is_seen():
    usage = Usage(1.0, 100 * 2**20, 20, 10)
    assert result_of(usage).faults == []
    assert result_of(replace(usage, rss_bytes=usage.rss_bytes + 19 * 2**20)).faults == []
    for grown, word in (
        (replace(usage, rss_bytes=usage.rss_bytes + 21 * 2**20), "memory"),
        (replace(usage, n_descriptors=30), "descriptors"),
        (replace(usage, n_threads=20), "threads"),
    ):
        [fault] = result_of(grown).faults
        assert fault.startswith(word)


def test_a_round_without_a_record_is_seen():
    usage = Usage(1.0, 100 * 2**20, 20, 10)
    [fault] = result_of(usage, asked=11).faults
    assert fault.startswith("lost")


def test_a_round_that_raised_is_seen(judge):
    judge.lost(7, fi.NoAnswer("nobody"))
    assert judge.counts["lost"] == 1
    assert "question 7" in judge.faults[0]


def test_expected_scores_are_those_of_the_present_only(asked):
    record, queries = asked
    from benchmarks.toy_parties import expected_scores

    np.testing.assert_allclose(record.scores, expected_scores(record.present, queries), atol=1e-6)
    assert not np.allclose(record.scores, expected_scores(record.present[:2], queries), atol=1e-3)
