"""A rule that must be learned: refused until it is fitted, fitted at a press, and what is said of it then."""

import re
import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.progress import Progress
from fi_workbench.session.comparison import Side
from fi_workbench.widgets.running import fitting
from fi_workbench.widgets.running.batches import Batches
from fi_workbench.widgets.running.state import Notice
from tests.widgets.conftest import N_QUERIES, eventually, toy_party


@pytest.fixture
def workbench(toy, toy_data, tmp_path, monkeypatch):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))  # where combiners are kept
    workbench = fi.Workbench(toy, queries=toy_data[0], labels=toy_data[1])
    yield workbench
    workbench.close()
    assert workbench.wait(10)


def fitted(workbench, rule="stacked"):
    workbench.state.choose(rule=rule)
    workbench._rule.fit.go.click()
    assert eventually(lambda: workbench.federation.settings.rule == rule, 30)
    assert eventually(lambda: workbench.state.task is None)
    return workbench.federation.settings.rule_options["combiner"]


def test_batches_at_either_end_of_the_first_pass():
    batches = Batches(np.arange(10.0)[:, None], np.arange(10), seed=3)
    first, last = batches.sample(4), batches.sample(4, last=True)
    stream = np.concatenate([batches.next(5).labels, batches.next(5).labels])
    np.testing.assert_array_equal(first.labels, stream[:4])
    np.testing.assert_array_equal(last.labels, stream[-4:])
    assert len(batches.sample(99, last=True).labels) == 10


def test_refused_until_it_is_fitted(workbench):
    workbench.state.choose(rule="stacked")
    assert workbench.state.status == "refused"
    assert "must be learned" in workbench.state.notice.text
    assert workbench.federation.settings.rule == "soft_vote"
    control = workbench._rule.fit
    assert control.box.layout.display is None
    assert control.go.description == "Fit on 30 queries"
    assert "the last 30 of the 60 labelled queries" in control._said.value
    workbench._header._ways.children[0].click()  # the notice has a button for it too
    assert eventually(lambda: workbench.federation.settings.rule == "stacked", 30)
    assert workbench.state.notice is None
    assert workbench.state.status == "ready"


def test_fitted_on_the_end_of_the_pass_and_says_so(workbench, toy_data):
    name = fitted(workbench)
    combiner = fi.combiners.get(name)
    assert combiner.kind == "stacked"
    assert combiner.training.n_queries == 30
    question = workbench._desk.driver.sample(30, last=True)
    answers = workbench.federation.with_(rule="soft_vote", rule_options={}).ask(question.queries).answers
    again = fi.fit_combiner(
        "stacked", answers, question.labels, outputs="probabilities", parties=list("ABCD"),
        seed=workbench.federation.settings.seed,
    )  # fmt: skip
    assert again.name == name
    said = workbench._rule.fit._said.value
    assert "last 30 of the 60 labelled queries" in said
    assert "of the 6 of them that were held out" in said
    assert "flattering" in said
    workbench.state.choose(rule="soft_vote")
    assert workbench._rule.fit.box.layout.display == "none"
    workbench._rule.picker.list.value = "stacked"  # the last one is chosen with it
    assert workbench.federation.settings.rule_options == {"combiner": name}
    workbench.run(2)
    assert eventually(lambda: workbench.state.frame.round == 2 and workbench.state.status == "paused")


def test_comparison_takes_it_and_tells_of_the_overlap(workbench):
    workbench._tabs.open("Compare")
    page = workbench._tabs.page
    page.rules.add_one()
    page.rules._pick("stacked")
    assert "press Fit" in page.rules.picker._explanation.value
    name = fitted(workbench)
    page.rules.begin(Side("soft_vote"), Side("hard_vote"))
    page.rules.add_all()
    assert Side("stacked", {"combiner": name}) in page.rules.sides
    page.size.value = None
    page.go.click()
    assert eventually(lambda: page.comparison is not None and workbench.state.task is None, 20)
    assert "Stacked was fitted on 30 of them" in page._how.value
    assert "Stacked" in [row[0] for row in page.summary.rows]
    assert name not in page._how.value
    fits = workbench._desk.fitting
    assert [fits.n_seen(name, n) for n in (10, 30, 31, N_QUERIES, 1000)] == [0, 0, 1, 30, 30]
    assert fits.n_seen("elsewhere", N_QUERIES) == 0


def test_another_party_is_refused_not_failed(workbench):
    name = fitted(workbench)
    with fi.Federation([toy_party("E"), toy_party("F")], history=None) as other:
        second = fi.Workbench(other, queries=np.eye(3, dtype=np.float32))
        second.state.choose(rule="stacked", rule_options={"combiner": name})
        assert second.state.status == "refused"
        assert "was fitted with A, B, C, D, not with E, F" in second.state.notice.text
        assert second._rule.fit.go.disabled  # there are no labels
        second.close()


def test_without_labels_it_says_what_is_missing(toy, toy_data):
    workbench = fi.Workbench(toy, queries=toy_data[0])
    workbench.state.choose(rule="deep_set")
    control = workbench._rule.fit
    assert control.go.disabled
    assert "too few" in control._said.value
    assert not re.search("Fit it", str([way.description for way in workbench._header._ways.children]))
    workbench.close()


def test_stop_gives_it_up(workbench, monkeypatch):
    begun = threading.Event()

    def endless(_federation, _question, _kind, report):
        while True:
            begun.set()
            report(Progress("fitting", 0, 1))

    monkeypatch.setattr(fitting, "_fit", endless)
    workbench.state.choose(rule="stacked")
    control = workbench._rule.fit
    control.go.click()
    assert begun.wait(5)
    assert control.stop.layout.display is None
    control.stop.click()
    assert eventually(lambda: workbench.state.task is None)
    assert eventually(lambda: control.stop.layout.display == "none" and not control.go.disabled)
    assert workbench.federation.settings.rule == "soft_vote"


def test_a_run_takes_away_what_was_said_of_the_one_before(workbench):
    workbench.state.notice = Notice("error", "A round under soft vote failed.")
    workbench.run(1)
    assert workbench.state.notice is None
    assert eventually(lambda: workbench.state.status == "paused")
