"""The ledger: deposits, holds, settlements, refunds; what it refuses; what it keeps apart."""

import math
import sqlite3
import threading

import numpy as np
import pytest

from fi_workbench.core.errors import (
    Closed,
    DuplicateRound,
    InsufficientFunds,
    InvalidAmount,
    LedgerBusy,
    LedgerError,
    NotALedger,
    RoundClosed,
    SettlementRefused,
    UnknownName,
    UnknownRound,
)
from fi_workbench.core.identity import BadSignature, Identity
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.ledger.amounts import MAX_AMOUNT, MAX_TOTAL
from fi_workbench.incentives.ledger.book import OUTSIDE, postings
from tests.incentives.ledger_toys import BUDGET, CLIENT_KEY, KEYS, new_round, receipts, settled, settlement


@pytest.fixture
def ledger():
    with Ledger() as one:
        one.deposit(CLIENT_KEY, 10 * BUDGET, memo="to begin with", name="client")
        yield one
        verified = one.verify()  # whatever a test did
        assert verified.ok, verified.problems
        assert sum(account.balance + account.held for account in one.accounts()) == 0


def balances(ledger):
    return [ledger.balance(key) for key in (CLIENT_KEY, *KEYS)]


def test_a_round_is_held_paid_and_the_rest_given_back(ledger):
    round_id = new_round()
    ledger.hold(round_id, CLIENT_KEY, BUDGET, 60)
    assert (ledger.balance(CLIENT_KEY), ledger.held(CLIENT_KEY)) == (9000, 1000)
    assert [hold.round_id for hold in ledger.holds()] == [round_id]
    ledger.settle(settlement(round_id, (500, 300, 0)))
    assert balances(ledger) == [9200, 500, 300, 0]
    assert ledger.held(CLIENT_KEY) == 0
    assert ledger.holds() == ()
    assert ledger.balance(OUTSIDE) == -10000


def test_payments_of_the_whole_budget_leave_no_rest(ledger):
    settled(ledger, amounts=(999, 1, 0))
    assert balances(ledger) == [9000, 999, 1, 0]
    assert [posting.amount for posting in ledger.entries(last=1)[0].postings] == [-1000, 999, 1]


def test_a_round_in_which_nobody_is_paid_gives_everything_back(ledger):
    settled(ledger, amounts=(0, 0, 0), given=[])
    assert balances(ledger) == [10000, 0, 0, 0]


def test_a_refund_gives_everything_back(ledger):
    round_id = new_round()
    ledger.hold(round_id, CLIENT_KEY, BUDGET, 60)
    ledger.refund(round_id, "nobody answered")
    assert (ledger.balance(CLIENT_KEY), ledger.held(CLIENT_KEY)) == (10000, 0)
    assert ledger.entries(last=1)[0].body["reason"] == "nobody answered"


def test_a_party_can_take_out_what_it_earned(ledger):
    settled(ledger)
    ledger.withdraw(KEYS[0], 500)
    assert ledger.balance(KEYS[0]) == 0
    with pytest.raises(InsufficientFunds):
        ledger.withdraw(KEYS[0], 1)


def test_who_has_too_little_is_told_how_much_and_how_to_deposit(ledger):
    with pytest.raises(
        InsufficientFunds, match=r"0\.010001 are asked .* has 0\.010000.*Deposit at least 0\.000001"
    ) as told:
        ledger.hold(new_round(), CLIENT_KEY, 10_001, 60)
    assert (told.value.account, told.value.needed, told.value.available) == (CLIENT_KEY, 10_001, 10_000)
    with pytest.raises(InsufficientFunds, match=r"has 0\.000000"):
        ledger.hold(new_round(), KEYS[0], 1, 60)
    with pytest.raises(InsufficientFunds, match=r"has 0\.000000"):
        ledger.withdraw("ab" * 32, 1)
    assert ledger.balance("ab" * 32) == 0


def test_a_round_is_held_once_and_closed_once(ledger):
    paid, refunded, unheld = settled(ledger), new_round(), new_round()
    ledger.hold(refunded, CLIENT_KEY, BUDGET, 60)
    with pytest.raises(DuplicateRound, match=refunded):
        ledger.hold(refunded, CLIENT_KEY, BUDGET, 60)
    ledger.refund(refunded, "aborted")
    before = balances(ledger)
    for closed in (paid, refunded):
        with pytest.raises(DuplicateRound, match=closed):
            ledger.hold(closed, CLIENT_KEY, BUDGET, 60)
        with pytest.raises(RoundClosed, match="closed by transaction"):
            ledger.settle(settlement(closed))
        with pytest.raises(RoundClosed, match="closed by transaction"):
            ledger.refund(closed, "again")
    with pytest.raises(UnknownRound, match=unheld):
        ledger.settle(settlement(unheld))
    with pytest.raises(UnknownRound, match=unheld):
        ledger.refund(unheld, "what?")
    assert balances(ledger) == before


def test_a_settlement_is_of_the_client_and_the_budget_that_were_held(ledger):
    round_id, other = new_round(), Identity("other")
    ledger.hold(round_id, CLIENT_KEY, BUDGET, 60)
    with pytest.raises(SettlementRefused, match="held are"):
        ledger.settle(settlement(round_id, client=other))
    for budget in (BUDGET - 1, BUDGET + 1):
        with pytest.raises(SettlementRefused, match="held are"):
            ledger.settle(settlement(round_id, budget=budget))
    with pytest.raises(SettlementRefused, match="are its budget"):
        ledger.settle(settlement(round_id, (BUDGET, 1, 0)))
    with pytest.raises(SettlementRefused, match="has no receipt"):
        ledger.settle(settlement(round_id, given=[]))
    with pytest.raises(SettlementRefused, match="another round"):
        ledger.settle(settlement(round_id, given=receipts(new_round())))
    unsigned = settlement(round_id)
    object.__setattr__(unsigned, "client_signature", "0" * 128)
    with pytest.raises(BadSignature, match="settlement of round"):
        ledger.settle(unsigned)
    assert ledger.held(CLIENT_KEY) == BUDGET
    ledger.settle(settlement(round_id))


@pytest.mark.parametrize(
    "amount", [0, -1, 1.0, 0.5, True, False, np.bool_(True), None, "1", math.nan, MAX_AMOUNT + 1, 2**63, 2**64]
)
def test_what_is_no_amount_is_refused(ledger, amount):
    height = ledger.height
    for book in (
        lambda: ledger.deposit(CLIENT_KEY, amount),
        lambda: ledger.withdraw(CLIENT_KEY, amount),
        lambda: ledger.hold(new_round(), CLIENT_KEY, amount, 60),
    ):
        with pytest.raises(InvalidAmount):
            book()
    assert ledger.height == height


def test_whole_numbers_of_numpy_are_amounts(ledger):
    ledger.deposit(KEYS[0], np.int64(5))
    assert ledger.balance(KEYS[0]) == 5


def test_a_ledger_counts_only_so_much():
    with Ledger() as ledger:
        with ledger.bulk():
            for _ in range(MAX_TOTAL // MAX_AMOUNT):
                ledger.deposit(CLIENT_KEY, MAX_AMOUNT)
        assert ledger.balance(CLIENT_KEY) == MAX_TOTAL
        with pytest.raises(InvalidAmount, match="counts at most"):
            ledger.deposit(CLIENT_KEY, 1)
        assert ledger.verify().ok


@pytest.mark.parametrize("key", ["", "ab", "AB" * 32, "outside", "escrow:" + "a" * 32, None, b"ab" * 32])
def test_an_account_is_an_ed25519_key(ledger, key):
    for book in (lambda: ledger.deposit(key, 1), lambda: ledger.hold(new_round(), key, 1, 60)):
        with pytest.raises(LedgerError, match="is no account"):
            book()


@pytest.mark.parametrize("round_id", ["", "ab", "AB" * 16, None, 3])
def test_a_round_is_named_by_32_digits(ledger, round_id):
    with pytest.raises(LedgerError, match="is no round"):
        ledger.hold(round_id, CLIENT_KEY, 1, 60)
    with pytest.raises(LedgerError, match="is no round"):
        ledger.refund(round_id, "")


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "60", None, True, 1e12])
def test_a_hold_expires_in_a_sensible_time(ledger, seconds):
    with pytest.raises(LedgerError, match=r"expire|no time"):
        ledger.hold(new_round(), CLIENT_KEY, 1, seconds)


def test_recovery_refunds_what_has_expired_and_nothing_else():
    now = [1000.0]
    with Ledger(clock=lambda: now[0]) as ledger:
        ledger.deposit(CLIENT_KEY, BUDGET)
        soon, late = new_round(), new_round()
        ledger.hold(soon, CLIENT_KEY, 10, 60)
        ledger.hold(late, CLIENT_KEY, 20, 600)
        assert ledger.recover() == ()
        assert ledger.recover(1059.999) == ()
        now[0] = 500.0  # a clock that goes backwards lets nothing expire
        assert ledger.recover() == ()
        now[0] = 1060.0
        assert ledger.recover() == (soon,)
        assert ledger.held(CLIENT_KEY) == 20
        with pytest.raises(RoundClosed):
            ledger.settle(settlement(soon, (1, 1, 1), budget=10))
        now[0] = 5000.0  # late, but before anybody recovered it
        ledger.settle(settlement(late, (20, 0, 0), budget=20))
        assert ledger.recover() == ()
        assert ledger.verify().ok


def test_entries_are_the_newest_first_and_of_one_account(ledger):
    settled(ledger)
    ledger.deposit(KEYS[2], 7)
    assert [entry.kind for entry in ledger.entries()] == ["deposit", "settle", "hold", "deposit", "open"]
    assert [entry.kind for entry in ledger.entries(KEYS[0])] == ["settle"]
    assert [entry.kind for entry in ledger.entries(KEYS[2])] == ["deposit"], "paid nothing in the round"
    assert [entry.kind for entry in ledger.entries(CLIENT_KEY, last=2)] == ["settle", "hold"]
    assert ledger.entries(last=0) == ()
    for entry in ledger.entries():
        assert sum(posting.amount for posting in entry.postings) == 0
        assert entry.postings == postings(entry.body)


def test_an_account_has_the_name_last_given(ledger):
    settled(ledger)
    ledger.deposit(KEYS[0], 1, name="Ada")
    ledger.deposit(KEYS[0], 1)
    assert {one.key: one.name for one in ledger.accounts()}[KEYS[0]] == "Ada"


def test_names_and_memos_are_any_text(ledger):
    ledger.deposit(KEYS[0], 1, memo="\x00 '\"; DROP TABLE journal;", name="Zoë 🦊")
    assert ledger.entries(last=1)[0].body["memo"] == "\x00 '\"; DROP TABLE journal;"
    with pytest.raises(LedgerError, match="cannot be written"):
        ledger.deposit(KEYS[0], 1, name="\ud800")
    assert ledger.balance(KEYS[0]) == 1


def test_threads_take_turns(ledger):
    ledger.deposit(CLIENT_KEY, 100 * BUDGET)
    before = ledger.balance(CLIENT_KEY)
    threads = [threading.Thread(target=lambda: [settled(ledger) for _ in range(5)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert balances(ledger) == [before - 40 * 800, 40 * 500, 40 * 300, 0]


def test_what_fails_within_a_bulk_leaves_the_rest_whole(ledger):
    with ledger.bulk():
        settled(ledger)
        round_id = new_round()
        ledger.hold(round_id, CLIENT_KEY, 1, 60)
        with pytest.raises(DuplicateRound):
            ledger.hold(round_id, CLIENT_KEY, 1, 60)
        assert ledger.verify().ok
    assert ledger.held(CLIENT_KEY) == 1
    height = ledger.height
    with pytest.raises(UnknownRound), ledger.bulk():
        ledger.refund(settled(ledger)[::-1], "the whole bulk is taken back")
    assert ledger.height == height


def test_a_file_is_continued(tmp_path):
    path = tmp_path / "folder" / "of.ledger"
    with Ledger(path) as first:
        first.deposit(CLIENT_KEY, BUDGET)
        round_id, named = new_round(), first.ledger_id
        first.hold(round_id, CLIENT_KEY, BUDGET, 60)
    assert [one.name for one in path.parent.iterdir()] == ["of.ledger"]
    with Ledger(path) as second:
        assert second.ledger_id == named
        second.settle(settlement(round_id))
        assert second.balance(KEYS[0]) == 500
        assert second.verify().ok
    with pytest.raises(Closed, match="was closed"):
        second.balance(KEYS[0])
    with pytest.raises(Closed):
        second.deposit(CLIENT_KEY, 1)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda path: path.write_text("accuracy,party\n" * 100), "is no ledger"),
        (lambda path: sqlite3.connect(path).executescript("CREATE TABLE t(a)").connection.close(), "but no ledger"),
        (lambda path: Ledger(path).close() or _set(path, "user_version=2"), "ledger of version 2.*update"),
        (lambda path: Ledger(path).close() or path.write_bytes(path.read_bytes()[:5000]), "is no ledger"),
    ],
)
def test_another_file_is_refused_and_left_as_it_is(tmp_path, make, match):
    path = tmp_path / "of.ledger"
    make(path)
    before = path.read_bytes()
    with pytest.raises(NotALedger, match=match):
        Ledger(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["of.ledger"]


def _set(path, pragma):
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA {pragma}")
    connection.close()


def test_a_folder_is_no_ledger(tmp_path):
    with pytest.raises(LedgerError, match="unable to open"):
        Ledger(tmp_path)


def test_the_journal_is_only_appended_to(tmp_path):
    path = tmp_path / "of.ledger"
    with Ledger(path) as ledger:
        ledger.deposit(CLIENT_KEY, 1)
    connection = sqlite3.connect(path)
    for statement in (
        "UPDATE journal SET body = x'00'",
        "DELETE FROM journal WHERE height = 2",
        "INSERT OR REPLACE INTO journal VALUES (2, x'00', x'00')",
        "INSERT INTO journal VALUES (0, x'00', x'00')",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only appended to"):
            connection.execute(statement)
    connection.close()


def test_who_waits_too_long_is_told(tmp_path):
    path = tmp_path / "of.ledger"
    with Ledger(path) as first, Ledger(path, busy_timeout_seconds=0.05) as second:
        first.deposit(CLIENT_KEY, BUDGET)
        with first.bulk():
            first.deposit(CLIENT_KEY, BUDGET)
            with pytest.raises(LedgerBusy, match=r"Another process.*of\.ledger.*nothing was booked"):
                second.deposit(CLIENT_KEY, 1)
            assert second.balance(CLIENT_KEY) == BUDGET, "reading goes on meanwhile"
            assert second.verify().ok
        second.deposit(CLIENT_KEY, 1)
        assert first.balance(CLIENT_KEY) == 2 * BUDGET + 1


def test_settings_are_checked(tmp_path):
    with pytest.raises(LedgerError, match="synchronous"):
        Ledger(synchronous="OFF")
    with Ledger(tmp_path / "full.ledger", synchronous="FULL") as ledger, pytest.raises(UnknownName, match=r"\.jsonl"):
        ledger.export(tmp_path / "ledger.txt")
