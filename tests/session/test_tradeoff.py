"""The trade-off: each row is what asking so gives, its price is what the parties book, and stopping stops."""

import json
import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import InvalidOption, InvalidQuery, UnknownName
from fi_workbench.privacy import mechanisms
from fi_workbench.privacy.accountant import epsilon_of
from fi_workbench.privacy.event import Event
from fi_workbench.session.trading_off import grid as tradeoff_grid
from fi_workbench.session.trading_off.grid import default_settings, strengths
from fi_workbench.session.trading_off.result import Setting, TradeOff, TradeOffRow
from fi_workbench.session.trading_off.sweep import planned, trade_off
from tests.harness import CLASSES, linear_party, queries

ASKED = queries(40)
TRUTH = np.arange(40) % len(CLASSES)
LAPLACE = Setting("soft_vote", noise=(("laplace", {"epsilon": 8.0}),))


class TestRows:
    def test_a_row_is_what_asking_so_gives(self, make):
        federation = make()
        found = trade_off(federation, ASKED, TRUTH, [Setting("soft_vote"), Setting("hard_vote")], n_rounds=4)
        assert found.complete
        for row, rule in zip(found.rows, ("soft_vote", "hard_vote"), strict=True):
            record = federation.with_(rule=rule).ask(ASKED, TRUTH)
            assert row.n_right == int((record.labels == TRUTH).sum())
            assert row.accuracy == record.accuracy
            assert row.n_queries == row.n_answered == 40
            assert row.interval[0] < row.accuracy < row.interval[1]
            assert len(row.latencies_ms) == len(row.round_bytes) == 4
            assert 0 < row.median_ms <= row.p95_ms <= max(row.latencies_ms)
            assert (row.guarantee, row.shows) == ("none", "each")

    def test_queries_are_split_and_each_is_asked_once(self, make):
        federation = make()
        trade_off(federation, ASKED[:10], TRUTH[:10], [Setting("soft_vote")], n_rounds=4)
        assert [entry["n_queries"] for entry in federation.history] == [3, 3, 2, 2]

    def test_price_is_what_the_parties_would_book(self, make):
        found = trade_off(make(), ASKED, TRUTH, [LAPLACE], n_rounds=2, delta=1e-6)
        (row,) = found.rows
        event = Event("laplace", 1 / 8.0)  # scale 2 / 8 over the L1 sensitivity of 2
        assert row.epsilon_per_query == pytest.approx(8.0, rel=1e-4)
        assert row.epsilon == pytest.approx(epsilon_of({event: 40}, 1e-6))
        assert row.guarantee == "epsilon"

    def test_an_enrolment_without_noise_ends_the_guarantee(self, make):
        parties = [linear_party(name, class_counts=[3, 2, 1]) for name in "ABC"]
        noised = Setting("class_competence", "distributed_gaussian")
        (row,) = trade_off(make(parties=parties), ASKED, TRUTH, [noised], n_rounds=2).rows
        assert row.epsilon is None
        assert row.epsilon_per_query > 0
        assert "enrolment" in row.unprotected

    def test_noise_on_answers_does_not_cover_weights_made_of_counts(self, make):
        parties = [linear_party(name, class_counts=[3, 2, 1]) for name in "ABC"]
        noised = Setting("class_competence", noise=LAPLACE.noise)
        (row,) = trade_off(make(parties=parties), ASKED, TRUTH, [noised], n_rounds=2).rows
        assert (row.epsilon, row.epsilon_per_query, row.guarantee) == (None, None, "none")
        assert trade_off(make(), ASKED, TRUTH, [LAPLACE], n_rounds=1).rows[0].unprotected == ""

    def test_what_hides_without_noise_is_apart(self, make, toys):
        (row,) = trade_off(make(), ASKED, TRUTH, [Setting("soft_vote", "sums_only")], n_rounds=1).rows
        assert (row.guarantee, row.shows, row.epsilon) == ("hidden", "sum", None)

    def test_noise_from_a_public_seed_has_no_guarantee(self, make):
        open_noise = Setting("soft_vote", noise=(("laplace", {"epsilon": 8.0, "reproducible": True}),))
        (row,) = trade_off(make(), ASKED, TRUTH, [open_noise], n_rounds=1).rows
        assert (row.epsilon, row.guarantee) == (None, "none")

    def test_refused_with_its_reason(self, make, toys):
        given = [Setting("median", "sums_only"), Setting("soft_vote", "no_such"), Setting("soft_vote")]
        found = trade_off(make(), ASKED, TRUTH, given, n_rounds=1)
        assert [row.setting.method for row in found.refused] == ["sums_only", "no_such"]
        assert "must see" in found.refused[0].refused
        assert "no_such" in found.refused[1].refused
        assert len(found.measured) == 1
        assert found.complete

    def test_what_the_parties_refuse_is_told(self, make):
        policies = {name: fi.Policy(query_budget=30) for name in ("Ada", "Bo", "Cy")}
        found = trade_off(
            make(policies=policies), ASKED, TRUTH, [Setting("soft_vote"), Setting("hard_vote")], n_rounds=2
        )
        assert [row.n_queries for row in found.rows] == [20, 0]
        assert all("refused" in row.refused for row in found.rows)
        assert found.complete

    def test_who_was_missing_is_counted(self, make):
        policies = {"Bo": fi.Policy(query_budget=20)}
        (row,) = trade_off(make(policies=policies), ASKED, TRUTH, [Setting("soft_vote")], n_rounds=4).rows
        assert row.n_absent == {"Bo": 2}

    def test_the_federation_stays_as_it_was_and_nothing_is_paid(self, make, tmp_path):
        federation = make(rule="hard_vote", ledger=tmp_path / "ledger.db", budget_micro=1000)
        before = federation.to_dict()
        found = trade_off(federation, ASKED, TRUTH, [Setting("soft_vote"), LAPLACE], n_rounds=1)
        assert len(found.measured) == 2  # though the account is empty
        assert federation.to_dict() == before


class TestStopping:
    @pytest.mark.parametrize("n_settings", [2, 3])
    def test_keeps_what_is_computed(self, make, n_settings):
        stop = threading.Event()

        def told(progress):
            if progress.done == 3:
                stop.set()

        given = [Setting("soft_vote"), Setting("hard_vote"), LAPLACE][:n_settings]
        found = trade_off(make(), ASKED, TRUTH, given, n_rounds=2, on_progress=told, cancelled=stop)
        assert [row.n_queries for row in found.rows] == [40, 20]
        assert not found.complete

    def test_stopped_before_it_began(self, make):
        stop = threading.Event()
        stop.set()
        federation = make()
        found = trade_off(federation, ASKED, TRUTH, [Setting("soft_vote")], cancelled=stop)
        assert (found.rows, found.complete, len(federation.history)) == ((), False, 0)

    def test_progress_comes_to_its_end(self, make, toys):
        told = []
        given = [Setting("soft_vote"), Setting("median", "sums_only"), LAPLACE]
        trade_off(make(), ASKED, TRUTH, given, n_rounds=3, on_progress=told.append)
        assert [one.done for one in told] == sorted(one.done for one in told)
        assert {one.total for one in told} == {6}
        assert told[-1].done == 6


class TestGrid:
    def test_every_mechanism_and_a_few_strengths(self):
        grid = default_settings()
        assert {one.mechanism for one in grid if not one.noise} | {one.noise[0][0] for one in grid if one.noise} == set(
            mechanisms
        )
        laplace = {one.options["epsilon"] for one in grid if one.method == "laplace"}
        assert laplace == set(tradeoff_grid.STRENGTHS["epsilon"])
        assert {one.rule for one in grid} == set(tradeoff_grid.RULES)

    def test_of_what_was_asked_for(self):
        grid = default_settings(["plain", "laplace"], ["median"])
        assert [one.method for one in grid] == ["plain"] + ["laplace"] * 4
        assert strengths("plain") == ({},)
        with pytest.raises(UnknownName):
            default_settings(["plain"], ["no_such"])
        with pytest.raises(UnknownName):
            default_settings(["no_such"])

    def test_strengths_keep_to_the_option_s_range(self, monkeypatch):
        monkeypatch.setattr(tradeoff_grid, "STRENGTHS", {"epsilon": (1e-9, 2.0, 1e9)})
        assert strengths("laplace") == ({"epsilon": 2.0},)

    def test_plan_says_how_much(self, make, toys):
        given = [Setting("soft_vote"), LAPLACE, Setting("median", "sums_only")]
        federation = make()
        plan = planned(federation, given, n_queries=40, n_rounds=5)
        assert (plan.n_settings, plan.n_refused, plan.n_rounds, plan.n_queries) == (2, 1, 10, 80)
        assert len(federation.history) == 0
        trade_off(federation, ASKED, TRUTH, given)
        assert len(federation.history) == plan.n_rounds
        assert sum(entry["n_queries"] for entry in federation.history) == plan.n_queries

    def test_setting_of_what_is_in_force(self, make):
        federation = make(mechanism=["laplace", "plain"])
        setting = Setting.of("soft_vote", federation.settings.mechanism)
        assert setting.stack() == federation.settings.mechanism
        assert setting.method == "laplace"


class TestFiles:
    def test_frame_and_plain_data(self, make, toys):
        found = trade_off(make(), ASKED, TRUTH, [LAPLACE, Setting("median", "sums_only")], n_rounds=2)
        frame = found.to_frame()
        assert frame["options"][0] == "epsilon 8"
        assert frame["noise"][0] == "laplace"
        assert frame["refused"][1]
        data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert data["rows"][0]["noise"] == [["laplace", {"epsilon": 8.0}]]
        assert data["rows"][1]["accuracy"] is None
        assert len(data["rows"][0]["latencies_ms"]) == 2

    def test_nothing_measured(self):
        row = TradeOffRow(Setting("soft_vote"), "why not")
        assert row.figures()["accuracy"] is row.interval is row.median_ms is row.p95_ms is row.bytes_per_round is None
        assert TradeOff((row,), 1e-5, "rdp", 10, 1).measured == ()


@pytest.mark.parametrize(
    ("labels", "options", "error", "said"),
    [
        (None, {}, InvalidQuery, "true labels"),
        (TRUTH[:3], {}, InvalidQuery, "labels"),
        (TRUTH, {"n_rounds": 0}, InvalidOption, "n_rounds"),
        (TRUTH, {"delta": 1.0}, InvalidOption, "delta"),
        (TRUTH, {"delta": 0.0}, InvalidOption, "delta"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(make, labels, options, error, said):
    federation = make()
    with pytest.raises(error, match=said):
        trade_off(federation, ASKED, labels, [Setting("soft_vote")], **options)
    assert len(federation.history) == 0
