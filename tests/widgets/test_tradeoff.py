"""The trade-off page: what it sweeps, what it says, what a pick loads, what stops it."""

import csv
import io
import json

import pytest
import traitlets

import fi_workbench as fi
from fi_workbench.core.errors import FederationError, InvalidData
from fi_workbench.session.trading_off.result import Setting, TradeOff, TradeOffRow
from fi_workbench.session.trading_off.sweep import planned, trade_off
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.tradeoff import page as tradeoff_page
from fi_workbench.widgets.pages.tradeoff import words
from fi_workbench.widgets.pages.tradeoff.figure import trade_off_figure
from fi_workbench.widgets.pages.tradeoff.page import TradeoffPage
from fi_workbench.widgets.views import ChoiceTable, TradeOffPlot
from tests.widgets.conftest import eventually, toy_party


@pytest.fixture
def page(desk):
    page = TradeoffPage(desk)
    page.open()
    page.choice.size.value = 50
    page.choice.mechanisms.value = ("plain", "laplace")
    page.choice.rules.value = ("soft_vote", "hard_vote")
    return page


def swept(desk, page):
    page.go.click()
    # the buttons follow the state a moment after it has changed
    assert eventually(lambda: desk.state.task is None and not page._sweeping and page.halt.disabled, 30)
    assert eventually(lambda: not page.go.disabled)
    return page.result


def measured(**fields):
    return TradeOffRow(
        **{
            "setting": Setting("soft_vote", noise=(("laplace", {"epsilon": 4.0}),)), "shows": "each", "n_queries": 100,
            "n_right": 80, "n_answered": 100, "epsilon_per_query": 4.0, "epsilon_answers": 200.0, "epsilon": 200.0,
            "latencies_ms": (10.0, 12.0), "round_bytes": (5000, 5000), **fields,
        }
    )  # fmt: skip


class TestWords:
    def said(self, **fields):
        row = measured(**fields)
        return words.sentence(row, TradeOff((row,), 1e-5, "rdp", 100, 2))

    def test_all_figures_of_a_setting(self):
        assert self.said() == (
            "Laplace noise (epsilon 4), soft vote: 80 % right (71.1 % to 86.7 %); epsilon 4 a query, 200 for all 100, "
            "at delta 1e-05; 11 ms a round (95 % within 11.9), 5 kB; the coordinator sees each party's answer."
        )

    def test_what_has_no_guarantee_says_so(self):
        none = {"epsilon_per_query": None, "epsilon_answers": None, "epsilon": None}
        assert "; no guarantee;" in self.said(**none)
        assert "; single answers are hidden, without noise;" in self.said(**none, shows="sum")
        assert "its enrolment, of class counts or the like, has no noise, so there is no guarantee" in self.said(
            epsilon=None
        )

    def test_what_is_missing_is_told(self):
        said = self.said(n_answered=50, n_absent={"C": 1}, refused="the budget is spent", n_queries=80)
        assert "a label for 62.5 % of the queries" in said
        assert "absent from rounds: C in 1" in said
        assert "only 80 of 100 queries: the budget is spent" in said

    def test_refused_ones_are_grouped_by_reason(self):
        rows = [
            TradeOffRow(Setting(rule, "gone", {"sigma": sigma}), "no such mechanism. What fits: that")
            for rule in ("soft_vote", "hard_vote")
            for sigma in (1, 2)
        ]
        assert words.refused_rows(rows) == [("Gone", "Soft vote, Hard vote", "no such mechanism.")]

    def test_best_of_all_and_best_with_a_guarantee(self):
        plain = measured(
            setting=Setting("hard_vote"), n_right=90, epsilon=None, epsilon_per_query=None, epsilon_answers=None
        )
        assert words.best_under([measured(), plain]) == (
            "Best: hard vote under plain, 90 %. Best with a guarantee: soft vote under Laplace noise (epsilon 4), "
            "80 %, at epsilon 4 a query."
        )
        assert words.best_under([plain]) == ""


class TestPage:
    def test_says_beforehand_what_it_asks(self, desk, page):
        plan = planned(desk.state.federation, page.choice.settings, 50)
        assert (plan.n_settings, plan.n_rounds, plan.n_queries) == (10, 50, 500)
        assert "10 settings, 50 rounds: each party answers, and books, 500 queries." in page._how.value
        assert len(desk.state.federation.history) == 0

    def test_sweeps_what_was_chosen(self, desk, page):
        result = swept(desk, page)
        assert result.complete
        question = desk.driver.sample(50)
        record = desk.state.federation.with_(rule="hard_vote").ask(question.queries, question.labels)
        plain = next(row for row in result.rows if (row.setting.rule, row.setting.method) == ("hard_vote", "plain"))
        assert plain.n_right == int((record.labels == question.labels).sum())
        assert len(page.plot.rules) == len(page.table.rows) == 10
        assert [row[2] for row in page.table.rows] == sorted((row.accuracy for row in result.rows), reverse=True)
        assert set(page.plot.names) == {"Soft vote", "Hard vote"}
        at_plain = page.rows.index(plain)
        assert page.plot.places[at_plain] == "none"
        assert page.plot.epsilons[at_plain] is None
        assert page.plot.accuracies[at_plain] == pytest.approx(plain.accuracy)
        assert "10 settings answered the same 50 queries" in page._how.value

    def test_axis_and_size_can_be_switched(self, desk, page):
        swept(desk, page)
        noised = [k for k, row in enumerate(page.rows) if row.epsilon is not None]
        page.by.value = tradeoff_page.ALL
        assert [page.plot.epsilons[k] for k in noised] == [page.rows[k].epsilon_answers for k in noised]
        assert "all queries" in page.plot.x_name
        page.size.value = tradeoff_page.BYTES
        assert page.plot.size_unit == "kB"
        assert list(page.plot.sizes) == [row.bytes_per_round / 1000 for row in page.rows]

    def test_a_pick_loads_its_settings(self, desk, page):
        swept(desk, page)
        place = next(
            k for k, row in enumerate(page.rows)
            if row.setting.rule == "hard_vote" and row.setting.options == {"epsilon": 16.0}
        )  # fmt: skip
        page.plot._handle_custom_msg({"pick": place}, [])
        settings = desk.state.federation.settings
        assert settings.rule == "hard_vote"
        assert settings.mechanism.noise[0].epsilon == 16.0
        assert page.plot.selected == page.table.selected == place
        assert "In force from the next round on: Laplace noise (epsilon 16), hard vote." in page.about.value
        back = next(k for k, row in enumerate(page.rows) if row.setting.method == "plain")
        page.table._handle_custom_msg({"pick": back}, [])
        assert desk.state.federation.settings.mechanism.name == "plain"
        assert page.plot.selected == back

    def test_what_is_in_force_is_marked_whoever_chose_it(self, desk, page):
        swept(desk, page)
        assert page.rows[page.plot.selected].setting.method == "plain"
        desk.state.choose(rule="hard_vote", noise=(("laplace", {"epsilon": 4.0}),))
        page.refresh()
        chosen = page.rows[page.plot.selected].setting
        assert (chosen.rule, chosen.options) == ("hard_vote", {"epsilon": 4.0})
        desk.state.choose(rule="median")
        page.refresh()
        assert page.plot.selected == -1

    def test_a_contribution_that_does_not_fit_is_chosen_anew(self, desk, page, only_sum):
        desk.state.choose(contribution="final_agreement")
        page.choice.mechanisms.options = (*page.choice.mechanisms.options, ("Only sum", only_sum))
        page.choice.mechanisms.value = (only_sum,)
        swept(desk, page)
        assert {page.plot.places[0]} == {"hidden"}
        page.table._handle_custom_msg({"pick": 0}, [])
        assert desk.state.federation.settings.mechanism.name == only_sum
        assert desk.state.chosen.contribution == "auto"
        assert "Contributions are valued by what it shows." in page.about.value

    def test_what_does_not_fit_is_listed_with_its_reason(self, desk, page, only_sum):
        page.choice.mechanisms.options = (*page.choice.mechanisms.options, ("Only sum", only_sum))
        page.choice.mechanisms.value = (only_sum, "plain")
        page.choice.rules.value = ("median",)
        swept(desk, page)
        ((mechanism, rules, reason),) = page.refused.rows
        assert (mechanism, rules) == ("Only sum", "Median")
        assert "must see" in reason
        assert page._refused.layout.display is None
        assert len(page.plot.rules) == 1

    def test_says_who_was_asked_once_others_are(self, desk, page):
        swept(desk, page)
        assert "Measured with" not in page._how.value
        desk.cohort.remove(1)
        page.refresh()
        assert "Measured with A, B, C and D, not with those who are asked now." in page._how.value

    def test_says_that_the_stream_spoils_latencies(self, desk, page):
        desk.state.status = "running"
        page.refresh()
        assert "latencies are of both" in page._how.value
        desk.state.status = "paused"
        page.refresh()
        assert "latencies are of both" not in page._how.value

    def test_stop_keeps_what_is_measured(self, desk, page, monkeypatch):
        def slow(*given, on_progress, **options):
            def told(progress):
                on_progress(progress)
                if progress.done == 7:
                    page.halt.click()

            return trade_off(*given, on_progress=told, **options)

        monkeypatch.setattr(tradeoff_page, "trade_off", slow)
        result = swept(desk, page)
        assert not result.complete
        assert [row.n_queries for row in result.rows] == [50, 20]
        assert "Stopped" in page._how.value

    def test_what_fails_keeps_what_was_shown(self, desk, page, monkeypatch):
        before = swept(desk, page)

        def broken(*_given, **_options):
            raise RuntimeError("out of order")

        monkeypatch.setattr(tradeoff_page, "trade_off", broken)
        assert swept(desk, page) is before
        assert "out of order" in desk.state.notice.text

    def test_other_work_takes_its_place(self, desk, page):
        page._sweeping = True
        desk.jobs.start("Other work", lambda _report: None, lambda _done: None)
        assert eventually(lambda: not page._sweeping and desk.state.task is None)
        desk.jobs.give_up()

    def test_files_hold_the_result(self, desk, page):
        for make in (page.save_csv, page.save_json, page.save_figure):
            with pytest.raises(FederationError, match="press Sweep"):
                make()
        result = swept(desk, page)
        name, kind, content = page.save_csv()
        assert (name.endswith(".csv"), kind) == (True, "text/csv")
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        assert [row["accuracy"] for row in rows] == [str(row.accuracy) for row in result.rows]
        assert len(json.loads(page.save_json()[2])["rows"]) == 10
        figure = page.save_figure()[2]
        assert b"<html" in figure
        assert b"Laplace noise (epsilon 16)" in figure


class TestFigure:
    def test_marks_stand_where_they_belong(self):
        rows = (
            measured(), measured(setting=Setting("class_competence", noise=(("laplace", {}),)), epsilon=None),
            measured(setting=Setting("soft_vote"), epsilon=None, epsilon_per_query=None, epsilon_answers=None),
        )  # fmt: skip
        figure = trade_off_figure(TradeOff(rows, 1e-5, "rdp", 100, 2))
        soft, competence = figure.data[:2]
        assert soft.x[0] == competence.x[0] == 4.0
        assert soft.x[1] > 4.0
        assert soft.y[0] == 0.8
        assert "no<br>guarantee" in figure.layout.xaxis.ticktext
        assert (soft.marker.symbol[0], competence.marker.symbol[0]) == ("circle", "circle-open")
        assert soft.error_y.array[0] == pytest.approx(rows[0].interval[1] - 0.8)

    def test_nothing_to_draw(self):
        with pytest.raises(InvalidData):
            trade_off_figure(TradeOff((), 1e-5, "rdp", 100, 2))


@pytest.mark.parametrize(
    ("view", "values", "message"),
    [
        (TradeOffPlot, {"names": ["a"], "rules": [1]}, "mark 0 is of rule 1 of 1"),
        (TradeOffPlot, {"names": ["a"], "rules": [0], "places": ["here"]}, "knows epsilon, hidden, none"),
        (TradeOffPlot, {"names": ["a"], "rules": [0], "places": ["none"], "epsilons": [3.0]}, "'none' with epsilon 3"),
        (TradeOffPlot, {"names": ["a"], "rules": [0], "places": ["epsilon"], "epsilons": [None]}, "with epsilon None"),
        (TradeOffPlot, {"names": ["a"], "rules": [0], "lows": [0.1, 0.2]}, "lows has 2 entries for 1 marks"),
        (TradeOffPlot, {"names": ["a"], "rules": [0], "selected": 1}, "mark 1 of 1"),
        (ChoiceTable, {"columns": [{"name": "a"}], "rows": [["x"]], "selected": 1}, "row 1 of 1"),
    ],
)
def test_bad_values_are_refused_clearly(view, values, message):
    one = view()
    with pytest.raises(traitlets.TraitError, match=message):
        one.update(**values)
    assert one.round == 0


def test_picks_of_a_picture_that_is_gone_are_ignored():
    plot, heard = TradeOffPlot(names=["a"], rules=[0, 0]), []
    plot.on_pick(heard.append)
    for mark in (1, 1, 2, -1, True, "0"):
        plot._handle_custom_msg({"pick": mark}, [])
    assert heard == [1, 1]


def test_labels_are_needed(toy, toy_data):
    desk = Desk.new()
    desk.driver.take(toy, toy_data[0])
    page = TradeoffPage(desk)
    page.open()
    assert page.go.disabled
    assert "true labels" in page._how.value
    assert "true labels" in page.plot.empty_text
    desk.driver.take(toy, *toy_data)
    page.refresh()
    assert not page.go.disabled
    with fi.Federation([toy_party("A")], history=None) as alone:
        desk.driver.take(alone, *toy_data)
        page.refresh()
        assert "Sweep asks" in page._how.value
    desk.close()
