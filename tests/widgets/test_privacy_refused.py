"""Under mechanisms that show a sum only: what every page does that needs more."""

import pytest

import fi_workbench as fi
from fi_workbench.core.errors import NotDisclosed
from fi_workbench.session.gaming import gaming_matrix_of
from fi_workbench.widgets.views import View
from tests.widgets.conftest import eventually

REFUSED = {
    "Live": {"Gain by joining"},
    "Rewards": {"Fairness against merit"},
    "Queries": set(),
    "Compare": set(),
    "Agreement": {"Agreement", "Redundancy"},
    "Gaming": {"Gain of the cheater", "Accuracy lost"},
    "Privacy": set(),
    "Cost": set(),
}


@pytest.fixture
def workbench(toy, toy_data):
    workbench = fi.Workbench(toy, queries=toy_data[0], labels=toy_data[1])
    workbench.state.rate = None
    workbench.state.batch_size = 12
    yield workbench
    workbench.close()
    assert workbench.wait(10)


def ran(workbench, n_rounds):
    workbench.run(n_rounds)
    return eventually(lambda: workbench.state.status == "paused") and workbench._desk.driver.wait(5)


def views(widget):
    """All live pictures in a box."""
    if isinstance(widget, View):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from views(child)


def opened(workbench, title):
    workbench._tabs.open(title)
    return workbench._tabs.page


@pytest.mark.parametrize(("mechanism", "rule"), [("secure_sum", "soft_vote"), ("gnmax", "hard_vote")])
def test_every_page_says_what_it_cannot_draw(workbench, mechanism, rule):
    assert ran(workbench, 2)  # in the clear: nothing of it may be carried on as if it were still shown
    for title in REFUSED:
        opened(workbench, title)
    workbench.state.choose(mechanism=mechanism, rule=rule)
    assert workbench.federation.settings.mechanism.name == mechanism
    for title, refused in REFUSED.items():
        page = opened(workbench, title)
        assert ran(workbench, 1)
        found = {view.title: view for view in views(page.box) if view.refusal}
        assert set(found) == refused, title
        for view in found.values():
            assert view.way_out == "Use plain"
            assert "shows the sum of the answers" in view.refusal
        for view in views(page.box):
            shown = {name: getattr(view, name) for name in view.class_traits(sync=True) if not name.startswith("_")}
            assert "nan" not in repr(shown).lower(), (title, view.title)
    assert not [line for line in workbench.state.log if line[1] != "info"]
    assert workbench.state.notice is None


def test_single_answers_are_not_sent_to_the_page(workbench):
    assert ran(workbench, 1)
    queries = opened(workbench, "Queries").view
    assert queries.disclosed
    workbench.state.choose(mechanism="secure_sum")
    assert ran(workbench, 1)
    assert not queries.disclosed
    assert queries.answers == b""
    assert "Secure sum: each party's answer is not shown" in queries.hidden_reason


def test_a_sweep_does_not_take_the_protection_off(workbench, toy_data):
    gaming = opened(workbench, "Gaming")
    assert not gaming.go.disabled
    workbench.state.choose(mechanism="secure_sum")
    assert gaming.go.disabled
    n_rounds = len(workbench.federation.history)
    with pytest.raises(NotDisclosed, match="'secure_sum' does not show"):
        gaming_matrix_of(workbench.federation, *toy_data)
    assert len(workbench.federation.history) == n_rounds
    workbench.state.choose(mechanism="plain", noise=(("laplace", {}),))
    assert not gaming.go.disabled
    gaming.choice.chosen["behaviours"].value = ("constant_label",)
    gaming.choice.chosen["rewards"].value = ("equal",)
    gaming.choice.chosen["rules"].value = ("soft_vote",)
    gaming.go.click()
    assert eventually(lambda: gaming.result is not None and workbench.state.task is None)
    assert workbench.federation.budget[0].n_queries == 60
    assert workbench.federation.budget[0].guaranteed  # what was asked, was asked with the noise on


def test_the_way_out_opens_all_of_it(workbench):
    workbench.state.choose(mechanism="secure_sum", noise=(("laplace", {}),))
    live = opened(workbench, "Live")
    live.gains._handle_custom_msg({"request": "way_out"}, [])
    settings = workbench.federation.settings.mechanism
    assert settings.carrier.name == "plain"
    assert [one.name for one in settings.noise] == ["laplace"]  # which hides something of its own
    for title in REFUSED:
        assert not [view.title for view in views(opened(workbench, title).box) if view.refusal]
