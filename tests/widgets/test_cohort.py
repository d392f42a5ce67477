import json

import pytest

import fi_workbench as fi
from fi_workbench.widgets.desk import Desk
from tests.widgets.conftest import eventually


def names(desk):
    return [member.party.name for member in desk.state.members]


def settled(desk):
    return eventually(lambda: desk.state.task is None and not desk.jobs.busy, 60)


def on(federation):
    desk = Desk.new()
    desk.driver.take(federation)
    desk.state.rate = None
    return desk


def test_leaving_out_and_asking_again(desk):
    desk.driver.run()
    assert desk.cohort.enable(1, False)
    assert eventually(lambda: desk.state.frame.record and desk.state.frame.record.parties == ("A", "C", "D"))
    assert [one.name for one in desk.state.frame.parties] == ["A", "C", "D"]
    assert [one.number for one in desk.state.frame.parties] == [0, 2, 3]  # colours stay
    assert desk.cohort.enable(1, True)
    assert eventually(lambda: desk.state.frame.record.parties == ("A", "B", "C", "D"))


def test_the_windows_begin_anew_with_others(desk):
    """Shares and accuracies of one cohort are not mixed with those of another."""
    desk.driver.run(6)
    assert eventually(lambda: desk.state.status == "paused")
    assert desk.state.frame.n_window == 6
    desk.cohort.enable(1, False)
    assert (desk.state.frame.round, desk.state.frame.n_window) == (6, 0)
    desk.driver.run(2)
    assert eventually(lambda: desk.state.frame.round == 8)
    assert desk.state.frame.n_window == 2
    assert sum(one.share for one in desk.state.frame.parties) == pytest.approx(1.0)


def test_the_last_one_cannot_be_left_out(desk):
    for number in range(3):
        assert desk.cohort.enable(number, False)
    revision = desk.state.revision
    assert not desk.cohort.enable(3, False)
    assert "D stays" in desk.state.notice.text
    assert desk.state.members[3].enabled
    assert desk.state.revision > revision


def test_removing(desk):
    assert desk.cohort.remove(0)
    assert names(desk) == ["B", "C", "D"]
    assert [party.name for party in desk.state.federation.parties] == ["B", "C", "D"]


def test_parties_of_others_keep_their_names(desk):
    assert not desk.cohort.rename(0, "Ann")
    assert "its owner" in desk.state.notice.text
    desk.cohort.add("mlp")
    assert "not made here" in desk.state.notice.text


def test_renaming(demo):
    desk = on(demo)
    desk.driver.run(3)
    assert eventually(lambda: desk.state.status == "paused")
    before = desk.state.frame.parties[0].accuracy
    assert desk.cohort.rename(0, "Ann")
    assert names(desk) == ["Ann", "B", "C"]
    assert desk.state.frame.parties[0].accuracy == before
    assert not desk.cohort.rename(1, "Ann")
    assert not desk.cohort.rename(1, " ")
    desk.driver.run(1)
    assert eventually(lambda: desk.state.frame.round == 4)
    assert desk.state.frame.record.parties == ("Ann", "B", "C")


def test_a_renamed_party_keeps_its_policy():
    policies = {"A": fi.Policy(query_budget=64)}
    with fi.Federation.demo(n_parties=2, epochs=2, history=None, policies=policies) as federation:
        desk = on(federation)
        assert desk.cohort.rename(0, "Ann")
        side = desk.state.federation.runtime.venue.side(desk.state.members[0].party)
        assert side.policy.query_budget == 64


def test_another_model_another_skew_one_more(demo):
    desk = on(demo)
    kept = desk.state.members[1].party
    desk.cohort.change_model(0, "logistic_regression")
    assert settled(desk)
    assert [one.party.model for one in desk.state.members] == ["logistic_regression", "mlp", "mlp"]
    assert desk.state.members[1].party is kept
    desk.cohort.add("logistic_regression")
    assert settled(desk)
    assert names(desk) == ["A", "B", "C", "D"]
    assert desk.state.members[3].number == 3
    desk.cohort.deal_again(10.0)
    assert settled(desk)
    assert desk.state.members[1].party is not kept
    assert desk.state.federation.made_from.alpha == 10.0
    assert [one.party.model for one in desk.state.members] == [
        "logistic_regression",
        "mlp",
        "mlp",
        "logistic_regression",
    ]
    desk.driver.run(2)
    assert eventually(lambda: desk.state.status == "paused")
    assert desk.state.frame.record.present == ("A", "B", "C", "D")
    saved = json.loads(json.dumps(desk.state.federation.to_dict()))
    again = fi.Federation.from_dict(saved, history=None)
    assert again.to_dict() == desk.state.federation.to_dict()
    again.close()


def test_training_while_the_stream_runs(demo):
    desk = on(demo)
    desk.driver.run()
    assert eventually(lambda: desk.state.frame.round > 2)
    desk.cohort.deal_again(2.0)
    assert desk.state.status == "running"
    assert settled(desk)
    reached = desk.state.frame.round
    assert eventually(lambda: desk.state.frame.round > reached)
    desk.cohort.deal_again(0.3)
    assert settled(desk)
    desk.close()
    assert desk.wait(10)


def test_a_failed_training_leaves_the_parties_as_they_are(demo):
    desk = on(demo)
    desk.cohort.change_model(0, "transformer")
    assert settled(desk)
    assert "transformer" in desk.state.notice.text
    assert "stay as they were" in desk.state.notice.text
    assert desk.state.members[0].party.model == "mlp"


def test_the_newer_wish_wins(demo):
    desk = on(demo)
    desk.cohort.deal_again(0.05)
    desk.cohort.deal_again(5.0)
    assert settled(desk)
    assert desk.state.federation.made_from.alpha == 5.0


def test_making_a_demo_from_nothing():
    desk = Desk.new()
    desk.cohort.make("digits", 2, 1.0, "logistic_regression")
    assert desk.state.status == "preparing"
    assert settled(desk)
    assert desk.state.status == "ready"
    assert names(desk) == ["A", "B"]
    desk.state.federation.close()


def test_a_demo_that_cannot_be_made():
    desk = Desk.new()
    desk.cohort.make("no such data", 2, 1.0, "mlp")
    assert settled(desk)
    assert desk.state.status == "empty"
    assert "no such data" in desk.state.notice.text


def test_a_renamed_party_behaves_as_it_did(demo):
    desk = on(demo)
    assert desk.cohort.behave(1, "sharpened")
    assert desk.cohort.rename(1, "Bea")
    assert desk.state.federation.behaviours["Bea"].name == "sharpened"
    assert desk.cohort.behave(1, None)
    assert not desk.state.federation.behaviours
    demo.behave("B", None)
