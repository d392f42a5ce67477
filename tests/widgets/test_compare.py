"""The page that compares rules: its list, its pictures, its threshold."""

import csv
import html
import io
import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.aggregation import rules
from fi_workbench.session.comparison import Side
from fi_workbench.widgets.pages.compare.rule_list import FEWEST, mark
from fi_workbench.widgets.views import rule_palette
from fi_workbench.widgets.views.front_end import STATIC
from tests.widgets.conftest import CLASSES, eventually, toy_party


@pytest.fixture
def workbench(toy, toy_data):
    workbench = fi.Workbench(toy, queries=toy_data[0], labels=toy_data[1])
    yield workbench
    workbench.close()
    assert workbench.wait(10)


@pytest.fixture
def page(workbench):
    workbench._tabs.open("Compare")
    return workbench._tabs.page


def compared(page):
    before = page.comparison
    page.go.click()
    assert eventually(lambda: page.comparison is not before)
    assert eventually(lambda: page._state.task is None)
    return page.comparison


def test_two_rules_on_the_same_answers(workbench, page):
    assert page.rules.sides == (Side("soft_vote"), Side("hard_vote"))
    comparison = compared(page)
    assert "asked once" in page._how.value
    assert "They agree on" in page._how.value
    again = workbench.federation.with_(rule="hard_vote").ask(comparison.question.queries)
    place = next(k for k, one in enumerate(comparison.outcomes) if one.name == "hard_vote")
    np.testing.assert_array_equal(comparison.labels[place], again.labels)
    assert {row[0] for row in page.summary.rows[:2]} == {"Soft vote", "Hard vote"}
    assert [row[0] for row in page.summary.rows[2:]] == ["Best party (bound)", "Oracle (bound)"]
    assert page.summary.rows[0][1] >= page.summary.rows[1][1]  # the best first
    assert page.summary.rows[0][1] == comparison.figures[0].accuracy
    assert page.summary.columns[-2]["name"] == "same as soft vote"
    assert page.dots.kinds == ("rule", "rule", "bound", "oracle")
    assert page.dots.colours == (*((0, 1) if place else (1, 0)), None, None)
    assert page.classes.columns == CLASSES
    shares = np.frombuffer(page.classes.values, "<f4").reshape(8, 3)
    np.testing.assert_allclose(shares[:4], comparison.per_class()[1], rtol=1e-6)
    assert page.classes.rows[4:] == tuple(f"{name} alone" for name in "ABCD")
    right = comparison.record.answers.argmax(axis=2) == comparison.truth
    for c in range(3):
        np.testing.assert_allclose(shares[4:, c], right[:, comparison.truth == c].mean(axis=1), rtol=1e-6)
    assert page.selective.curves.names == page.dots.names
    assert len(page.queries.rows) == len(comparison.differ) > 0
    assert page.queries.title == f"Where they differ: {len(comparison.differ)} of 60 queries"
    page.look.click()
    assert workbench._tabs.page.title == "Queries"
    assert workbench._tabs.page.view.n_queries == len(comparison.differ)


def test_list_of_rules(page):
    listed = page.rules
    assert [row.remove.disabled for row in listed.rows.values()] == [True, True]
    listed.add.click()
    assert len(listed.sides) == 3
    assert listed.editor.layout.display is None
    listed.picker.list.value = "trimmed_mean"
    listed.picker._controls._controls["trim"].value = 0.4
    assert listed.sides[2] == Side("trimmed_mean", {"trim": 0.4})
    assert "trim 0.4" in listed.rows[2]._text.value
    listed.rows[0].remove.click()
    assert [one.number for one in listed.entries] == [1, 2]
    listed.rows[1].remove.click()
    assert len(listed.sides) == FEWEST
    listed.add.click()
    assert listed.entries[-1].number == 0  # the colour that became free
    listed.rows[0].edit.click()
    assert listed.editor.layout.display == "none"


def test_all_that_fit_are_those_that_can_be_set(workbench, page):
    page.rules.add.click()
    page.rules.picker.list.value = "class_competence"  # these parties hold no class counts
    assert "Does not fit" in page.rules.picker._explanation.value
    page.rules.all.click()
    names = {side.rule for side in page.rules.sides}
    assert "class_competence" not in names
    for name in rules:
        try:
            workbench.federation.with_(rule=name)
        except fi.FederationError:
            assert name not in names
    comparison = compared(page)
    assert not comparison.failed
    assert len(page.summary.rows) == len(names) + 2
    assert {column["name"] for column in page.queries.columns} == {"query", "truth", "most say", "others"}
    query, _, most, others = page.queries.rows[0]
    labels = comparison.labels[:, query - 1]
    assert most == f"{CLASSES[np.bincount(labels).argmax()]} ({np.bincount(labels).max()} of {len(labels)})"
    assert others.count(",") + others.count(";") + 1 == len(labels) - np.bincount(labels).max()
    page.rules.fewer.click()
    assert len(page.rules.sides) == FEWEST


def test_a_rule_that_stands_there_twice_counts_once(page):
    page.rules.begin(Side("soft_vote"), Side("hard_vote"), Side("soft_vote"))
    assert page.rules.sides == (Side("soft_vote"), Side("hard_vote"))


def test_colours_are_those_of_the_list_when_it_was_asked(page):
    page.rules.add_one()
    page.rules.remove(0)
    compared(page)
    assert sorted(page.dots.colours[:2]) == [one.number for one in page.rules.entries] == [1, 2]
    numbers = {one.side.title: one.number for one in page.rules.entries}
    assert [numbers[name] for name in page.dots.names[:2]] == list(page.dots.colours[:2])


def test_the_threshold_comes_into_force(workbench, page):
    comparison = compared(page)
    selective = page.selective
    assert selective.use.disabled
    curve = comparison.curves[0]
    middle = len(curve.threshold) // 2
    selective.curves._handle_custom_msg({"request": "pick", "confidence": float(curve.threshold[middle])}, [])
    assert selective.slider.value == pytest.approx(curve.threshold[middle], abs=1e-3)
    assert selective.slider.value <= curve.threshold[middle]
    assert selective.curves.mark_coverages[0] >= curve.coverage[middle]
    answered = comparison.outcomes[0].scores.max(axis=1) >= selective.slider.value
    wrong = comparison.outcomes[0].labels != comparison.truth
    assert selective.table.rows[0][1:] == pytest.approx([answered.mean(), wrong[answered].mean(), wrong.mean()])
    selective.use.click()
    assert workbench.federation.settings.abstain_below == pytest.approx(selective.slider.value)
    assert selective.use.disabled
    assert "In force: 0." in selective._in_force.value
    selective.slider.value = 1.0
    assert None in selective.curves.mark_risks
    assert selective.table.rows[0][2] is None


def test_without_labels_there_are_labels_only(toy, toy_data):
    workbench = fi.Workbench(toy, queries=toy_data[0])
    workbench._tabs.open("Compare")
    page = workbench._tabs.page
    comparison = compared(page)
    assert page._pictures.layout.display == "none"
    assert "Without true labels" in page._how.value
    assert [row[0] for row in page.summary.rows] == ["Soft vote", "Hard vote"]
    assert page.summary.rows[0][1] is None
    assert page.summary.rows[1][6] == comparison.figures[1].agreement
    assert page.queries.rows[0][1] == "-"
    workbench.close()


def test_under_a_mechanism_that_shows_the_sum_only(workbench, page, only_sum):
    workbench.state.choose(mechanism=only_sum)
    comparison = compared(page)
    assert "asked twice" in page._how.value
    assert "does not show each answer" in page._how.value
    assert comparison.bounds == ()
    assert "The bounds need each party's answer" in html.unescape(page._how.value)
    assert len(page.summary.rows) == 2
    assert page.dots.kinds == ("rule", "rule")
    page.look.click()
    assert not workbench._tabs.page.view.disclosed


def test_it_can_be_given_up(toy_data):
    asked, go_on = threading.Event(), threading.Event()

    def wait(queries):
        asked.set()
        go_on.wait(10)

    with fi.Federation([toy_party("A"), toy_party("B", behave=wait)], history=None) as federation:
        workbench = fi.Workbench(federation, queries=toy_data[0], labels=toy_data[1])
        workbench._tabs.open("Compare")
        page = workbench._tabs.page
        assert page.give_up.layout.display == "none"
        page.go.click()
        assert asked.wait(10)
        assert page.give_up.layout.display is None
        assert page.go.disabled
        page.give_up.click()
        go_on.set()
        assert eventually(lambda: workbench.state.task is None)
        assert page.comparison is None
        assert eventually(lambda: page.give_up.layout.display == "none" and not page.go.disabled)
        workbench.close()


def test_labels_are_saved(page):
    with pytest.raises(fi.FederationError, match="Nothing was compared"):
        page._labels_csv()
    comparison = compared(page)
    name, kind, content = page._labels_csv()
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert (name, kind, len(rows)) == ("comparison.csv", "text/csv", 60)
    title = comparison.outcomes[1].title
    assert [row[title] for row in rows] == [CLASSES[label] for label in comparison.labels[1]]
    assert rows[4]["query"] == "5"


def test_rules_have_colours_of_their_own():
    assert len(set(rule_palette.ON_LIGHT)) == len(set(rule_palette.ON_DARK)) == len(rule_palette.NAMES)
    assert f"const N_RULE_COLOURS = {len(rule_palette.NAMES)};" in (STATIC / "rules_paint.js").read_text()
    assert rule_palette.css().count("--fi-rule-7:") == 2
    assert "--fi-rule-1)" in mark(9)
    assert len({mark(k) for k in range(24)}) == 24
