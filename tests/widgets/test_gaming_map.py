"""The gaming page: what it sweeps, what it says, what stops it."""

import csv
import io
import json
import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import FederationError
from fi_workbench.core.progress import Progress
from fi_workbench.parties.behaviours import behaviours
from fi_workbench.session.gaming import gaming_matrix, gaming_matrix_of
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.gaming import maps
from fi_workbench.widgets.pages.gaming import page as gaming_page
from fi_workbench.widgets.pages.gaming.page import GamingPage
from tests.widgets.conftest import eventually, toy_party

WAYS = ("copy_peer", "constant_label", "abstain", "over_claimed_counts")
REWARDS = ("final_agreement", "correlated_agreement")
RULES = ("soft_vote", "hard_vote")


def answers(n_queries=400, skills=(0.9, 0.7, 0.5, 0.35), seed=1):
    """Probabilities (party, query, class) of parties of known skill, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n_queries)
    right = rng.random((len(skills), n_queries)) < np.array(skills)[:, None]
    votes = np.where(right, truth, (truth + rng.integers(1, 3, right.shape)) % 3)
    return np.eye(3)[votes] * 0.7 + 0.1, truth


@pytest.fixture(scope="module")
def result():
    told, truth = answers()
    return gaming_matrix(
        told, truth, outputs="probabilities", parties="ABCD", behaviours=WAYS, rewards=REWARDS, rules=RULES,
        class_counts=np.full((4, 3), 100),
    )  # fmt: skip


@pytest.fixture
def page(desk):
    page = GamingPage(desk)
    page.open()
    return page


def swept(desk, page):
    page.go.click()
    # the buttons follow the state a moment after it has changed
    assert eventually(lambda: desk.state.task is None and not page._sweeping and page.halt.disabled, 30)
    assert eventually(lambda: not page.go.disabled)
    return page.result


class TestShades:
    def test_shade_tells_gain_from_loss_and_ends_at_ten(self, result):
        drawn = maps.gain_map(result, 0)
        gain = result.gain[0]
        assert (np.sign(drawn.shades) == -np.sign(np.where(gain > 0, np.log(np.maximum(gain, 1e-9)), -1))).all()
        assert np.abs(drawn.shades).max() <= 1
        copy = WAYS.index("copy_peer")
        assert (drawn.shades[copy] < 0).all()  # copying pays here
        np.testing.assert_allclose(drawn.shades[copy], -np.log10(np.minimum(gain[copy], 10)))
        assert (drawn.shades[WAYS.index("abstain")] == 1).all()  # nothing left

    def test_cost_scale_holds_every_value_of_both_protections(self, result):
        for protection in (0, 1):
            drawn = maps.cost_map(result, protection)
            np.testing.assert_allclose(drawn.values, result.cost[protection] / 100)
            assert np.abs(drawn.shades).max() <= 1
            assert drawn.legend == maps.cost_map(result, 0).legend
        most = float(drawn.legend[0][1].split()[0])
        assert most >= np.abs(result.cost).max()

    def test_infinite_gain_is_the_strongest_shade_and_none_stays_none(self, result):
        changed = vars(result) | {"honest_share": np.zeros(2)}
        drawn = maps.gain_map(type(result)(**changed), 0)
        assert np.isinf(drawn.values[0]).all()
        assert (drawn.shades[0] == -1).all()
        assert np.isnan(drawn.shades[WAYS.index("abstain")]).all()


class TestSentences:
    def cell(self, result, way, method, measure="gain"):
        drawn = (maps.gain_map if measure == "gain" else maps.cost_map)(result, 0)
        methods = REWARDS if measure == "gain" else RULES
        return drawn.sentences[WAYS.index(way) * 2 + methods.index(method)]

    def test_copying_with_and_without_commit_reveal(self, result):
        said = self.cell(result, "copy_peer", "correlated_agreement")
        gain = result.gain[:, 0, 1]
        assert gain[0] > 1.5
        assert gain[1] == 1.0
        assert said == (
            f"Copying the best peer multiplies D's share under correlated agreement by {gain[0]:.1f}; "
            "under commit-reveal by 1.0."
        )

    def test_who_listens_to_nobody_does_the_same_under_both(self, result):
        assert self.cell(result, "constant_label", "final_agreement").endswith("; so it does under commit-reveal.")

    def test_absent(self, result):
        said = self.cell(result, "abstain", "final_agreement")
        assert said.startswith("Abstaining leaves D without an answer, and with no share")

    def test_cost_names_both_accuracies(self, result):
        said = self.cell(result, "constant_label", "soft_vote", "cost")
        place = WAYS.index("constant_label")
        before, after = 100 * result.honest_accuracy[0], 100 * result.accuracy[0, place, 0]
        assert f"({before:.3g} % to {after:.3g} %)" in said
        assert f"{abs(before - after):.1f} point" in said

    def test_what_commit_reveal_changes(self, result):
        said = maps.changed(result)
        assert said.startswith("Commit-reveal changes what one behaviour brings or costs, most of all: copying")
        assert f"by {result.gain[0, 0].max():.1f} without it, by 1.0 with it" in said

    def test_what_was_not_computed_both_ways_counts_for_nothing(self, result):
        share, accuracy = result.share.copy(), result.accuracy.copy()
        share[1], accuracy[1] = np.nan, np.nan
        share[1, 0] = result.share[1, 0]
        said = maps.changed(type(result)(**(vars(result) | {"share": share, "accuracy": accuracy})))
        assert said.startswith("Commit-reveal changes what one behaviour brings or costs")
        assert "nan" not in said
        share[1] = np.nan
        assert maps.changed(type(result)(**(vars(result) | {"share": share, "accuracy": accuracy}))) == ""

    def test_infinity_and_nothing(self, result):
        poor = type(result)(**(vars(result) | {"honest_share": np.zeros(2)}))
        assert "where honesty brings nothing" in self.cell(poor, "copy_peer", "final_agreement")
        none = type(result)(**(vars(poor) | {"share": np.zeros_like(result.share)}))
        assert self.cell(none, "copy_peer", "final_agreement").endswith("D earns nothing, as it does honestly.")

    def test_stopped_cells_say_so(self):
        stop = threading.Event()
        told, truth = answers(60)

        def once(_progress):
            stop.set()

        cut = gaming_matrix(
            told, truth, outputs="probabilities", parties="ABCD", behaviours=WAYS, rewards=REWARDS, rules=RULES,
            on_progress=once, cancelled=stop,
        )  # fmt: skip
        assert not cut.complete
        assert maps.changed(cut) == ""  # nothing was computed both ways
        assert maps.gain_map(cut, 0).sentences[-1].endswith("not computed.")
        assert maps.cost_map(cut, 0).sentences[-1].endswith("not computed.")
        assert maps.summary_rows(cut, 0)[-1][1:5] == (None, None, None, None)

    def test_every_behaviour_begins_a_sentence(self):
        for name in behaviours:
            assert maps.doing(name)[0].isupper()
        assert set(maps._DOING) <= set(behaviours)


def test_tidy_table_holds_every_cell(result):
    table = maps.tidy(result)
    assert len(table) == result.gain.size + result.cost.size
    one = table.query("protection == 'plain' and behaviour == 'copy_peer' and method == 'correlated_agreement'")
    assert one["value"].item() == result.gain[0, 0, 1]
    assert set(table["measure"]) == {"gain", "cost"}
    assert table[table["behaviour"] == "abstain"]["absent"].all()


class TestPage:
    def test_sweeps_what_was_chosen(self, desk, page):
        assert page.gain.rows == ()
        assert page.csv.layout.display == "none"
        page.choice.chosen["behaviours"].value = WAYS[:2]
        page.choice.chosen["rewards"].value = REWARDS
        page.choice.chosen["rules"].value = RULES
        page.choice.cheater.value = "B"
        result = swept(desk, page)
        again = gaming_matrix_of(
            desk.state.federation, *vars(desk.driver.sample(300)).values(), cheater="B", behaviours=WAYS[:2],
            rewards=REWARDS, rules=RULES,
        )  # fmt: skip
        np.testing.assert_array_equal(result.share, again.share)
        assert page.gain.rows == ("Copy peer", "Constant label")
        assert page.gain.columns == ("Final agreement", "Correlated agreement")
        assert page.cost.columns == ("Soft vote", "Hard vote")
        np.testing.assert_allclose(np.frombuffer(page.gain.values, "<f4"), result.gain[0].ravel(), rtol=1e-6)
        assert "B cheats" in page._how.value
        assert page.csv.layout.display is None

    def test_commit_reveal_shows_the_other_half(self, desk, page):
        page.choice.chosen["behaviours"].value = WAYS[:2]
        result = swept(desk, page)
        page.protected.value = True
        np.testing.assert_allclose(np.frombuffer(page.gain.values, "<f4"), result.gain[1].ravel(), rtol=1e-6)
        assert page.gain.note == page.cost.note == "under commit-reveal"

    def test_all_that_fits_is_the_default_and_the_rest_is_named(self, desk, page):
        result = swept(desk, page)
        assert result.behaviours == tuple(behaviours)
        assert result.left_out
        assert "Left out" in page._how.value

    def test_a_pick_explains_the_behaviour(self, desk, page):
        page.choice.chosen["behaviours"].value = WAYS[:2]
        swept(desk, page)
        page.cost._handle_custom_msg({"pick": [1, 0]}, [])
        assert behaviours["constant_label"].explanation in page.about.value
        assert page.gain.selected == page.cost.selected == 1

    def test_files_hold_the_result(self, desk, page):
        with pytest.raises(FederationError, match="press Sweep"):
            page.save_csv()
        page.choice.chosen["behaviours"].value = WAYS[:2]
        result = swept(desk, page)
        name, kind, content = page.save_csv()
        assert (name.endswith(".csv"), kind) == (True, "text/csv")
        rows = list(csv.DictReader(io.StringIO(content.decode())))
        assert len(rows) == result.gain.size + result.cost.size
        assert json.loads(page.save_json()[2])["cheater"] == result.cheater

    def test_stop_keeps_what_is_computed(self, desk, page, monkeypatch):
        def slow(federation, queries, labels, *, on_progress, cancelled, **options):
            def told(progress):
                on_progress(progress)
                if progress.done == 5:
                    page.halt.click()

            return gaming_matrix_of(federation, queries, labels, on_progress=told, cancelled=cancelled, **options)

        monkeypatch.setattr(gaming_page, "gaming_matrix_of", slow)
        result = swept(desk, page)
        assert not result.complete
        assert np.isfinite(result.share[0]).sum() == 5
        assert np.isnan(np.frombuffer(page.gain.values, "<f4")).sum() == result.share[0].size - 5
        assert "Stopped" in page._how.value
        assert page.halt.disabled
        assert not page.go.disabled

    def test_stopped_before_anybody_answered(self, desk, page, monkeypatch):
        def nobody(*_arguments, cancelled, **_options):
            cancelled.set()
            raise FederationError("nobody answered")

        monkeypatch.setattr(gaming_page, "gaming_matrix_of", nobody)
        assert swept(desk, page) is None
        assert desk.state.notice is None
        assert "Stopped before" in page._how.value

    def test_other_work_takes_its_place(self, desk, page, monkeypatch):
        begun, go_on = threading.Event(), threading.Event()

        def waits(*_arguments, on_progress, **_options):
            begun.set()
            go_on.wait(10)
            on_progress(Progress("cells", 1, 2))
            raise AssertionError("it was given up")

        monkeypatch.setattr(gaming_page, "gaming_matrix_of", waits)
        page.go.click()
        assert begun.wait(10)
        assert not page.halt.disabled
        desk.jobs.start("Something else", lambda _report: None, lambda _result: None)
        go_on.set()
        assert eventually(lambda: desk.state.task is None and not page.go.disabled)
        assert page.halt.disabled
        assert "Press Sweep" in page.gain.empty_text
        assert desk.state.notice is None

    def test_a_failure_is_told_and_the_page_goes_on(self, desk, page, monkeypatch):
        def fails(*_arguments, **_options):
            raise FederationError("it broke")

        monkeypatch.setattr(gaming_page, "gaming_matrix_of", fails)
        assert swept(desk, page) is None
        assert eventually(lambda: desk.state.notice is not None)
        assert "it broke" in desk.state.notice.text
        assert not page.go.disabled
        assert "Press Sweep" in page.gain.empty_text

    def test_refused_under_sums_with_a_way_out(self, desk, page, only_sum):
        desk.state.choose(mechanism=only_sum, contribution="equal")
        page.refresh()
        assert "each party's answer" in page.gain.refusal
        page.gain._handle_custom_msg({"request": "way_out"}, [])
        page.refresh()
        assert page.gain.refusal == ""

    def test_says_who_misbehaves_already(self, desk, page):
        desk.state.federation.behave("C", "constant_label")
        page.choice.chosen["behaviours"].value = WAYS[:1]
        swept(desk, page)
        assert "counted as honest here: C (constant label)" in page._how.value

    def test_parties_that_are_gone_take_the_result_with_them(self, desk, page):
        page.choice.chosen["behaviours"].value = WAYS[:1]
        page.choice.cheater.value = "B"
        swept(desk, page)
        desk.cohort.remove(1)
        page.refresh()
        assert page.result is None
        assert page.gain.rows == ()
        assert page.choice.cheater.value == ""


def test_labels_and_company_are_needed(toy, toy_data):
    desk = Desk.new()
    desk.driver.take(toy, toy_data[0])
    page = GamingPage(desk)
    page.open()
    assert page.go.disabled
    assert "true labels" in page._how.value
    with fi.Federation([toy_party("A")], history=None) as alone:
        desk.driver.take(alone, *toy_data)
        page.refresh()
        assert page.go.disabled
        assert "two parties" in page._how.value
        desk.driver.take(toy, *toy_data)
        page.refresh()
        assert not page.go.disabled
        assert "Simulation" in page._how.value
    desk.close()
