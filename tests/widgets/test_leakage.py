"""The leakage page: what it measures, what it compares, what it says, what stops it."""

import csv
import io
import json

import pytest
import traitlets

from fi_workbench.core.errors import FederationError
from fi_workbench.session.leaking.leakage import leakage, n_leakage_queries
from fi_workbench.session.leaking.result import Leakage, LeakageRow
from fi_workbench.session.trading_off.result import Setting
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.leakage import page as leakage_page
from fi_workbench.widgets.pages.leakage import words
from fi_workbench.widgets.pages.leakage.page import LeakagePage
from fi_workbench.widgets.pages.leakage.words import Run
from fi_workbench.widgets.views import LeakDots
from tests.widgets.conftest import eventually


@pytest.fixture
def desk(demo):
    desk = Desk.new()
    desk.driver.take(demo)
    yield desk
    desk.close()
    assert desk.wait(20)


@pytest.fixture
def page(desk):
    page = LeakagePage(desk)
    page.open()
    page.choice.size.value = 100
    page.choice.meters.value = ("confidence_attack", "label_distribution")
    return page


def measured(desk, page):
    page.go.click()
    # the buttons follow the state a moment after it has changed
    assert eventually(lambda: desk.state.task is None and not page._measuring and page.halt.disabled, 30)
    assert eventually(lambda: not page.go.disabled)
    return page.runs


def row(meter="confidence_attack", figure="AUC", value=0.7, low=0.6, high=0.8, n=200, baseline=0.5, note=""):
    return LeakageRow(meter, figure, value, low, high, n, baseline, "each answer of A", note)


ROW = row()


def run(number=1, mechanism="plain", rows=(ROW,), **fields):
    found = Leakage(
        **{
            "role": "coordinator", "target": "A", "rule": "soft_vote", "mechanism": mechanism, "sees": "answers",
            "seen": "each answer of A", "rows": rows, "curves": {}, "left_out": {}, "n_members": 100,
            "n_non_members": 100, "n_reference": 0, "n_probes": 0, "n_rounds": 1, "n_queries": 200, "seconds": 1.0,
            "complete": True, **fields,
        }
    )  # fmt: skip
    return Run(number, Setting("soft_vote", mechanism), found)


class TestWords:
    def test_a_run_is_named_by_what_it_was_measured_under(self):
        noised = Run(2, Setting("hard_vote", noise=(("laplace", {"epsilon": 2.0}),)), run().leakage)
        assert noised.title == "2: Laplace noise (epsilon 2), hard vote; the coordinator on A"

    def test_held_against_the_last_one_without_protection_of_the_same_eyes(self):
        runs = [run(1), run(2), run(3, target="B"), run(4, "commit_reveal"), run(5, "commit_reveal")]
        assert words.to_compare(runs, runs[4]) is runs[1]
        assert words.to_compare(runs, runs[1]) is runs[0]
        assert words.to_compare(runs, runs[0]) is None
        assert words.to_compare(runs, runs[2]) is None
        assert words.to_compare(runs[3:], runs[4]) is runs[3]

    def test_figures_of_two_runs_stand_in_one_row(self):
        before, now = (
            run(1),
            run(2, "commit_reveal", (row(value=0.5, low=0.4, high=0.6), row("extraction", "agreement"))),
        )
        drawn = words.drawn(now, before, True)
        assert drawn["names"] == ["Membership by confidence: AUC", "Copying the model: agreement"]
        assert drawn["values"] == [0.5, 0.7]
        assert drawn["before_values"] == [0.7, None]
        assert drawn["chances"] == [0.5, 0.5]
        assert (drawn["now_name"], drawn["before_name"]) == ("Commit-reveal, soft vote", "Plain, soft vote")
        assert "Before: 0.7 (0.6 to 0.8)." in drawn["sentences"][0]
        assert words.table_rows(now, before)[0][2:4] == (0.7, 0.5)

    def test_main_figures_are_the_first_and_members_told_for_sure(self):
        rows = tuple(row(figure=name) for name in ("AUC", "TPR at 1 % FPR", "TPR at 0.1 % FPR", "advantage"))
        one = run(rows=rows)
        assert [two.figure for two in words.shown_rows(one, False)] == ["AUC", "TPR at 0.1 % FPR"]
        assert words.shown_rows(one, True) == list(rows)

    def test_a_sentence_tells_a_leak_from_none(self):
        assert "0.7 (0.6 to 0.8, 200 samples), clear of 0.5" in words.sentence(row(), None)
        assert "not told from 0.5" in words.sentence(row(low=0.4), None)
        nothing = row(value=0.5, low=0.5, high=0.5, n=0, note="sees nothing of the answers: no better than chance")
        assert "0.5: it sees nothing of the answers" in words.sentence(nothing, None)

    def test_verdict(self):
        assert words.verdict(run(), None) == (
            "The coordinator sees each answer of A. Found something about A: membership by confidence."
        )
        none = run(2, "commit_reveal", (row(low=0.4),))
        assert "found nothing of A" in words.verdict(none, None)
        assert "No longer found, as it was in run 1 (Plain, soft vote): membership by confidence." in words.verdict(
            none, run()
        )
        by_accident = run(rows=(row(low=0.4), row(figure="advantage", baseline=0.0)))
        assert "found nothing of A" in words.verdict(by_accident, None)
        stopped = run(complete=False, left_out={"extraction": "nothing to judge by."})
        assert "Stopped" in words.verdict(stopped, None)
        assert "nothing to judge by" in words.verdict(stopped, None)
        blind = run(sees="nothing", seen="nothing of the answers", rows=())
        assert (
            words.verdict(blind, None) == "The coordinator sees nothing of the answers. Every figure is that of chance."
        )


class TestPage:
    def test_says_beforehand_what_it_asks(self, desk, page, demo):
        n_queries = n_leakage_queries(
            demo, "coordinator", "A", meters=page.choice.meters.value, n_samples=100, n_probes=100
        )
        assert n_queries > 0
        assert f"asks each party {n_queries:,} queries" in page._how.value
        page.choice.role.value = "other_parties"
        assert "asks nothing: under these settings the other parties see nothing" in page._how.value

    def test_measures_what_was_chosen(self, desk, page, demo):
        page.choice.target.value = "B"
        (found,) = measured(desk, page)
        again = leakage(demo, "coordinator", "B", meters=page.choice.meters.value, n_samples=100, n_probes=100)
        assert [(one.meter, one.value) for one in found.leakage.rows] == [(one.meter, one.value) for one in again.rows]
        assert page.dots.values[0] == found.leakage.rows[0].value
        assert page.dots.before_values[0] is None
        assert len(page.table.rows) == len(found.leakage.rows)
        assert "The coordinator sees each answer of B." in page.verdict.value
        assert page.csv.layout.display is None

    def test_shows_what_is_so_now_beside_what_was(self, desk, page, only_sum):
        measured(desk, page)
        desk.state.choose(mechanism=only_sum, contribution="equal")
        page.refresh()
        before, now = measured(desk, page)
        assert now.leakage.sees == "scores"
        assert page.which.value == 2
        assert page.before.value == 1
        assert page.dots.before_values[0] == before.leakage.rows[0].value
        assert page.dots.values[0] == now.leakage.rows[0].value
        assert page.dots.now_name == "Only sum, soft vote"
        page.before.value = 0
        assert page.dots.before_values[0] is None
        page.which.value = 1
        assert page.dots.values[0] == before.leakage.rows[0].value

    def test_all_figures_or_the_main_ones(self, desk, page):
        (found,) = measured(desk, page)
        n_main = len(page.dots.names)
        page.figures.value = leakage_page.EVERY
        assert len(page.dots.names) == len(found.leakage.rows) > n_main

    def test_files_hold_every_run(self, desk, page):
        for make in (page.save_csv, page.save_json):
            with pytest.raises(FederationError, match="press Measure"):
                make()
        measured(desk, page)
        first, second = measured(desk, page)
        rows = list(csv.DictReader(io.StringIO(page.save_csv()[2].decode())))
        assert len(rows) == len(first.leakage.rows) + len(second.leakage.rows)
        assert {one["run"] for one in rows} == {"1", "2"}
        assert json.loads(page.save_json()[2])[1]["setting"]["mechanism"] == "plain"

    def test_stop_keeps_what_is_measured(self, desk, page, monkeypatch):
        def slow(*given, on_progress, **options):
            def told(progress):
                on_progress(progress)
                if progress.task.startswith("quantile_attack"):
                    page.halt.click()

            return leakage(*given, on_progress=told, **options)

        monkeypatch.setattr(leakage_page, "leakage", slow)
        page.choice.meters.value = ("confidence_attack", "quantile_attack")
        (found,) = measured(desk, page)
        assert not found.leakage.complete
        assert {one.meter for one in found.leakage.rows} == {"confidence_attack"}
        assert "Stopped" in page.verdict.value

    def test_stopped_before_anything_was_measured(self, desk, page, monkeypatch):
        def slow(*given, on_progress, **options):
            page.halt.click()
            return leakage(*given, on_progress=on_progress, **options)

        monkeypatch.setattr(leakage_page, "leakage", slow)
        assert measured(desk, page) == ()

    def test_what_fails_keeps_earlier_runs(self, desk, page, monkeypatch):
        (before,) = measured(desk, page)

        def broken(*_given, **_options):
            raise RuntimeError("out of order")

        monkeypatch.setattr(leakage_page, "leakage", broken)
        assert measured(desk, page) == (before,)
        assert "out of order" in desk.state.notice.text
        assert "Earlier runs stay" in desk.state.notice.text

    def test_only_so_many_runs_are_kept(self, desk, page, monkeypatch):
        monkeypatch.setattr(leakage_page, "MOST_RUNS", 2)
        page.choice.role.value = "other_parties"  # costs nothing
        for _ in range(3):
            measured(desk, page)
        assert [one.number for one in page.runs] == [2, 3]
        assert "Every figure is that of chance." in page.verdict.value

    def test_parties_that_are_gone_are_not_offered(self, desk, page, demo):
        page.choice.target.value = "C"
        desk.driver.take(demo.with_(parties=["A", "B"]))
        page.refresh()
        assert [value for _, value in page.choice.target.options] == ["A", "B"]
        assert page.choice.target.value == "A"


def test_parties_that_were_trained_elsewhere(toy, toy_data):
    desk = Desk.new()
    desk.driver.take(toy, *toy_data)
    page = LeakagePage(desk)
    page.open()
    assert page.go.disabled
    assert page._how.value
    assert page.dots.empty_text in page._how.value.replace("&#x27;", "'")
    desk.close()


def test_bad_values_are_refused_clearly():
    dots = LeakDots(names=["AUC"])
    with pytest.raises(traitlets.TraitError, match="lows has 2 entries for 1 rows"):
        dots.update(lows=[0.1, 0.2])
    assert dots.round == 0
