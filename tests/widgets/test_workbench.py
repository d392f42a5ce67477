import json

import pytest

import fi_workbench as fi
from fi_workbench.core.options import Between, OneOf, Option
from fi_workbench.widgets import cells
from fi_workbench.widgets.panels.option_controls import OptionControls
from tests.widgets.conftest import eventually, toy_party


@pytest.fixture
def workbench(toy, toy_data):
    workbench = fi.Workbench(toy, queries=toy_data[0], labels=toy_data[1])
    workbench.state.rate = None
    workbench.state.batch_size = 12
    yield workbench
    workbench.close()
    assert workbench.wait(10)


def page(workbench, title):
    workbench._tabs.open(title)
    return workbench._tabs.page


def test_empty_offers_to_make_a_demo():
    workbench = fi.Workbench()
    assert workbench.state.status == "empty"
    assert workbench._body.layout.display == "none"
    workbench._empty.n_parties.value = 2
    workbench._empty.model.value = "logistic_regression"
    workbench._empty.make.click()
    assert workbench.state.status == "preparing"
    assert eventually(lambda: workbench.state.status == "ready", 60)
    assert workbench._body.layout.display is None
    assert "Two parties answer; soft vote" in workbench._header.line.sentence
    workbench.federation.close()
    workbench.close()


def test_every_tab_draws(workbench):
    workbench.run(8)
    assert eventually(lambda: workbench.state.status == "paused")
    live = page(workbench, "Live")
    assert live.bars.round == 8
    assert sum(live.bars.shares) == pytest.approx(1)
    assert live.lines.array.shape == (3, 8)
    assert len(live.gains.gains) == 4
    assert live.counts.counts == (None,) * 4  # made elsewhere: private
    queries = page(workbench, "Queries").view
    assert queries.n_queries == 12
    assert queries.truth is not None
    cost = page(workbench, "Cost")
    assert cost.traffic.rows[0][1] == 4
    assert [row[0] for row in cost.latency.rows] == list("ABCD")
    assert page(workbench, "Log").lines.lines == workbench.state.log
    assert page(workbench, "Export").csv.label == "History (CSV)"
    assert workbench._header.line.round == 8


def test_closed_pages_are_not_drawn(workbench):
    workbench.run(2)
    assert eventually(lambda: workbench.state.status == "paused")
    page(workbench, "Cost")
    live = workbench._tabs._pages[0]
    workbench.run(2)
    assert eventually(lambda: workbench.state.frame.round == 4)
    assert live.bars.round == 2
    assert page(workbench, "Live").bars.round == 4


def test_what_is_private_is_drawn_only_of_parties_made_here(demo):
    workbench = fi.Workbench(demo)
    workbench.run(3)
    assert eventually(lambda: workbench.state.status == "paused")
    live = page(workbench, "Live")
    assert live.counts.counts[0] == tuple(demo.parties[0].facts.class_counts)
    assert live.gains.gains_own[0] is not None
    workbench.state.simulation = False
    assert live.counts.counts == (None,) * 3
    workbench.run(1)
    assert eventually(lambda: workbench.state.frame.round == 4)
    assert live.gains.gains_own == (None,) * 3
    workbench.close()


def test_keys(workbench):
    press = workbench._pressed
    press("run_pause")
    assert workbench.state.status == "running"
    assert eventually(lambda: workbench.state.frame.round > 1)
    press("run_pause")
    assert workbench.state.status == "paused"
    assert workbench._desk.driver.wait(5)
    press("next")
    assert workbench._tabs.page.title == "Queries"
    assert workbench.state.selection == 1
    press("previous")
    press("previous")
    assert workbench.state.selection == 11
    press("next_disagreement")
    press("stop")
    assert workbench.state.status == "stopped"


def test_controls_follow_the_state_and_the_other_way_round(workbench):
    rule = workbench._rule.picker.list
    rule.value = "mean_logit"
    assert workbench.federation.settings.rule == "mean_logit"
    bound = workbench._rule.picker._controls._controls["bound"]
    bound.value = 10.0
    assert workbench.federation.settings.rule_options == {"bound": pytest.approx(10.0)}
    workbench.state.choose(rule="hard_vote")
    assert rule.value == "hard_vote"
    workbench._controls.rate.value = 5.0
    assert workbench.state.rate == 5.0
    workbench.state.rate = 7.5
    assert workbench._controls.rate.value == 7.5
    workbench._controls.deadline.value = 2.0
    assert workbench.federation.settings.deadline_seconds == 2.0


def test_refusal_shows_buttons_that_do_it(workbench):
    workbench._rule.picker.list.value = "size_weighted"
    header = workbench._header
    assert "data_size" in header._text.value
    assert header.line.status == "refused"
    assert "soft vote" in header.line.sentence
    header._ways.children[-1].click()
    assert workbench._rule.picker.list.value == "soft_vote"
    assert workbench.state.notice is None


def test_pictures_that_need_more_than_the_mechanism_shows(workbench, only_sum):
    workbench.run(2)
    assert eventually(lambda: workbench.state.status == "paused")
    workbench.state.choose(mechanism=only_sum)
    live = page(workbench, "Live")
    assert workbench.federation.settings.mechanism.name == "only_sum"
    assert "each party's vote" in live.gains.refusal
    assert live.gains.way_out == "Use plain"
    assert "sees only the sum" in workbench._header.line.sentence
    workbench.run(2)
    assert eventually(lambda: workbench.state.frame.round == 4 and workbench.state.status == "paused")
    view = page(workbench, "Queries").view
    assert not view.disclosed
    assert view.answers == b""
    assert workbench.state.frame.method == "equal"
    live._way_out("votes")
    page(workbench, "Live")
    assert workbench.federation.settings.mechanism.name == "plain"
    assert live.gains.refusal == ""


def test_contribution_that_the_mechanism_cannot_show(workbench, only_sum):
    workbench.state.choose(contribution="shapley")
    workbench.state.choose(mechanism=only_sum)
    assert workbench.state.notice.level == "refused"
    workbench._header._ways.children[0].click()
    assert workbench.federation.settings.mechanism.name == "only_sum"
    assert workbench.federation.settings.contribution == "auto"


def test_export_and_load(workbench):
    workbench.run(3)
    assert eventually(lambda: workbench.state.status == "paused")
    workbench.state.choose(rule="mean_logit", rule_options={"bound": 20.0})
    export = page(workbench, "Export")
    name, kind, content = export.history_csv()
    assert name.endswith(".csv")
    assert kind == "text/csv"
    assert len(content.decode().splitlines()) == 1 + 3 * 4
    assert len(export.history_lines()[2].decode().splitlines()) == 3
    saved = export.settings_json()[2]
    workbench.state.choose(rule="soft_vote")
    export.load(saved)
    assert eventually(lambda: workbench.federation.settings.rule == "mean_logit")
    assert eventually(lambda: workbench.state.task is None)
    assert workbench.federation.to_dict() == json.loads(saved)
    html = export.figure("accuracy", ".html")[2].decode()
    assert "plotly" in html


def test_settings_that_cannot_be_loaded(workbench):
    export = page(workbench, "Export")
    export.load(b"\xff\x00")
    assert "no JSON" in workbench.state.notice.text
    export.load(b"[]")
    assert eventually(lambda: "no settings" in workbench.state.notice.text)
    export.load(b'{"format": "something else", "settings": {}}')
    assert eventually(lambda: "something else" in workbench.state.notice.text)
    assert workbench.federation.settings.rule == "soft_vote"


def test_an_export_that_fails_says_so(workbench):
    export = page(workbench, "Export")
    export.csv._asked({"kind": "save"})
    assert "no rounds yet" in workbench.state.notice.text


def test_names_of_strangers_are_no_markup(toy_data):
    with fi.Federation([toy_party("<img src=x>")], history=None) as federation:
        workbench = fi.Workbench(federation, queries=toy_data[0])
        text = workbench._parties._rows[0]._text.value
        assert "<img" not in text
        assert "&lt;img" in text
        workbench.close()


def test_option_controls():
    seen = []
    options = [
        Option("trim", float, 0.2, Between(0, 0.5), "how much"),
        Option("bound", float, 50.0, Between(1, 1000, log=True)),
        Option("rounds", int, 3, Between(1, 9)),
        Option("mode", str, "a", OneOf("a", "b")),
        Option("fast", bool, True, None),
    ]
    controls = OptionControls(options, {"trim": 0.3}, seen.append)
    assert controls._controls["trim"].value == 0.3
    controls._controls["mode"].value = "b"
    assert seen[-1] == {"trim": 0.3, "mode": "b"}
    controls._controls["rounds"].value = 5
    controls._controls["fast"].value = False
    assert seen[-1] == {"trim": 0.3, "mode": "b", "rounds": 5, "fast": False}
    controls.show({})
    assert len(seen) == 3


def test_a_cell_that_runs_again_replaces_what_it_made(toy, toy_data, monkeypatch):
    run = ["cell-1", "run-1"]
    monkeypatch.setattr(cells, "_this_run", lambda: tuple(run))
    first, beside = (fi.Workbench(toy, queries=toy_data[0]) for _ in range(2))
    first.run()
    run[1] = "run-2"
    second = fi.Workbench(toy, queries=toy_data[0])
    assert first.state.status == "stopped"
    assert first.wait(5)
    assert beside.comm is None
    second.run(1)
    assert eventually(lambda: second.state.frame.round == 1)
    second.close()


def test_progress_bar():
    bar = fi.ProgressBar()
    with fi.Federation.demo(n_parties=1, epochs=1, model="logistic_regression", history=None, on_progress=bar):
        assert bar.text.startswith("training party A")


def test_calibration_abstention_and_pay_are_set_on_the_left(demo):
    workbench = fi.Workbench(demo)
    rule, pay = workbench._rule, workbench._contribution.payout
    rule.calibrate.value = True
    rule.sure.value = 0.75
    pay.picker.list.value = "floor_and_merit"
    pay.picker._controls._controls["floor"].value = 0.5
    pay.budget.value = "0.25"
    settings = workbench.federation.settings
    assert (settings.calibration, settings.abstain_below) == ("temperature", 0.75)
    assert (settings.payout, dict(settings.payout_options)) == ("floor_and_merit", {"floor": 0.5})
    assert settings.budget_micro == 250_000
    sentence = workbench._header.line.sentence
    assert "each calibrated by its temperature" in sentence
    assert "answers only when at least 75 % sure" in sentence
    assert "each round pays 0.25 units (floor and merit)" in sentence
    pay.budget.value = "much"
    assert "much" in pay._wrong.value
    assert workbench.federation.settings.budget_micro == 250_000
    pay.budget.value = "0.250"
    assert pay._wrong.layout.display == "none"
    assert pay.budget.value == "0.25"
    workbench.state.choose(calibration="none", abstain_below=0.123)
    assert not rule.calibrate.value
    assert rule.sure.value == 0.123
    workbench.state.choose(abstain_below=0.0, payout="proportional", budget_micro=1_000_000)
    assert workbench._header.line.sentence.endswith("visible to the coordinator.")
    workbench.close()


def test_what_the_federation_does_not_know_reads_so(workbench):
    workbench.state.choose(abstain_below=1.0)
    workbench.run(2)
    assert eventually(lambda: workbench.state.status == "paused")
    queries = page(workbench, "Queries")
    assert queries.view.title.startswith("Query: do not know (")
    assert "answers from 100 % on" in queries.view.title
    live = page(workbench, "Live")
    assert "answer 0 % of the queries of the last 2 rounds." in live._sure.value
    workbench.state.choose(abstain_below=0.0)
    workbench.run(1)
    assert eventually(lambda: workbench.state.frame.round == 3 and workbench.state.status == "paused")
    page(workbench, "Queries")
    assert queries.view.title == "Query"
    page(workbench, "Live")
    assert live._sure.layout.display == "none"


def test_a_party_is_set_to_misbehave_in_its_editor(workbench):
    parties = workbench._parties
    parties.editor.open(1)
    picker = parties.editor.behaviour.picker
    assert picker.list.value == "honest"
    picker.list.value = "copy_peer"
    assert workbench.federation.behaviours["B"].name == "copy_peer"
    assert "commit-reveal" in picker._explanation.value
    picker._controls._controls["peer"].value = "A"
    assert workbench.federation.behaviours["B"].options["peer"] == "A"
    assert "copy peer" in parties._rows[1]._text.value
    workbench.run(3)
    assert eventually(lambda: workbench.state.status == "paused")
    bars = page(workbench, "Live").bars
    assert bars.statuses == ("present", "copy peer", "present", "present")
    parties.editor.open(2)
    assert picker.list.value == "honest"
    parties.editor.open(1)
    assert picker._controls._controls["peer"].value == "A"
    workbench.state.simulation = False
    assert "copy peer" not in parties._rows[1]._text.value
    assert bars.statuses == ("present",) * 4
    assert parties.editor.behaviour.box.layout.display == "none"
    workbench.state.simulation = True
    picker.list.value = "honest"
    assert not workbench.federation.behaviours


def test_only_a_party_that_is_asked_can_be_set(workbench):
    workbench._desk.cohort.enable(1, False)
    workbench._parties.editor.open(1)
    box = workbench._parties.editor.behaviour
    assert box.picker.list.disabled
    assert box._left_out.layout.display is None


def test_whole_numbers_of_a_wide_range_are_typed():
    controls = OptionControls([Option("label", int, 0, Between(0, 10_000))], {}, lambda _values: None)
    assert type(controls._controls["label"]).__name__ == "BoundedIntText"
