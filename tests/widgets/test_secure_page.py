"""The page Secure, the gauge of what is ready, and the ways into secure inference."""

import json
import re
import threading

import pytest

import fi_workbench as fi
from fi_workbench.widgets.pages.secure import words
from fi_workbench.widgets.pages.secure.words import LANES
from tests.widgets.conftest import eventually


@pytest.fixture(scope="module")
def federation():
    with fi.Federation.demo("digits", 3, model="mlp", epochs=1, history=None) as federation:
        yield federation


def opened(federation):
    workbench = fi.Workbench(federation)
    workbench.state.rate, workbench.state.batch_size = None, 4
    return workbench


@pytest.fixture
def workbench(federation):
    workbench = opened(federation)
    yield workbench
    workbench.close()
    assert workbench.wait(10)


@pytest.fixture
def pair(federation):
    workbench = opened(federation.with_(parties=federation.parties[:2]))
    yield workbench
    workbench.close()
    assert workbench.wait(10)


@pytest.fixture
def page(workbench):
    workbench._tabs.open("Secure")
    return workbench._tabs.page


@pytest.fixture
def looked(page, workbench):
    page.use.click()
    page.go.click()
    assert workbench._desk.jobs.wait(20)
    assert page.view is not None, workbench.state.notice
    return page


def is_shown(widget):
    return widget.layout.display != "none"


def ran(workbench, n_rounds=1):
    workbench.run(n_rounds)
    assert eventually(lambda: workbench.state.status != "running", 20)
    assert workbench._desk.driver.wait(10)


class TestPage:
    def test_another_mechanism_is_named_with_the_way_in(self, page, workbench):
        assert "Another mechanism is in force" in page._missing.value
        assert not is_shown(page._open)
        assert page.use.description == "Use secure inference with mean logit"
        page.use.click()
        assert workbench.federation.settings.mechanism.carrier.name == "secure_inference"
        assert workbench.federation.settings.rule == "mean_logit"
        assert is_shown(page._open)
        assert not is_shown(page._refused)

    def test_models_of_others_are_said_to_be_private(self, toy):
        workbench = fi.Workbench(toy)
        workbench._tabs.open("Secure")
        page = workbench._tabs.page
        assert page._missing.value == words.NOT_IN_FORCE
        assert not is_shown(page.use)  # they are no torch modules: there is no way in
        page.use.click()
        assert workbench.federation.settings.mechanism.carrier.name == "plain"
        workbench.close()
        assert workbench.wait(10)

    def test_the_busiest_step_is_drawn_first_and_buttons_lead_on(self, looked):
        assert looked.view.steps[looked.step].kind == "Relu"
        names = {line["name"] for line in looked.flow.lines}
        assert {"opened", "lanes", "remask", "selection: chosen"} <= names
        assert all(line["fair"] for line in looked.flow.lines)
        looked.on.click()
        assert looked.flow.title == "Step 4 of 4: linear at 3"
        assert [line["receiver"] for line in looked.flow.lines][-2:] == [LANES.index("client")] * 2
        assert looked.on.disabled
        looked.which.value = 0
        assert looked.flow.lines[0]["name"] == "masked query (sealed)"
        assert looked.back.disabled
        looked.layers.picked = (1, 1)
        assert looked.step == 1 == looked.layers.selected == looked.which.value

    def test_who_holds_what_has_the_parties_colours(self, looked):
        looked.layers.picked = (1, 1)
        assert looked.holdings.players == ("you", "A", "B", "C")
        assert looked.holdings.colours == (None, 0, 1, 2)
        held = {(LANES[line["sender"]], line["name"]): line["said"] for line in looked.holdings.lines}
        assert held == {
            ("owner", "weight"): "its own", ("dealer", "weight mask"): "uniform", ("evaluator", "share"): "uniform",
            ("owner", "share"): "uniform",
        }  # fmt: skip

    def test_figures_of_the_tables_are_the_views(self, looked):
        assert len(looked.layers.rows) == len(looked.view.steps)
        assert sum(row[4] for row in looked.layers.rows) == looked.view.n_bytes("online")
        for _, plain, secure in looked.values.rows:
            assert secure == pytest.approx(plain, abs=1e-3)
        assert "only here are both shares in one place" in looked._note.value
        assert words.size(looked.view.n_bytes("online")) in looked._said.value

    def test_it_is_saved(self, looked):
        name, kind, content = looked.save_json()
        assert (name[-5:], kind) == (".json", "application/json")
        assert json.loads(content)["party"] == "A"
        assert looked.save_csv()[2].decode().startswith("step,path,kind")


class TestGauge:
    def test_it_follows_the_rounds(self, workbench, page):
        pool = workbench._privacy.pool.box
        assert not is_shown(pool)
        page.use.click()
        assert "sets up a session with 3 parties" in pool.value
        ran(workbench)
        assert workbench.state.notice is None
        assert re.search(r"> [0-4] of 4 questions", pool.value)
        assert "The session of 3 parties was set up in" in pool.value
        ran(workbench)
        assert "was set up in" not in pool.value

    def test_it_fills_while_nothing_is_asked(self, workbench, page):
        page.use.click()
        ran(workbench)
        pool = workbench._privacy.pool.box
        assert eventually(lambda: 'value="4"' in pool.value and "> 4 of 4 questions" in pool.value)
        followers = [one for one in threading.enumerate() if one.name == "fi-pool-gauge"]
        assert eventually(lambda: not any(one.is_alive() for one in followers)), "nobody looks on at a full pool"

    def test_the_sentence_says_what_nobody_sees(self, workbench, page):
        page.use.click()
        assert "no party sees the query, nobody another's model" in workbench._header.line.sentence


class TestHelpers:
    def test_two_parties_are_offered_a_helper(self, pair):
        pair.state.choose(mechanism="secure_inference", rule="mean_logit")
        assert pair.state.status == "refused"
        way = pair.state.notice.ways[0]
        assert (way.label, way.n_helpers) == ("Add a helper", 1)
        pair._header._ways.children[0].click()
        assert pair.state.notice is None
        assert [one.party.name for one in pair.state.members] == ["A", "B", "Helper"]
        assert "Two parties answer with a helper, under secure inference" in pair._header.line.sentence
        ran(pair)
        assert pair.state.record.present == ("A", "B", "Helper")

    def test_a_rule_that_does_not_fit_goes_with_it(self, pair):
        pair.state.choose(mechanism="secure_inference")
        assert pair.state.notice.ways[0].label == "Add a helper and use mean logit"
        pair._header._ways.children[0].click()
        assert pair.federation.settings.rule == "mean_logit"

    def test_three_parties_need_none_and_a_helper_has_no_behaviour(self, workbench, pair):
        workbench.state.choose(mechanism="secure_inference")
        labels = [way.label for way in workbench.state.notice.ways]
        assert "Use mean logit instead" in labels
        assert not any("helper" in label for label in labels)
        pair.state.choose(mechanism="secure_inference", rule="mean_logit")
        pair._header._ways.children[0].click()
        pair._parties.editor.open(pair.state.members[-1].number)
        assert not is_shown(pair._parties.editor.behaviour.box)
