"""Verification: what was changed is found, in the file and in its export, by whoever changed it."""

import json
import random
import sqlite3

import pytest

from fi_workbench.core.errors import LedgerError, NotALedger, UnknownName
from fi_workbench.core.identity import Identity
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.ledger.accounts import Checkpoint
from fi_workbench.incentives.ledger.book import GENESIS, chained, encoded
from fi_workbench.incentives.ledger.checking import MAX_PROBLEMS, verify_export
from fi_workbench.incentives.ledger.receipts import Settlement
from tests.incentives.ledger_toys import BUDGET, CLIENT, CLIENT_KEY, KEYS, new_round, receipts, settled, settlement

AUDITOR = Identity("auditor")
AUDITOR_KEY = AUDITOR.public.verify_key.hex()


@pytest.fixture
def path(tmp_path):
    """Closed; 1 opens it, 2 is a deposit, 3-6 two rounds, 7 a checkpoint, 8-9 a refund, 10 open, 11-12 a round."""
    with Ledger(tmp_path / "of.ledger") as ledger:
        ledger.deposit(CLIENT_KEY, 10 * BUDGET, name="client")
        settled(ledger)
        settled(ledger)
        ledger.checkpoint(AUDITOR)
        refunded = new_round()
        ledger.hold(refunded, CLIENT_KEY, BUDGET, 60)
        ledger.refund(refunded, "aborted")
        ledger.hold(new_round(), CLIENT_KEY, BUDGET, 60)
        settled(ledger)
    return tmp_path / "of.ledger"


def verified(path, *args, **options):
    with Ledger(path) as ledger:
        return ledger.verify(*args, **options)


def test_a_whole_ledger_is_in_order(path):
    seen = []
    found = verified(path, on_progress=seen.append)
    assert found.ok
    assert found.problems == ()
    assert found.n_transactions == 12
    assert found.n_signatures == 3 * 4 + 1  # each settlement: the client and three receipts
    assert (seen[-1].done, seen[-1].total) == (12, 12)
    assert found.seconds > 0


def test_signatures_may_be_left_out(path):
    found = verified(path, signatures=False)
    assert (found.ok, found.n_signatures) == (True, 0)


def test_a_checkpoint_carries_what_came_before(path):
    found = verified(path, "checkpoint", AUDITOR_KEY)
    assert found.ok, found.problems
    assert found.n_transactions == 6  # the checkpoint itself, and what follows
    assert found.n_signatures == 4 + 1


def test_a_checkpoint_is_trusted_by_its_key(path):
    with pytest.raises(LedgerError, match="name that key"):
        verified(path, "checkpoint")
    with pytest.raises(LedgerError, match="since is 'yesterday'"):
        verified(path, "yesterday")
    for since in ("beginning", "checkpoint"):
        assert "trusted key" in verified(path, since, CLIENT_KEY).problems[-1]
    assert verified(path, "beginning", AUDITOR_KEY).ok


# ---------------------------------------------------------------------------------------------------- the tables


@pytest.mark.parametrize("since", ["beginning", "checkpoint"])
@pytest.mark.parametrize(
    ("statement", "match"),
    [
        ("UPDATE balance SET amount = amount + 1 WHERE account = 'FIRST'", "balance of FIRST"),
        ("UPDATE balance SET name = 'B' WHERE account = 'FIRST'", "balance of FIRST"),
        ("DELETE FROM balance WHERE account = 'FIRST'", "balance of FIRST"),
        ("INSERT INTO balance VALUES ('x', '', 0)", "balance of x is not from the journal"),
        ("UPDATE round SET amount = amount + 1 WHERE closed_at IS NULL", "open holds"),
        ("UPDATE round SET client = 'x' WHERE closed_at IS NULL", "open holds"),
        ("UPDATE round SET expires = 0 WHERE closed_at IS NULL", "open holds"),
        ("UPDATE round SET closed_at = 10 WHERE closed_at IS NULL", "open holds"),
        ("UPDATE round SET closed_at = NULL WHERE held_at = 11", "open holds"),
        ("UPDATE round SET closed_at = 10 WHERE held_at = 11", "Round .* is not as"),
        ("UPDATE round SET amount = 1 WHERE held_at = 8", "Round .* is not as"),
        ("DELETE FROM round WHERE held_at = 3", "There are 4 rounds"),
        ("INSERT INTO round VALUES ('x', '', 0, 0, 1, 2)", "There are 6 rounds"),
        ("DROP TRIGGER journal_delete", "journal_delete is missing"),
        ("CREATE TRIGGER t AFTER INSERT ON balance BEGIN SELECT 1; END", "has a t"),
        ("CREATE VIEW v AS SELECT 1", "has a v"),
        ("ALTER TABLE balance ADD COLUMN more TEXT", "balance is not as a ledger has it"),
    ],
)
def test_tables_are_held_against_the_journal(path, since, statement, match):
    # keys are new in each process, and the names of the cases must not be
    statement, match = (text.replace("FIRST", KEYS[0]) for text in (statement, match))
    connection = sqlite3.connect(path)
    assert connection.execute(statement).rowcount != 0
    connection.commit()
    connection.close()
    found = verified(path, since, AUDITOR_KEY)
    assert not found.ok
    with pytest.raises(AssertionError, match=match):
        raise AssertionError("\n".join(found.problems))


def logical(path):
    """What a ledger says: its tables in order, and its schema."""
    connection = sqlite3.connect(path)
    try:
        tables = [
            connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall()
            for name in ("journal", "balance", "round")
        ]
        held = connection.execute("SELECT * FROM round INDEXED BY open_round WHERE closed_at IS NULL").fetchall()
        return tables, held, connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_is_found_or_changes_nothing(path, seed):
    whole, before, draw = path.read_bytes(), logical(path), random.Random(seed)
    n_found = 0
    for _ in range(150):
        place, bit = draw.randrange(len(whole)), 1 << draw.randrange(8)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        try:
            ok = verified(path).ok
        except (LedgerError, NotALedger):
            ok = False
        n_found += not ok
        assert not ok or logical(path) == before, f"byte {place}, bit {bit}"
    assert n_found > 10


def test_a_hold_that_is_told_twice_is_found(path):
    """A page of the index that counts its cell twice: what the tables hold is unchanged, but held() is doubled."""
    whole = path.read_bytes()
    connection = sqlite3.connect(path)
    page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'open_round'").fetchone()[0]
    connection.close()
    header = (page - 1) * 4096
    assert whole[header + 3 : header + 5] == b"\x00\x01", "one cell"
    pointer = whole[header + 8 : header + 10]
    path.write_bytes(whole[: header + 4] + b"\x02" + whole[header + 5 : header + 10] + pointer + whole[header + 12 :])
    with Ledger(path) as ledger:
        assert ledger.held(CLIENT_KEY) == 2 * BUDGET
    assert verified(path, "checkpoint", AUDITOR_KEY).problems[0].startswith("All balances and holds sum to 1000")


def test_every_bit_of_a_transaction_counts(path):
    whole = path.read_bytes()
    body = logical(path)[0][0][3][1]  # the first settlement
    begin = whole.index(body[:200])
    length = 200  # beyond, the body continues on another page
    for place in range(begin, begin + length):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = verified(path, signatures=False)
        assert not found.ok
        assert any("Transaction 4" in problem for problem in found.problems)


def test_a_file_cut_short_is_found(path):
    whole = path.read_bytes()
    for n_pages in range(1, len(whole) // 4096):
        path.write_bytes(whole[: n_pages * 4096])
        with pytest.raises((LedgerError, NotALedger, AssertionError)):
            assert verified(path).ok


# ---------------------------------------------------------------------------------------------------- the export


@pytest.fixture
def bodies(path):
    with Ledger(path) as ledger:
        return [dict(entry.body) for entry in reversed(ledger.entries())]


def rewritten(tmp_path, bodies):
    """An export of these transactions with hashes that fit: the work of a forger who owns the file."""
    head, lines = GENESIS, []
    for height, body in enumerate(bodies, start=1):
        data = encoded(body)
        head = chained(head, data)
        lines.append(json.dumps({"height": height, "hash": head.hex(), "transaction": data.decode()}))
    target = tmp_path / "forged.jsonl"
    target.write_text("\n".join(lines) + "\n")
    return target


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_an_export_is_verified_without_the_file(path, tmp_path, ending):
    with Ledger(path) as ledger:
        target = ledger.export(tmp_path / f"out{ending}")
        inside = ledger.verify()
    path.unlink()
    found = verify_export(target, AUDITOR_KEY)
    assert found.ok, found.problems
    assert (found.n_transactions, found.n_signatures) == (inside.n_transactions, inside.n_signatures)
    text = target.read_text()
    target.write_text(text.replace('"aborted', '"Aborted').replace('\\"aborted', '\\"Aborted'))
    assert verify_export(target).problems[0].startswith("Transaction 9 does not have the hash")
    target.write_text("\n".join(line for n, line in enumerate(text.splitlines()) if n != 5))
    assert "one is missing or moved" in verify_export(target).problems[0]


@pytest.mark.parametrize(
    "text", ["", "{}", "nonsense", "[1]", '{"height": 1, "hash": "zz", "transaction": "{}"}', "null"]
)
def test_what_is_no_export_is_told(tmp_path, text):
    for ending in (".jsonl", ".csv"):
        target = tmp_path / f"x{ending}"
        target.write_text(text)
        if text == "" or ending == ".csv":
            assert not _ok(target)
        else:
            with pytest.raises(NotALedger, match="is no export"):
                verify_export(target)
    with pytest.raises(UnknownName, match=r"\.jsonl"):
        verify_export(tmp_path / "x.txt")


def _ok(target):
    try:
        return verify_export(target).ok
    except NotALedger:
        return False


def test_the_forger_can_rehash_what_is_unchanged(tmp_path, bodies):
    assert verify_export(rewritten(tmp_path, bodies), AUDITOR_KEY).ok


def _amount(bodies):
    bodies[3]["settlement"]["payments"][0][2] += 1


def _payee(bodies):
    bodies[3]["settlement"]["payments"][0][0] = AUDITOR_KEY


def _name(bodies):
    bodies[3]["settlement"]["payments"][0][1] = "Mallory"


def _reply(bodies):
    bodies[3]["settlement"]["receipts"][0]["reply_digest"] = "0" * 64


def _no_receipt(bodies):
    del bodies[3]["settlement"]["receipts"][0]


def _foreign_receipt(bodies):
    bodies[3]["settlement"]["receipts"] = bodies[5]["settlement"]["receipts"]


def _resigned_with_foreign_receipts(bodies):
    given = bodies[3]["settlement"]
    again = settlement(given["round_id"], given=receipts(given["round_id"])).to_dict()
    bodies[3]["settlement"] = {**again, "receipts": bodies[5]["settlement"]["receipts"]}


def _twice(bodies):
    bodies[6:] = [bodies[2], bodies[3]]


def _settled_twice(bodies):
    bodies[6:] = [bodies[3]]


def _refund_after(bodies):
    bodies[6:] = [{**bodies[8], "round": bodies[2]["round"]}]


def _more_than_there_is(bodies):
    bodies[1]["amount"] = 1
    del bodies[6]


def _refund_to_another(bodies):
    bodies[8]["account"] = KEYS[0]


def _refund_of_more(bodies):
    bodies[8]["amount"] += 1


def _budget(bodies):
    bodies[2]["amount"] += 1
    del bodies[6]


def _negative(bodies):
    bodies[1]["amount"] = -5


def _fraction(bodies):
    bodies[1]["amount"] = 10_000.0


def _reopened(bodies):
    bodies.append(bodies[0])


def _unopened(bodies):
    del bodies[0]


def _unknown_kind(bodies):
    bodies.append({"kind": "print money", "at": 0})


def _minted(bodies):
    bodies.append({**bodies[9], "account": "outside", "round": new_round()})


def _malformed(bodies):
    del bodies[7]["expires"]


def _checkpoint_of_other_balances(bodies):
    bodies[6]["balances"][CLIENT_KEY][1] += 1


def _checkpoint_unsigned(bodies):
    bodies[6]["signature"] = "0" * 128


def _before_the_checkpoint(bodies):
    bodies[1]["memo"] = "more"


@pytest.mark.parametrize(
    ("forge", "match"),
    [
        (_amount, "Transaction 4: The settlement of round .* is not signed"),
        (_payee, "Transaction 4: .*'A' is paid and has no receipt"),
        (_name, "Transaction 4: .*'A' has the key of 'Mallory'"),
        (_reply, "Transaction 4: The receipt of 'A' .* is not signed"),
        (_no_receipt, "Transaction 4: .*'A' is paid and has no receipt"),
        (_foreign_receipt, "Transaction 4: The receipt of 'B' .* is not signed"),
        (_resigned_with_foreign_receipts, "Transaction 4: The receipt of 'A' .* is not signed"),
        (_twice, "Transaction 7: round .* was held before"),
        (_settled_twice, "Transaction 7: round .* is closed already"),
        (_refund_after, "Transaction 7: round .* is closed already"),
        (_more_than_there_is, f"Transaction 3: {CLIENT_KEY} would have less than nothing"),
        (_refund_to_another, "Transaction 9: its client or amount is not that of the hold"),
        (_refund_of_more, "Transaction 9: its client or amount"),
        (_budget, "Transaction 4: its client or amount"),
        (_negative, "Transaction 2: An amount of -5"),
        (_fraction, "Transaction 2: An amount of 10000.0 is no whole number"),
        (_reopened, "Transaction 13: a ledger is opened once"),
        (_unopened, "Transaction 1: it does not open a ledger"),
        (_unknown_kind, "Transaction 13: its kind is 'print money'"),
        (_minted, "Transaction 13: 'outside' is no account"),
        (_malformed, "Transaction 8: it is malformed"),
        (_checkpoint_of_other_balances, "Transaction 7: its snapshot is not|checkpoint is not signed"),
        (_checkpoint_unsigned, "checkpoint is not signed"),
        (_before_the_checkpoint, "Transaction 7: the checkpoint is of another chain"),
    ],
)
def test_the_forger_who_rehashes_is_found(tmp_path, bodies, forge, match):
    forge(bodies)
    found = verify_export(rewritten(tmp_path, bodies))
    assert not found.ok
    with pytest.raises(AssertionError, match=match):
        raise AssertionError("\n".join(found.problems))


def test_the_forger_who_signs_the_checkpoint_anew_is_not_the_auditor(tmp_path):
    with Ledger(tmp_path / "forged.ledger") as ledger:
        ledger.deposit(CLIENT_KEY, BUDGET)
        ledger.checkpoint(CLIENT)
        assert ledger.verify().ok
        assert ledger.verify(trusted_key=CLIENT_KEY).ok
        assert ledger.verify(trusted_key=AUDITOR_KEY).problems == (
            f"No checkpoint is signed by the trusted key {AUDITOR_KEY[:16]}.",
        )


def test_a_journal_that_was_cut_off_is_found_by_a_checkpoint_kept_elsewhere(tmp_path, bodies):
    with Ledger(tmp_path / "of.ledger") as ledger:
        known = ledger.checkpoint(AUDITOR)
        assert isinstance(known, Checkpoint)
        assert ledger.verify(known=known).ok
        last = ledger.entries(last=1)[0]
    short = rewritten(tmp_path, bodies[:10])
    assert verify_export(short).ok, "nothing in the file itself tells that there was more"
    assert "rewritten or cut off" in verify_export(short, anchor=(last.height, last.hash)).problems[0]


def test_a_checkpoint_kept_elsewhere_may_be_the_one_to_begin_at(tmp_path):
    with Ledger(tmp_path / "of.ledger") as ledger:
        ledger.deposit(CLIENT_KEY, BUDGET)
        first = ledger.checkpoint(AUDITOR)
        settled(ledger)
        assert ledger.verify("checkpoint", AUDITOR_KEY, known=first).ok
        ledger.checkpoint(AUDITOR)
        assert ledger.verify(known=first).ok
        assert "began behind it" in ledger.verify("checkpoint", AUDITOR_KEY, known=first).problems[0]


def test_a_round_from_before_the_checkpoint_is_not_paid_again(path, bodies):
    again = bodies[3]["settlement"]
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM round WHERE round_id = ?", (again["round_id"],))
    connection.commit()
    connection.close()
    with Ledger(path) as ledger:
        ledger.hold(again["round_id"], CLIENT_KEY, BUDGET, 60)
        ledger.settle(Settlement.from_dict(again))
        assert ledger.verify("checkpoint", AUDITOR_KEY).problems == ("There are 5 rounds; the journal gives 6.",)
        assert "was held before" in ledger.verify().problems[0]


def test_a_transaction_has_one_form(tmp_path, bodies):
    target = rewritten(tmp_path, bodies[:1])
    row = json.loads(target.read_text())
    twice = row["transaction"].replace('"at":', '"at":1,"at":')
    row |= {"transaction": twice, "hash": chained(GENESIS, twice.encode()).hex()}
    target.write_text(json.dumps(row))
    assert verify_export(target).problems == ("Transaction 1: its bytes are not the one form that they may have.",)


def test_after_so_many_problems_it_stops(tmp_path, bodies):
    bodies += [{"kind": "print money"}] * 5 * MAX_PROBLEMS
    found = verify_export(rewritten(tmp_path, bodies))
    assert len(found.problems) == MAX_PROBLEMS
    assert found.n_transactions < 3 * MAX_PROBLEMS


def test_an_export_appears_whole(path, tmp_path):
    with Ledger(path) as ledger, ledger.bulk():
        settled(ledger)
        assert verify_export(ledger.export(tmp_path / "inside.jsonl")).n_transactions == 14
    assert not list(tmp_path.glob("*.part"))
