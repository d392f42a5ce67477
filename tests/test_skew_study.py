"""The study goes on where it was stopped, and its summary says what it measured."""

import numpy as np
import pandas as pd
import pytest

import fi_workbench as fi
from benchmarks import skew_study as study


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The study on two quick parties and a few hundred digits."""
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setattr(study, "N_PROXY", 100)
    monkeypatch.setattr(study, "N_AUGMENTED", 20)
    made = []

    def federation_of(cell):
        made.append(cell)
        return fi.Federation.demo(
            "digits", cell.n_parties, cell.alpha, cell.seed, "logistic_regression", epochs=2, history=None
        )

    monkeypatch.setattr(study, "federation_of", federation_of)
    return made


def test_every_rule_and_bound_is_measured_once_and_then_remembered(small):
    cell = study.Cell(2, 0.5, 0)
    rows = study.rows_of(cell)
    plain = {row["rule"] for row in rows if not row["calibrated"]}
    assert plain == {*fi.rules, *fi.bounds}
    assert {row["n_queries"] for row in rows if row["rule"] == "soft_vote"} == {359 - 100}
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    n_made = len(small)
    assert study.rows_of(cell) == rows
    assert len(small) == n_made


def test_a_stopped_cell_keeps_its_logits(small, monkeypatch):
    cell = study.Cell(2, 0.5, 1)
    monkeypatch.setattr(study, "augmented_rows", lambda cell: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        study.rows_of(cell)
    assert len(small) == 1
    held = study.answers_of(cell)
    assert len(small) == 1
    assert held["logits"].shape[::2] == (2, 10)


def test_gaps():
    cell = {"n_parties": 5, "alpha": 0.1, "seed": 0, "calibrated": False}
    rows = [
        {**cell, "rule": "soft_vote", "accuracy": 0.6},
        {**cell, "rule": "oracle", "accuracy": 1.0},
        {**cell, "rule": "other", "accuracy": 0.8},
    ]
    assert study.with_gaps(rows).gap_closed.tolist() == pytest.approx([0.0, 1.0, 0.5])


def test_the_committed_summary_is_whole():
    table = pd.read_csv(study.SUMMARY)
    assert {(k, a, s) for k, a, s in table[["n_parties", "alpha", "seed"]].to_numpy()} == {
        (cell.n_parties, cell.alpha, cell.seed) for cell in study.cells()
    }
    assert set(table.rule) == {*fi.rules, *fi.bounds}
    again = study.with_gaps(table.drop(columns="gap_closed").to_dict("records"))
    np.testing.assert_allclose(again.gap_closed, table.gap_closed, atol=1e-3)
