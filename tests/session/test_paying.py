"""Rounds that pay: what is promised, held, settled and given back."""

import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import DoesNotFit, InsufficientFunds, InvalidOption, UnknownName
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.session import asking
from tests.harness import SOON, linear_party, queries
from tests.session.conftest import NAMES

BUDGET = 1_000_000


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as book:
        yield book


def balances(ledger):
    return {account.name: account.balance for account in ledger.accounts() if account.name in NAMES}


def client_balance(federation):
    return federation.ledger.balance(federation.client.public.verify_key.hex())


class TestPromises:
    def test_the_budget_is_split_to_the_last_unit(self, make):
        record = make(contribution="equal", budget_micro=100).ask(queries())
        assert record.payments.tolist() == [34, 33, 33]
        assert (record.payment, record.payments.dtype) == ("promised", np.int64)

    def test_by_contribution(self, make):
        record = make(budget_micro=10**15 + 7).ask(queries(64))
        assert record.payments.sum() == 10**15 + 7
        assert record.payments / record.payments.sum() == pytest.approx(record.contributions)

    def test_the_absent_get_nothing(self, make, troubled):
        troubled.mood = "raises"
        federation = make(parties=[linear_party("Ada"), troubled.party, linear_party("Cy")], contribution="equal")
        assert federation.ask(queries()).payments.tolist() == [500_000, 0, 500_000]

    def test_a_budget_of_zero(self, make):
        assert make(budget_micro=0).ask(queries()).payments.tolist() == [0, 0, 0]

    @pytest.mark.parametrize("budget", [-1, 0.5, True, 2**63, None])
    def test_a_budget_that_cannot_be(self, make, budget):
        with pytest.raises(InvalidOption, match="budget_micro"):
            make(budget_micro=budget)

    def test_unknown_payout(self, make):
        with pytest.raises(UnknownName, match="proportional"):
            make(payout="lottery")

    def test_unknown_option_of_a_payout(self, make):
        with pytest.raises(InvalidOption, match="threshold"):
            make(payout="thresholded", payout_options={"treshold": 0.5})

    def test_options_go_when_the_payout_does(self, make):
        federation = make(payout="floor_and_merit", payout_options={"floor": 0.9})
        assert dict(federation.with_(payout="softmax").settings.payout_options) == {}

    def test_what_is_paid_is_in_the_history_but_not_in_the_digest(self, make):
        rounds = [make(budget_micro=budget).ask(queries()) for budget in (0, BUDGET)]
        assert rounds[1].to_dict()["payments"] == rounds[1].payments.tolist()
        federation = make(contribution="equal")
        federation.ask(queries())
        assert federation.history[0]["payments"] == [333_334, 333_333, 333_333]
        assert federation.history.table()["payment_micro"].tolist() == [333_334, 333_333, 333_333]


class TestLedger:
    def test_nothing_is_sent_without_funds(self, make, ledger, troubled):
        asked_before = troubled.n_asked
        federation = make(parties=[troubled.party], ledger=ledger)
        with pytest.raises(InsufficientFunds, match="Deposit"):
            federation.ask(queries())
        assert troubled.n_asked == asked_before
        assert len(federation.history) == 0

    def test_deposit_hold_settle(self, make, ledger):
        federation = make(contribution="equal", ledger=ledger, budget_micro=BUDGET)
        federation.deposit(3 * BUDGET)
        records = [federation.ask(queries(seed=seed)) for seed in range(3)]
        assert {record.payment for record in records} == {"settled"}
        assert balances(ledger) == dict(zip(NAMES, sum(record.payments for record in records).tolist(), strict=True))
        assert client_balance(federation) == 0
        verification = ledger.verify()
        assert verification.ok, verification.problems
        assert verification.n_signatures >= 3 * (len(NAMES) + 1)

    def test_it_is_there_for_all_copies_and_by_path(self, make, tmp_path):
        federation = make(ledger=tmp_path / "by_path.sqlite")
        federation.deposit(BUDGET)
        assert federation.with_(rule="hard_vote").ask(queries()).payment == "settled"

    def test_one_given_by_path_is_closed_with_the_federation(self, make, tmp_path):
        federation = make(ledger=tmp_path / "by_path.sqlite")
        federation.close()
        with pytest.raises(fi.FederationError):
            federation.ledger.balance("0" * 64)

    def test_one_of_somebody_else_stays_open(self, make, ledger):
        make(ledger=ledger).close()
        assert ledger.verify().ok

    def test_a_ledger_that_cannot_be_written_does_not_cost_the_record(self, make, ledger, monkeypatch):
        federation = make(ledger=ledger)
        federation.deposit(BUDGET)
        monkeypatch.setattr(ledger, "settle", lambda settlement: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            federation.ask(queries())
        assert federation.history[0]["payment"] == "promised"

    def test_nobody_answers(self, make, ledger, troubled):
        troubled.mood = "raises"
        federation = make(parties=[troubled.party], ledger=ledger)
        federation.deposit(BUDGET)
        with pytest.raises(fi.NoAnswer) as silence:
            federation.ask(queries())
        assert silence.value.record.payment == "refunded"
        assert client_balance(federation) == BUDGET
        assert ledger.verify().ok

    def test_a_stopped_round_gives_back(self, make, ledger, troubled):
        troubled.mood = "hangs"
        federation = make(parties=[troubled.party], ledger=ledger, deadline_seconds=SOON)
        federation.deposit(BUDGET)
        stop = threading.Event()
        stop.set()
        with pytest.raises(fi.NoAnswer):
            federation.ask(queries(), cancelled=stop)
        assert client_balance(federation) == BUDGET

    def test_an_aborted_round_gives_back(self, make, ledger, monkeypatch):
        federation = make(ledger=ledger)
        federation.deposit(BUDGET)
        monkeypatch.setattr(asking, "run_round", lambda *_args, **_more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            federation.ask(queries())
        assert client_balance(federation) == BUDGET
        assert any("ZeroDivisionError" in str(entry.body) for entry in ledger.entries())

    def test_who_signs_no_receipt_is_absent_and_unpaid(self, make, ledger, monkeypatch):
        federation = make(contribution="equal", ledger=ledger)
        federation.deposit(BUDGET)
        bo = federation.runtime.venue.side(federation.parties[1])
        monkeypatch.setattr(bo, "_receipt", lambda header, reply: bytes(64))
        record = federation.ask(queries())
        assert record.payments.tolist() == [500_000, 0, 500_000]
        assert record.absent[0].party == "Bo"
        assert "receipt" in record.absent[0].reason

    def test_a_receipt_is_for_what_was_sent(self, make, ledger, monkeypatch):
        federation = make(contribution="equal", ledger=ledger)
        federation.deposit(BUDGET)
        bo = federation.runtime.venue.side(federation.parties[1])
        signed = bo._receipt
        monkeypatch.setattr(bo, "_receipt", lambda header, reply: signed(header, {**reply, "answer": b"another"}))
        assert federation.ask(queries()).present == ("Ada", "Cy")

    def test_without_a_budget_nothing_is_booked(self, make, ledger):
        before = ledger.verify().n_transactions
        assert make(ledger=ledger, budget_micro=0).ask(queries()).payment == "promised"
        assert ledger.verify().n_transactions == before

    def test_there_is_nothing_to_deposit_into(self, make):
        with pytest.raises(DoesNotFit, match="ledger="):
            make().deposit(1)


class TestRunning:
    def test_the_stream_is_one_pass(self, make):
        federation = make(contribution="shapley")
        asked, labels = queries(40), np.random.default_rng(0).integers(0, 3, 40)
        for start in range(0, 40, 10):
            federation.ask(asked[start : start + 10], labels[start : start + 10])
        logits = [party.predict(asked) for party in federation.parties]
        assert federation.contributed.values == pytest.approx(fi.contributions(logits, "shapley", labels))

    def test_nothing_yet(self, make):
        with pytest.raises(fi.FederationError, match="No round"):
            _ = make().contributed
