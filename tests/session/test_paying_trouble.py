"""Rounds that pay when something goes wrong: closed and busy ledgers, late recovery, parties that fall out."""

import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import pytest

from fi_workbench.core.errors import InvalidAmount, InvalidParty, LedgerBusy, NoAnswer
from fi_workbench.core.identity import Identity
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.privacy.plain import Plain
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.session import asking
from fi_workbench.session.paying import GRACE_SECONDS
from tests.harness import linear_party, queries, registered
from tests.session.conftest import NAMES
from tests.session.test_paying_kill import whole

BUDGET = 1000


@dataclass(frozen=True)
class Confirmed(Plain):
    """Sums in its first phase and asks for a word of confirmation: who gives none is in the sum all the same."""

    name: ClassVar[str] = "confirmed"
    phases: ClassVar[tuple[str, ...]] = ("answer", "confirm")

    def party_step(self, phase, state, message, context):
        return super().party_step(phase, state, message, context) if phase == "answer" else (None, {"done": True})

    def coordinator_step(self, phase, state, replies, context):
        if phase == "confirm":
            return None, state
        _, release = super().coordinator_step(phase, state, replies, context)
        return release, {party: {} for party in replies}


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def ledger(tmp_path, now):
    with Ledger(tmp_path / "of.ledger", busy_timeout_seconds=0.1, clock=lambda: now[0]) as book:
        yield book


@pytest.fixture
def federation(make, ledger):
    made = make(ledger=ledger, budget_micro=BUDGET, contribution="equal")
    made.deposit(10 * BUDGET)
    return made


@pytest.fixture
def at_the_end(monkeypatch):
    """Have something happen between the parties' answers and the settlement; gives the ids of the rounds."""
    run_round = asking.run_round

    def happening(what):
        def run(link, header, *more, **options):
            outcome = run_round(link, header, *more, **options)
            what(header.round_id)
            return outcome

        monkeypatch.setattr(asking, "run_round", run)

    return happening


def key_of(federation):
    return federation.client.public.verify_key.hex()


# ---- what a killed kernel left on hold


def test_the_next_round_gives_back_what_has_expired_and_nothing_else(federation, ledger, now):
    killed, running = "0" * 32, "1" * 32
    ledger.hold(killed, key_of(federation), 9 * BUDGET, 10)
    now[0] += 10
    ledger.hold(running, key_of(federation), 1, 10)
    assert federation.ask(queries()).payment == "settled", "the budget is what the killed round had held"
    assert [hold.round_id for hold in ledger.holds()] == [running]
    whole(ledger, 10 * BUDGET)


def test_a_hold_outlives_its_round(federation, ledger, at_the_end, now):
    def look(round_id):
        (hold,) = ledger.holds()
        assert hold.round_id == round_id
        assert hold.expires_at == pytest.approx(now[0] + federation.settings.deadline_seconds + GRACE_SECONDS, abs=1)

    at_the_end(look)
    assert federation.ask(queries()).payment == "settled"


def test_what_was_given_back_meanwhile_is_not_paid_and_the_answer_is_kept(federation, ledger, at_the_end, now):
    """The kernel slept longer than the hold: another one has found it expired."""

    def sleep(_round_id):
        now[0] += 3600
        assert len(ledger.recover()) == 1

    at_the_end(sleep)
    record = federation.ask(queries())
    assert (record.payment, record.present) == ("refunded", NAMES)
    assert len(federation.history) == 1
    assert ledger.balance(key_of(federation)) == 10 * BUDGET
    whole(ledger, 10 * BUDGET)


def test_nobody_answers_and_it_was_given_back_already(make, ledger, at_the_end, troubled):
    troubled.mood = "raises"
    federation = make(parties=[troubled.party], ledger=ledger, budget_micro=BUDGET)
    federation.deposit(BUDGET)
    at_the_end(lambda round_id: ledger.refund(round_id, "by another process"))
    with pytest.raises(NoAnswer) as silence:
        federation.ask(queries())
    assert silence.value.record.payment == "refunded"
    whole(ledger, BUDGET)


# ---- what ends a round is what is told


def test_an_interrupt_is_told_even_if_the_ledger_cannot_be_written(federation, ledger, monkeypatch):
    def interrupted(*_arguments, **_options):
        ledger.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(asking, "run_round", interrupted)
    with pytest.raises(KeyboardInterrupt) as told:
        federation.ask(queries())
    assert "stays on hold until it expires" in told.value.__notes__[0]
    with Ledger(ledger.path, clock=lambda: 1e6) as again:
        assert len(again.recover()) == 1
        whole(again, 10 * BUDGET)


def test_a_ledger_that_is_busy_at_the_end_leaves_the_hold(federation, ledger, at_the_end, now):
    with Ledger(ledger.path) as other:
        writing = other.bulk()
        at_the_end(lambda _round_id: writing.__enter__())
        with pytest.raises(LedgerBusy, match="nothing was booked"):
            federation.ask(queries())
        writing.__exit__(None, None, None)
    assert ledger.held(key_of(federation)) == BUDGET
    now[0] += 3600
    assert len(ledger.recover()) == 1
    whole(ledger, 10 * BUDGET)


def test_a_budget_that_no_ledger_books_is_told_before_anybody_is_asked(make, ledger, troubled):
    asked_before = troubled.n_asked
    federation = make(parties=[troubled.party], ledger=ledger, budget_micro=2**60)
    with pytest.raises(InvalidAmount, match=str(2**60)):
        federation.ask(queries())
    assert troubled.n_asked == asked_before


# ---- parties


def test_who_falls_out_after_its_part_was_summed_is_not_paid_and_does_not_stop_the_others(make, ledger, monkeypatch):
    with registered(Confirmed):
        federation = make(ledger=ledger, budget_micro=BUDGET, contribution="equal", mechanism="confirmed")
        federation.deposit(BUDGET)
        bo = federation.runtime.venue.side(federation.parties[1])
        handle = bo._answer
        silent = {"absent.kind": "refused", "absent.reason": "it regrets."}
        monkeypatch.setattr(bo, "_answer", lambda phase, body: silent if phase == "confirm" else handle(phase, body))
        record = federation.ask(queries())
    assert (record.present, record.payment) == (NAMES, "settled")
    paid = {account.name: account.balance for account in ledger.accounts() if account.name}
    assert paid == {"Ada": 500, "Cy": 500}
    assert record.payments.tolist() == [500, 0, 500]
    assert ledger.balance(key_of(federation)) == 0
    whole(ledger, BUDGET)


def test_who_signs_with_a_key_of_its_own_or_under_another_name_is_unpaid(federation, monkeypatch):
    ada, bo, cy = (federation.runtime.venue.side(party) for party in federation.parties)
    monkeypatch.setattr(bo, "_receipt", type(cy)._receipt.__get__(cy))  # Cy's hand under Bo's answer
    record = federation.ask(queries())
    assert record.present == ("Ada", "Cy")
    assert record.payments.tolist() == [500, 0, 500]
    assert ada.identity.name == "Ada"


def test_keys_are_of_the_party_that_they_are_given_to():
    with pytest.raises(InvalidParty, match="'Bo' is given the keys of 'Eve'"):
        PartySide(linear_party("Bo"), Identity("Eve"))


# ---- many at once


def test_threads_and_copies_pay_and_count_every_round(make, ledger):
    federation = make(ledger=ledger, budget_micro=BUDGET, contribution="shapley")
    copies = [federation, federation.with_(budget_micro=7), federation.with_(rule="hard_vote")]
    federation.deposit(100 * BUDGET)

    def ask(one):
        for _ in range(12):
            one.ask(queries(32))

    threads = [threading.Thread(target=ask, args=(one,)) for one in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ledger.balance(key_of(federation)) == 100 * BUDGET - 12 * (2 * BUDGET + 7)
    assert {entry["payment"] for entry in federation.history} == {"settled"}
    assert len(federation.history) == 36
    assert [one.n_rounds for one in federation.runtime._running.values()] == [36], "none was added to a stale value"
    whole(ledger, 100 * BUDGET)


def test_a_federation_that_is_closed_under_way_pays_or_gives_back(federation, ledger, troubled, make):
    troubled.mood = "hangs"
    slow = make(parties=[troubled.party], ledger=ledger, budget_micro=BUDGET, deadline_seconds=30)
    slow.deposit(BUDGET)
    records = []
    thread = threading.Thread(target=lambda: records.extend(slow.stream(queries(), n_rounds=1)))
    thread.start()
    while not ledger.holds():
        time.sleep(0.005)
    slow.close()
    thread.join(20)
    assert [record.payment for record in records] == ["refunded"]
    assert ledger.holds() == ()
    whole(ledger, 11 * BUDGET)
