import threading
import time

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import InvalidQuery
from fi_workbench.widgets.desk import Desk
from tests.widgets.conftest import CLASSES, eventually, toy_party


def test_empty_has_nothing_to_ask():
    desk = Desk.new()
    assert desk.state.status == "empty"
    desk.driver.run()
    assert desk.state.status == "empty"
    assert "no federation" in desk.state.notice.text


def test_without_queries_it_says_how_to_give_them(toy):
    desk = Desk.new()
    desk.driver.take(toy)
    assert desk.state.status == "ready"
    desk.driver.run()
    assert desk.state.status == "ready"
    assert "queries=" in desk.state.notice.text


def test_queries_that_do_not_fit_are_refused(toy):
    with pytest.raises(InvalidQuery):
        Desk.new().driver.take(toy, np.zeros((3, 5), np.float32))


def test_run_pause_resume_stop(desk, threads):
    desk.driver.run()
    assert desk.state.status == "running"
    assert eventually(lambda: desk.state.frame.round > 3)
    desk.driver.pause()
    assert desk.state.status == "paused"
    assert desk.driver.wait(5)
    assert not threads()
    paused_at = desk.state.frame.round
    time.sleep(0.1)
    assert desk.state.frame.round == paused_at
    desk.driver.run()
    assert eventually(lambda: desk.state.frame.round > paused_at + 2)
    desk.driver.stop()
    assert desk.state.status == "stopped"
    assert desk.driver.wait(5)
    assert not threads()


def test_run_after_stop_begins_anew(desk):
    desk.driver.run(5)
    assert eventually(lambda: desk.state.status == "paused" and desk.state.frame.round == 5)
    desk.driver.run(2)
    assert eventually(lambda: desk.state.status == "paused" and desk.state.frame.round == 7)
    desk.driver.run()
    desk.driver.stop()
    assert desk.driver.wait(5)
    desk.state.rate = 5.0
    desk.driver.run()
    assert eventually(lambda: 0 < desk.state.frame.round < 5)


def test_run_during_the_last_of_a_few_rounds_goes_on(toy_data):
    with fi.Federation([toy_party("A", behave=lambda _queries: time.sleep(0.1))], history=None) as federation:
        desk = Desk.new()
        desk.driver.take(federation, *toy_data)
        desk.driver.run(1)
        desk.driver.run()
        assert eventually(lambda: desk.state.frame.round >= 3)
        assert desk.state.status == "running"
        desk.driver.pause()
        desk.driver.run()  # before the round under way has ended
        reached = desk.state.frame.round
        assert eventually(lambda: desk.state.frame.round >= reached + 2)
        desk.close()
        assert desk.wait(5)


def test_rate_holds(desk):
    desk.state.rate = 20.0
    desk.driver.run()
    time.sleep(1.05)
    desk.driver.pause()
    desk.driver.wait(5)
    assert 10 <= desk.state.frame.round <= 24


def test_frames_are_at_most_twenty_a_second(desk):
    frames = []
    desk.state.observe(lambda change: frames.append(change["new"]), "frame")
    desk.driver.run()
    time.sleep(1.0)
    desk.driver.stop()
    desk.driver.wait(5)
    assert desk.state.frame.round > 30
    assert len(frames) <= 24


def test_settings_change_from_the_next_round_on(desk):
    desk.driver.run()
    assert eventually(lambda: desk.state.frame.round > 2)
    desk.state.choose(rule="hard_vote")
    desk.state.batch_size = 3
    assert eventually(lambda: desk.state.frame.record.settings["rule"] == "hard_vote")
    assert eventually(lambda: desk.state.frame.record.n_queries == 3)
    assert desk.state.status == "running"
    assert any("hard vote" in text for _, _, text in desk.state.log)


def test_refused_choice_keeps_the_former_settings_and_offers_ways(desk):
    desk.driver.run(1)
    assert eventually(lambda: desk.state.status == "paused")
    desk.state.choose(rule="class_competence")  # toy parties hold no class counts
    notice = desk.state.notice
    assert desk.state.status == "refused"
    assert notice.level == "refused"
    assert "Soft vote" in notice.text
    assert "class_counts" in notice.text
    assert desk.state.federation.settings.rule == "soft_vote"
    assert notice.ways[-1].choice.rule == "soft_vote"
    desk.state.chosen = notice.ways[0].choice
    assert desk.state.notice is None
    assert desk.state.status == "paused"


def test_refused_choice_does_not_stop_a_stream(desk):
    desk.driver.run()
    desk.state.choose(rule="class_competence")
    assert desk.state.notice.level == "refused"
    before = desk.state.frame.round
    assert eventually(lambda: desk.state.frame.round > before + 3)
    assert desk.state.status == "running"
    assert desk.state.frame.record.settings["rule"] == "soft_vote"


def test_unknown_names_and_options_are_refused_by_name(desk):
    desk.state.choose(rule="majority")
    assert "hard_vote" in desk.state.notice.text
    desk.state.choose(rule="soft_vote", rule_options={"trim": 0.2})
    assert "trim" in desk.state.notice.text
    desk.state.choose(rule_options={})
    assert desk.state.notice is None


def test_a_party_that_raises_is_absent_and_said_so_once(toy_data):
    def broken(queries):
        raise RuntimeError("out of memory")

    with fi.Federation([toy_party("A"), toy_party("B", behave=broken)], history=None) as federation:
        desk = Desk.new()
        desk.driver.take(federation, *toy_data)
        desk.state.rate = None
        desk.driver.run(6)
        assert eventually(lambda: desk.state.status == "paused" and desk.state.frame.round == 6)
        healthy, ill = desk.state.frame.parties
        assert (healthy.status, ill.status) == ("present", "raised")
        assert "RuntimeError" in ill.reason
        assert ill.n_absent == 6
        assert ill.accuracy is None
        assert sum("B raised an error" in text for _, _, text in desk.state.log) == 1
        assert sum("out of memory" in text for _, _, text in desk.state.log) == 1
        desk.close()


def test_a_party_that_hangs_is_shown_as_awaited_and_stop_does_not_wait_for_it(toy_data):
    let_go = threading.Event()
    with fi.Federation(
        [toy_party("A"), toy_party("B", behave=lambda _queries: let_go.wait(20))], deadline_seconds=30, history=None
    ) as federation:
        desk = Desk.new()
        desk.driver.take(federation, *toy_data)
        desk.driver.run(1)
        assert eventually(lambda: any(one.status == "waiting" for one in desk.state.frame.parties) or _nobody(desk), 5)
        began = time.monotonic()
        desk.driver.stop()
        assert desk.state.status == "stopped"
        assert desk.driver.wait(5)
        assert time.monotonic() - began < 1.0
        let_go.set()


def _nobody(desk):
    return desk.state.status != "running"


def test_nobody_answers_is_a_warning_that_goes_when_they_are_back(toy_data):
    away = threading.Event()
    away.set()

    def perhaps(queries):
        if away.is_set():
            raise RuntimeError("asleep")

    with fi.Federation([toy_party("A", behave=perhaps)], history=None) as federation:
        desk = Desk.new()
        desk.driver.take(federation, *toy_data)
        desk.driver.run()
        assert eventually(lambda: desk.state.notice is not None)
        assert desk.state.notice.level == "warning"
        assert "A" in desk.state.notice.text
        assert desk.state.status == "running"
        away.clear()
        assert eventually(lambda: desk.state.notice is None)
        desk.close()
        assert desk.wait(5)


def test_a_rule_that_fails_stops_the_stream_in_words(desk):
    @fi.aggregation_rule()
    def not_a_number(answers):
        """Returns NaN."""
        return np.full(answers.shape[1:], np.nan)

    try:
        desk.state.choose(rule="not_a_number")
        desk.driver.run()
        assert eventually(lambda: desk.state.status == "stopped")
        assert "NaN" in desk.state.notice.text
        assert "press Run" in desk.state.notice.text
        desk.state.choose(rule="soft_vote")
        desk.driver.run()
        assert eventually(lambda: desk.state.frame.round > 2)
    finally:
        fi.rules.remove("not_a_number")


def test_a_picture_that_fails_does_not_end_the_stream(toy, toy_data):
    workbench = fi.Workbench(toy, queries=toy_data[0], labels=toy_data[1])
    page = workbench._tabs.page
    page.show = lambda frame: 1 / 0
    workbench.state.rate = None
    workbench.run()
    assert eventually(lambda: workbench.state.frame.round > 3)
    assert any("could not be drawn" in text for _, _, text in workbench.state.log)
    workbench.close()
    assert workbench.wait(5)


def test_two_over_one_federation_are_independent(toy, toy_data):
    one, other = Desk.new(), Desk.new()
    for desk in (one, other):
        desk.driver.take(toy, *toy_data)
        desk.state.rate = None
    one.driver.run()
    other.state.choose(rule="hard_vote")
    other.driver.run(3)
    assert eventually(lambda: other.state.status == "paused")
    assert other.state.frame.round == 3
    assert one.state.status == "running"
    assert one.state.federation.settings.rule == "soft_vote"
    assert one.state.federation.runtime is other.state.federation.runtime
    one.close()
    assert one.wait(5)
    assert other.state.frame.record.settings["rule"] == "hard_vote"


def test_statistics(desk):
    desk.driver.run(20)
    assert eventually(lambda: desk.state.status == "paused")
    frame = desk.state.frame
    assert sum(one.share for one in frame.parties) == pytest.approx(1.0)
    consensus, best, oracle = frame.lines[:, -1]
    assert best <= oracle
    assert consensus <= oracle
    assert frame.lines.shape == (3, 20)
    assert frame.first_round == 1
    assert frame.totals["messages_out"] == 20 * 4
    assert set(frame.gains) == set("ABCD")
    assert frame.record.classes == CLASSES


def test_without_labels_there_is_no_accuracy(toy, toy_data):
    desk = Desk.new()
    desk.driver.take(toy, toy_data[0])
    desk.driver.run(2)
    assert eventually(lambda: desk.state.status == "paused")
    assert np.isnan(desk.state.frame.lines).all()
    assert not desk.state.frame.gains
    assert all(one.accuracy is None for one in desk.state.frame.parties)


def test_a_behaviour_takes_effect_in_the_next_round_and_restarts_nothing(desk):
    desk.driver.run(4)
    assert eventually(lambda: desk.state.status == "paused" and desk.state.frame.round == 4)
    assert desk.cohort.behave(2, "constant_label", label=1, confidence=0.9)
    assert desk.state.federation.behaviours["C"].options == {"label": 1, "confidence": 0.9}
    desk.driver.run(3)
    assert eventually(lambda: desk.state.status == "paused" and desk.state.frame.round == 7)
    frame = desk.state.frame
    assert (frame.n_window, frame.earned.n_rounds) == (7, 7)
    assert set(frame.record.answers[2].argmax(axis=1)) == {1}
    assert [one.behaviour for one in frame.parties] == ["", "", "constant_label", ""]
    assert desk.cohort.behave(2, None)
    desk.driver.run(1)
    assert eventually(lambda: desk.state.frame.round == 8)
    assert desk.state.frame.n_window == 8
    assert [one.behaviour for one in desk.state.frame.parties] == [""] * 4
    said = [text for _, _, text in desk.state.log if "Simulation" in text]
    assert said == [
        "Simulation: C misbehaves (constant label, label 1, confidence 0.9) from the next round on.",
        "Simulation: C is honest from the next round on.",
    ]


def test_behaviours_set_elsewhere_are_heard_once(desk, toy, toy_data):
    other = Desk.new()
    other.driver.take(toy, *toy_data)
    revision = other.state.revision
    desk.cohort.behave(0, "sharpened")
    assert other.driver.behaving.of(other.state.members[0]).name == "sharpened"
    other.driver.run(3)
    assert eventually(lambda: other.state.status == "paused")
    assert other.state.revision > revision
    assert [text for _, _, text in other.state.log] == ["Simulation: A misbehaves (sharpened) in round 1."]
    late = Desk.new(simulation=False)
    late.driver.take(toy, *toy_data)
    desk.cohort.behave(0, None)
    late.driver.run(1)
    assert eventually(lambda: late.state.status == "paused")
    assert not late.state.log


def test_a_behaviour_that_cannot_be_set(desk):
    assert not desk.cohort.behave(0, "sharpened", factor=-1.0)
    assert "factor" in desk.state.notice.text
    assert "A behaves as before" in desk.state.notice.text
    assert not desk.state.federation.behaviours


def test_calibration_of_parties_without_a_temperature_is_refused_with_a_way_out(desk):
    desk.state.choose(calibration="temperature", abstain_below=0.5)
    notice = desk.state.notice
    assert notice.level == "refused"
    assert "A, B, C, D hold none" in notice.text
    assert desk.state.federation.settings.abstain_below == 0.0
    assert notice.ways[0].choice.calibration == "none"
    desk.state.chosen = notice.ways[0].choice
    assert desk.state.federation.settings.abstain_below == 0.5
    assert desk.state.notice is None


def test_all_that_one_choice_changes_is_told(desk):
    desk.state.choose(payout="softmax", budget_micro=2_500_000, abstain_below=0.6)
    assert desk.state.log[-1][2] == (
        "Payout: softmax; answers: only when at least 60 % sure; budget of a round: 2.5 units, from the next round on."
    )
    desk.state.choose(payout_options={"temperature": 0.5})
    assert desk.state.log[-1][2] == "Options of the payout: temperature 0.5, from the next round on."
    desk.state.choose(payout="equal")
    assert desk.state.federation.settings.payout_options == {}


def test_coverage_over_the_window(desk):
    desk.state.choose(abstain_below=0.42)
    desk.driver.run(5)
    records = []
    desk.state.observe(lambda change: records.append(change["new"].record), "frame")
    assert eventually(lambda: desk.state.status == "paused" and desk.state.frame.round == 5)
    desk.driver.stop()
    desk.driver.run(1)
    assert eventually(lambda: desk.state.frame.round == 6)
    frame = desk.state.frame
    assert 0 < frame.coverage < 1
    assert frame.selective_accuracy > frame.lines[0, -1]  # surer answers are right more often
    desk.state.choose(abstain_below=0.0)
    desk.driver.run(1)
    assert eventually(lambda: desk.state.status == "paused" and desk.state.frame.round == 7)
    assert desk.state.frame.coverage == 1.0  # only rounds under the threshold in force count


def test_what_a_mechanism_hides_is_not_drawn_on_from_older_rounds(desk):
    desk.driver.run(3)
    assert eventually(lambda: desk.state.status == "paused")
    desk.state.choose(mechanism="secure_sum")
    desk.driver.run(2)
    assert eventually(lambda: desk.state.frame.round == 5 and desk.state.status == "paused")
    consensus, best, oracle = desk.state.frame.lines
    assert not np.isnan(consensus).any()
    assert np.isnan(best).tolist() == np.isnan(oracle).tolist() == [False] * 3 + [True] * 2
