"""The scale study measures what it says, and its tables and picture show what was measured."""

import dataclasses

import pytest

import fi_workbench as fi
from benchmarks import scale, scale_point
from benchmarks.scale_picture import picture
from benchmarks.scale_point import Case, measure
from benchmarks.sites import Site, token_in
from benchmarks.toy_parties import party_name, toy_party, toy_queries


@pytest.fixture
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setattr(scale_point, "POINT_SECONDS", 0.0)


def test_an_embedded_point(quick):
    point = measure(Case("parties", "embedded", n_parties=3, n_queries=8))
    assert (point["x"], point["n_rounds"]) == (3, scale_point.MIN_ROUNDS)
    assert point["bytes_out"] > 3 * 8 * 64 * 4
    assert point["bytes_in"] > 3 * 8 * 10 * 4
    assert 0 < point["median_seconds"] <= point["p95_seconds"]
    assert point["peak_bytes"] >= point["resting_bytes"] > 0
    assert point["party_cpu_seconds"] is point["party_process_bytes"] is point["requests_per_second"] is None


def test_a_hosted_point_with_rounds_at_once(quick):
    point = measure(Case("askers", n_parties=4, n_queries=8, n_askers=3))
    assert (point["x"], point["n_rounds"]) == (3, 3 * scale_point.MIN_ROUNDS)
    assert point["requests_per_second"] == pytest.approx(2 * 4 * point["rounds_per_second"])
    assert point["party_process_bytes"] > 2**20


def test_a_wrong_answer_is_no_measurement():
    impostor = dataclasses.replace(toy_party(1), name=party_name(0))
    case = Case("parties", "embedded", n_parties=1, n_queries=4)
    with (
        fi.Federation([impostor], history=None) as federation,
        pytest.raises(AssertionError, match="Not equal to tolerance"),
    ):
        scale_point._checked_round(Site(federation, [], 0), case, toy_queries(0, 4))


def test_each_study_has_cases_that_vary_what_it_says():
    for study in scale.TITLES:
        hosted = [case for case in scale.CASES if (case.study, case.where) == (study, "hosted")]
        assert len(hosted) == len({case.x for case in hosted}) >= 4
    assert {case.n_parties for case in scale.CASES} >= {100, 1000}


def test_a_case_survives_json():
    for case in scale.CASES:
        assert Case.from_dict(case.to_dict()) == case


@pytest.fixture
def points():
    """As if measured: every case, later ones slower."""
    return [
        {
            **case.to_dict(), "median_seconds": 0.001 * number, "p95_seconds": 0.002 * number, "rounds_per_second": 1.0,
            "requests_per_second": 100.0, "bytes_out": 10**6, "bytes_in": 10**5, "link_cpu_seconds": 0.01,
            "party_cpu_seconds": None if case.where == "embedded" else 0.02, "peak_bytes": 2**28,
        }
        for number, case in enumerate(scale.CASES, start=1)
    ]  # fmt: skip


def test_the_tables_have_a_line_for_each_case(points):
    lines = scale.markdown(points).splitlines()
    assert sum(line.startswith("### ") for line in lines) == len(scale.TITLES)
    assert sum(line.startswith("| ") for line in lines) == len(scale.CASES) + 2 * len(scale.TITLES)
    assert sum("in the link's" in line for line in lines) == sum(case.where == "embedded" for case in scale.CASES)


def test_the_picture_has_every_point(points):
    figure = picture(points)
    drawn = {(trace.name, x, y) for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True)}
    assert drawn >= {(one["where"], one["x"], one["median_seconds"]) for one in points}
    assert drawn >= {(one["where"], one["x"], one["p95_seconds"]) for one in points}


@pytest.mark.parametrize("command", ["fi-workbench join --token abc --key k", "fi-workbench join --token=abc --key k"])
def test_the_token_of_an_invitation(command):
    assert token_in(command) == "abc"
