"""What belongs to the owners of parties elsewhere, and every page over a link."""

import pytest

import fi_workbench as fi
from fi_workbench.core.errors import FederationError
from fi_workbench.session.demo import Demo
from tests.widgets.conftest import eventually
from tests.widgets.linked_bench import come, has, member, names, runs_on, visible

TITLES = (
    *("Live", "Rewards", "Queries", "Compare", "Agreement", "Gaming"),
    *("Privacy", "Leakage", "Trade-off", "Cost", "Log", "Export"),
)


@pytest.fixture
def federation(linked):
    return linked


@pytest.fixture
def workbench(linked_workbench):
    return linked_workbench


class TestWhatIsTheOwners:
    @pytest.fixture
    def joined(self, link, workbench):
        come(link, "Ada", "Bo")
        assert has(workbench, "Ada", "Bo")
        return workbench

    def test_the_editor(self, joined):
        editor = joined._parties.editor
        editor.open(member(joined, "Bo").number)
        assert editor.name.disabled
        assert editor.model.disabled
        assert not visible(editor.remove)
        assert editor.behaviour.picker.list.disabled
        assert editor.behaviour.picker.list.label == "Set by its owner"
        assert "belong to its owner" in editor._hint.value
        assert not visible(joined._parties._demo_only)
        assert "run elsewhere" in joined._parties._foreign.value

    def test_what_is_wished_all_the_same_is_refused_in_words(self, joined):
        cohort, number = joined._desk.cohort, member(joined, "Bo").number
        for wish in (
            lambda: cohort.rename(number, "Bea"),
            lambda: cohort.remove(number),
            lambda: cohort.behave(number, "constant_label"),
            lambda: cohort.deal_again(0.1),
            lambda: cohort.add("mlp"),
        ):
            joined.state.notice = None
            wish()
            assert joined.state.notice.level == "error"
        assert names(joined) == ["Ada", "Bo"]

    def test_nothing_private_is_drawn(self, joined):
        joined.run(2)
        assert eventually(lambda: joined.state.status == "paused")
        live = joined._tabs.page
        assert live.counts.counts == (None, None)
        assert live.gains.gains_own == (None, None)
        assert not visible(joined._parties._demo_only)

    def test_settings_are_saved_and_loaded(self, joined):
        joined._tabs.open("Export")
        page = joined._tabs.page
        joined.state.choose(rule="hard_vote")
        content = page.settings_json()[2]
        joined.state.choose(rule="soft_vote")
        page.load(content)
        assert joined.federation.settings.rule == "hard_vote"
        assert names(joined) == ["Ada", "Bo"]
        with pytest.raises(FederationError):
            page.figure("partition", ".html")

    @pytest.mark.parametrize("title", TITLES)
    def test_every_page_follows(self, link, joined, title):
        """Each page while rounds are asked, a party leaves, one is expelled, another joins, and all are gone."""
        joined._tabs.open(title)
        joined.run()
        assert eventually(lambda: joined.state.frame.round > 2)
        link.leave("Bo")
        assert eventually(lambda: member(joined, "Bo").away == "offline")
        assert runs_on(joined)
        come(link, "Cy")
        assert has(joined, "Ada", "Bo", "Cy")
        assert runs_on(joined)
        link.expel("Ada")
        assert has(joined, "Bo", "Cy")
        assert runs_on(joined)
        joined.state.choose(mechanism="commit_reveal")
        assert runs_on(joined)
        joined.state.choose(mechanism="plain")
        assert runs_on(joined)
        assert joined.state.status == "running"
        for name in ("Bo", "Cy"):
            link.expel(name)
        assert eventually(lambda: joined.state.status == "empty")
        come(link, "Di", "Ed")
        assert has(joined, "Di", "Ed")
        joined.run(3)
        assert eventually(lambda: joined.state.status == "paused")
        assert joined.state.record.present == ("Di", "Ed")
        assert not [line for line in joined.state.log if line[1] == "error"]

    def test_compare_fit_and_sweep_ask_over_the_link(self, joined):
        joined._tabs.open("Compare")
        compare = joined._tabs.page
        compare.size.value = 100
        compare.go.click()
        assert eventually(lambda: compare.comparison is not None and joined.state.task is None, 30)
        joined._desk.fitting.fit("stacked")
        assert eventually(lambda: joined.state.chosen.rule == "stacked", 60)
        joined.run(2)
        assert eventually(lambda: joined.state.status == "paused")
        joined._tabs.open("Gaming")
        gaming = joined._tabs.page
        for kind, picked in (("behaviours", "constant_label"), ("rewards", "agreement"), ("rules", "hard_vote")):
            control = gaming.choice.chosen[kind]
            control.value = [picked if picked in [value for _, value in control.options] else control.options[0][1]]
        gaming.go.click()
        assert eventually(lambda: gaming.result is not None, 60)

    def test_a_learned_rule_is_not_put_to_who_came_later(self, link, joined):
        joined._desk.fitting.fit("stacked")
        assert eventually(lambda: joined.state.chosen.rule == "stacked", 60)
        come(link, "Cy")
        assert has(joined, "Ada", "Bo", "Cy")
        assert not member(joined, "Cy").enabled
        joined.run(2)
        assert eventually(lambda: joined.state.status == "paused")
        assert joined.state.record.parties == ("Ada", "Bo")


def test_demo_parties_of_another_host_are_not_dealt_anew_here(link):
    """What they are made of is known, so their test set is asked; but they were trained there."""
    demo = Demo("digits", 2)
    with fi.Federation._over(link, demo.data(), demo, {"history": None}) as federation:
        workbench = fi.Workbench(federation)
        assert federation.made_from is demo
        assert not visible(workbench._parties._demo_only)
        for party in demo.parties():
            link.join(party)
        assert has(workbench, "A", "B")
        assert not visible(workbench._parties._demo_only)
        workbench._desk.cohort.deal_again(5.0)
        assert "not made here" in workbench.state.notice.text
        workbench.state.rate = None
        workbench.run(2)
        assert eventually(lambda: workbench.state.status == "paused")
        assert workbench.state.record.present == ("A", "B")
        workbench.close()
