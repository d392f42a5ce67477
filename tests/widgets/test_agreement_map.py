"""The agreement page: counts, the two maps, the confusion matrices, and the heat map itself."""

import re

import numpy as np
import pytest
import traitlets

import fi_workbench as fi
from fi_workbench.core.errors import UnknownName
from fi_workbench.incentives.contribution import ContributionView
from fi_workbench.incentives.games.interaction import interactions_of
from fi_workbench.session.agreement import RunningAgreement
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.agreement.counting import MOST_QUERIES, Counting
from fi_workbench.widgets.pages.agreement.page import AgreementPage
from fi_workbench.widgets.pages.agreement.redundancy import sentences, verdict
from fi_workbench.widgets.views import front_end, heat_scale
from fi_workbench.widgets.views.heat_map import HeatMap
from fi_workbench.widgets.views.traits import CannotDraw
from tests.widgets.conftest import eventually, toy_party


@pytest.fixture
def page(desk):
    page = AgreementPage(desk)
    page.open()
    return page


def ask(desk, page, n_rounds=1):
    """Ask round after round, each of them shown."""
    for _ in range(n_rounds):
        before = desk.state.frame.round
        desk.driver.run(1)
        assert eventually(lambda before=before: desk.state.frame.round > before and desk.state.status == "paused")
    if page.box.children:  # as the tabs do it
        page.refresh()


def matrix(view):
    return np.frombuffer(view.values, "<f4").reshape(len(view.rows), len(view.columns))


class TestPage:
    def test_says_what_would_fill_it(self, page):
        for view in (page.map, page.redundancy.map, page.confusions.estimated, page.confusions.true, page.table):
            assert "press Run" in view.empty_text or "labelled" in view.empty_text
            assert view.rows == ()

    def test_counts_each_round_once_and_shows_what_was_answered(self, desk, page):
        votes, truths = [], []
        for _ in range(3):
            ask(desk, page)
            record = desk.state.frame.record
            votes.append(record.answers.argmax(axis=2))
            truths.append(record.truth)
            page.show(desk.state.frame)  # again: it must not be counted twice
            page._heard(desk.state.record)
        all_votes, truth = np.concatenate(votes, axis=1), np.concatenate(truths)
        expected = (all_votes[:, None] == all_votes[None]).mean(axis=2)
        np.fill_diagonal(expected, np.nan)
        np.testing.assert_allclose(matrix(page.map), expected, rtol=1e-6)
        assert page.map.note == f"{len(truth)} queries of 3 rounds"
        seen = RunningAgreement.empty(4, 3, 50)
        for one, true in zip(votes, truths, strict=True):
            seen = seen.add(one, true)
        for row in range(4):
            page.map._hear(page.map, {"pick": [row, -1]}, [])
            np.testing.assert_allclose(matrix(page.confusions.true), seen.total.true_confusion[row], rtol=1e-6)
            np.testing.assert_allclose(matrix(page.confusions.estimated), seen.total.confusion[row], rtol=1e-5)
            assert page.party.value == "ABCD"[row]
            assert page.map.selected == row
        assert [line[0] for line in page.table.rows] == list("ABCD")
        assert page.table.rows[0][2] == pytest.approx(float(seen.total.true_skill[0]))

    def test_redundancy_is_that_of_the_last_answers(self, desk, page):
        ask(desk, page, 2)
        names, view = page.counting.last_answers(quick=True)
        assert names == tuple("ABCD")
        found = interactions_of(ContributionView(4, view.answers, labels=view.labels)).pairs
        shown = matrix(page.redundancy.map)
        off = ~np.eye(4, dtype=bool)
        np.testing.assert_allclose(shown[off], found[off], atol=1e-6)
        assert np.isnan(np.diag(shown)).all()
        assert "accuracy of a group" in page.redundancy.words.value

    def test_the_window_slides_and_the_whole_stream_stays(self, desk, page):
        desk.state.window = 2
        ask(desk, page, 4)
        assert page.map.note.endswith("of 2 rounds")
        page.span.value = "total"
        assert page.map.note.endswith("of 4 rounds")
        assert page.span.options[0][0] == "the last 2 rounds"

    def test_counts_before_it_is_opened(self, desk):
        page = AgreementPage(desk)
        ask(desk, page, 2)
        page.open()
        assert page.map.note.endswith("of 2 rounds")

    def test_who_leaves_goes_and_who_returns_keeps_its_counts(self, desk, page):
        ask(desk, page, 2)
        before = matrix(page.map)
        desk.cohort.enable(1, False)
        page.refresh()
        assert page.map.rows == ("A", "C", "D")
        assert page.map.column_colours == (0, 2, 3)
        np.testing.assert_array_equal(matrix(page.map), before[np.ix_([0, 2, 3], [0, 2, 3])])
        ask(desk, page)
        desk.cohort.enable(1, True)
        page.refresh()
        again = matrix(page.map)
        np.testing.assert_array_equal(again[1], before[1])  # it answered nothing meanwhile
        assert page.counting.running.total.together[0, 2] > page.counting.running.total.together[0, 1]

    def test_a_new_stream_begins_at_nothing(self, desk, page):
        ask(desk, page, 2)
        desk.state.window = 20  # counts begin anew
        page.refresh()
        assert page.map.rows == page.redundancy.map.rows == page.confusions.true.rows == ()
        assert page.redundancy.words.value == ""

    def test_refused_with_a_button_that_shows_it(self, desk, page, only_sum):
        ask(desk, page)
        desk.state.choose(mechanism=only_sum, contribution="equal")
        page.refresh()
        assert "each party's vote" in page.map.refusal
        assert "each party's answer" in page.redundancy.map.refusal
        assert page._below.layout.display == "none"
        page.map._handle_custom_msg({"request": "way_out"}, [])
        page.refresh()
        assert desk.state.federation.settings.mechanism.carrier.name != only_sum
        assert page.map.refusal == page.redundancy.map.refusal == ""

    def test_without_labels_there_is_no_true_matrix(self, toy, toy_data):
        desk = Desk.new()
        desk.driver.take(toy, toy_data[0])
        page = AgreementPage(desk)
        page.open()
        ask(desk, page)
        assert page.confusions.true.rows == ()
        assert "true labels" in page.confusions.true.empty_text
        assert page.confusions.estimated.rows == ("cat", "dog", "owl")
        assert "no labels" in page.confusions.words.value
        assert "agreement of a group" in page.redundancy.words.value
        desk.close()

    def test_who_does_not_answer_shows_dashes(self, toy_data):
        def fails(_queries):
            raise RuntimeError("no")

        parties = [toy_party("A", 3), toy_party("B", 4), toy_party("<C>", 3, fails)]
        desk = Desk.new()
        with fi.Federation(parties, history=None) as federation:
            desk.driver.take(federation, *toy_data)
            page = AgreementPage(desk)
            page.open()
            ask(desk, page)
            assert np.isnan(matrix(page.map)[2]).all()
            assert page.redundancy.map.rows == ("A", "B")
            assert page.table.rows[2][1:] == (None, None, None, None)
            page._look_at("<C>")
            assert "<b>&lt;C&gt;</b>" in page.confusions.words.value
            desk.close()


def test_many_parties_wait_for_the_button(toy_data):
    desk = Desk.new()
    with fi.Federation([toy_party(f"p{k}", 3.0) for k in range(13)], history=None) as federation:
        desk.driver.take(federation, *toy_data)
        desk.state.batch_size = 4
        page = AgreementPage(desk)
        page.open()
        assert page.redundancy.go.layout.display is None
        assert page.redundancy.go.disabled
        ask(desk, page)
        assert page.redundancy.map.rows == ()
        assert "press the button" in page.redundancy.map.empty_text
        page.redundancy.go.click()
        assert eventually(lambda: len(page.redundancy.map.rows) == 13)
        assert eventually(lambda: desk.state.task is None)
        assert desk.state.notice is None
        desk.close()


def test_answers_kept_are_bounded(desk):
    page = AgreementPage(desk)
    desk.state.batch_size = 60
    ask(desk, page, 12)
    kept = sum(record.n_queries for record, _ in page.counting._answers)
    assert MOST_QUERIES <= kept < MOST_QUERIES + 60
    assert isinstance(page.counting, Counting)
    assert page.counting.last_answers(quick=True)[1].n_queries == MOST_QUERIES


class TestWords:
    PAIRS = np.array([[np.nan, -0.1, 0.02], [-0.1, np.nan, 0.0], [0.02, 0.0, np.nan]])

    def test_verdict_without_complements(self):
        pairs = np.array([[np.nan, -0.1, -0.3], [-0.1, np.nan, -0.2], [-0.3, -0.2, np.nan]])
        said = verdict(("A", "B", "C"), pairs)
        assert said.startswith("Most redundant: A and C, −30.0 points.")
        assert "nearest to it are A and B" in said

    def test_every_cell_has_its_meaning(self):
        said = sentences(("A", "B", "C"), self.PAIRS)
        assert len(said) == 9
        assert said[1] == "A and B: −10.0 points, redundant, one can stand in for the other."
        assert "complementary" in said[2]
        assert said[5].endswith("0 points, neither.")
        assert said[0] == "A with itself: no pair."


class TestHeatMap:
    VALUES = ((1.0, float("nan")), (-0.5, float("inf")))

    def test_travels_as_float32_and_tells_its_cells(self):
        view = HeatMap(rows=["a", "b"], columns=["x", "y"])
        view.update(values=self.VALUES)
        assert len(view.values) == 16
        assert [view.at(0, 0), view.at(0, 1), view.at(1, 0), view.at(1, 1)] == [1.0, None, -0.5, float("inf")]

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"values": [1.0]}, "holds 1 values for 2 x 2 cells"),
            ({"shades": [1.0] * 3}, "shades holds 3 values"),
            ({"sentences": ["one"]}, "1 entries for 4 cells"),
            ({"marks": ["one"]}, "1 entries for 2 rows"),
            ({"column_colours": [1, 2, 3]}, "3 entries for 2 columns"),
            ({"selected": 2}, "row 2 of 2"),
            ({"legend": [(0.0, "a"), (-1.0, "b")]}, "in rising order"),
            ({"legend": [(0.0, "a"), (2.0, "b")]}, "from -1 to 1"),
            ({"kind": "colour"}, "kind"),
        ],
    )
    def test_refuses_what_does_not_go_together(self, values, message):
        view = HeatMap(rows=["a", "b"], columns=["x", "y"])
        with pytest.raises((CannotDraw, traitlets.TraitError), match=message):
            view.update(**values)
        assert view.values == b""

    def test_picks_reach_the_listener_each_and_stray_ones_do_not(self):
        view = HeatMap(rows=["a", "b"], columns=["x", "y"])
        heard = []
        view.on_pick(lambda row, column: heard.append((row, column)))
        for place in ([1, 0], [1, 0], [-1, 1], [2, 0], [0, 5]):
            view._handle_custom_msg({"pick": place}, [])
        assert heard == [(1, 0), (1, 0), (-1, 1)]
        view._handle_custom_msg({"request": "way_out"}, [])
        assert view.request["kind"] == "way_out"
        with pytest.raises(UnknownName):
            view._hear(view, {"request": "explode"}, [])

    def test_numbers_can_be_read_on_every_shade(self):
        def luminance(rgb):
            linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
            return float(np.dot([0.2126, 0.7152, 0.0722], linear))

        def contrast(text, colour, ground, opacity):
            channels = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
            low, high = sorted((luminance([text] * 3), luminance(opacity * channels + (1 - opacity) * ground)))
            return (high + 0.05) / (low + 0.05)

        for opacity in np.linspace(0, 1, 21):
            for light, dark in zip(heat_scale.ON_LIGHT, heat_scale.ON_DARK, strict=True):
                assert contrast(0.13, light, 1.0, opacity) >= 4.5
                assert contrast(1.0, dark, 17 / 255, opacity) >= 4.5

    def test_both_themes_have_every_colour(self):
        assert all(heat_scale.css().count(f"--fi-heat-{name}:") == 2 for name in heat_scale.NAMES)
        used = set(re.findall(r"fi-heat-\$\{hue\}", front_end.module("heat_map")))
        assert used
        assert "--fi-heat-only" in HeatMap._css
