"""A ledger where the machine does not play along: interrupts, forks, full and read-only disks, files in the way."""

import os
import sqlite3
import threading
import warnings

import pytest

from fi_workbench.cli import main
from fi_workbench.core.errors import LedgerError
from fi_workbench.incentives.ledger import Ledger, verify_export
from fi_workbench.incentives.ledger.book import chained
from tests.incentives.ledger_toys import BUDGET, CLIENT_KEY, new_round, settled, settlement


@pytest.fixture
def path(tmp_path):
    with Ledger(tmp_path / "of.ledger") as ledger:
        ledger.deposit(CLIENT_KEY, 10 * BUDGET)
        settled(ledger)
    return tmp_path / "of.ledger"


class Interrupting:
    """A connection behind whose first statement of a kind Ctrl-C is pressed."""

    def __init__(self, connection, beginning):
        self._connection, self._beginning = connection, beginning

    def execute(self, statement, *arguments):
        result = self._connection.execute(statement, *arguments)
        if self._beginning and statement.startswith(self._beginning):
            self._beginning = ""
            raise KeyboardInterrupt
        return result

    def __getattr__(self, name):
        return getattr(self._connection, name)


@pytest.mark.parametrize("statement", ["BEGIN", "SAVEPOINT", "INSERT INTO journal", "INSERT INTO balance", "RELEASE"])
def test_an_interrupt_leaves_no_transaction_open(path, statement):
    """Else all that is booked afterwards would be lost at the end of the process, and nobody else could write."""
    with Ledger(path) as ledger, Ledger(path, busy_timeout_seconds=0.05) as other:
        before = ledger.balance(CLIENT_KEY)
        ledger._journal._connection = Interrupting(ledger._journal._connection, statement)
        with pytest.raises(KeyboardInterrupt):
            ledger.deposit(CLIENT_KEY, 5)
        assert other.balance(CLIENT_KEY) == before
        other.deposit(CLIENT_KEY, 1)
        ledger.deposit(CLIENT_KEY, 2)
        assert other.balance(CLIENT_KEY) == before + 3
        assert other.verify().ok


def test_an_interrupt_behind_the_commit_has_booked_it_once(path):
    with Ledger(path) as ledger:
        ledger._journal._connection = Interrupting(ledger._journal._connection, "COMMIT")
        with pytest.raises(KeyboardInterrupt):
            ledger.deposit(CLIENT_KEY, 5)
        assert ledger.balance(CLIENT_KEY) == 10 * BUDGET - 800 + 5
        assert ledger.verify().ok


def test_a_forked_process_opens_it_anew(path):
    with Ledger(path) as ledger:
        read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests
            child = os.fork()
        if child == 0:
            try:
                ledger.deposit(CLIENT_KEY, 5)
            except LedgerError as error:
                os.write(write, str(error).encode())
            os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        assert b"open it anew" in os.read(read, 1000)
        os.close(read)
        assert ledger.balance(CLIENT_KEY) == 10 * BUDGET - 800
        assert ledger.verify().ok


def test_a_full_disk_books_nothing_and_is_told(path):
    with Ledger(path) as ledger:
        connection = ledger._journal._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
        round_id = new_round()
        ledger.hold(round_id, CLIENT_KEY, BUDGET, 60)
        before, many = ledger.height, [(f"{k:064x}", "x" * 200, 0) for k in range(200)]  # more than a page has room for
        with pytest.raises(LedgerError, match=r"full.*Nothing was booked"):
            ledger.settle(settlement(round_id, payments=many))
        assert (ledger.height, ledger.held(CLIENT_KEY)) == (before, BUDGET)
        assert ledger.verify().ok
        connection.execute(f"PRAGMA max_page_count={100 * pages}")
        ledger.settle(settlement(round_id))
        assert ledger.verify().ok


def test_what_may_only_be_read_is_told_with_the_way_out(path):
    with Ledger(path) as ledger:
        ledger._journal._connection.execute("PRAGMA query_only=ON")
        with pytest.raises(LedgerError, match=r"readonly.*Nothing was booked\. Copy it to a folder"):
            ledger.deposit(CLIENT_KEY, 1)
        assert ledger.balance(CLIENT_KEY) == 10 * BUDGET - 800
        assert ledger.verify().ok


def test_a_file_where_its_folder_should_be(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"No ledger can be opened at .*file"):
        Ledger(tmp_path / "file" / "deeper" / "of.ledger")
    assert main(["ledger", "deposit", str(tmp_path / "file" / "of.ledger"), CLIENT_KEY, "1"]) == 2
    assert "LedgerError" in capsys.readouterr().err


def test_an_export_that_cannot_be_written_leaves_nothing(path, tmp_path, capsys):
    with Ledger(path) as ledger:
        for target in (tmp_path / "none" / "out.jsonl", path / "out.csv"):
            with pytest.raises(LedgerError, match="cannot be written"):
                ledger.export(target)
        (tmp_path / "folder.csv").mkdir()
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.export(tmp_path / "folder.csv")
    assert main(["ledger", "export", str(path), str(tmp_path / "none" / "out.csv")]) == 2
    assert "LedgerError" in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["folder.csv", "of.ledger"]
    assert "cannot be read" in verify_export(tmp_path / "none.jsonl").problems[0]


def test_two_exports_to_one_path_at_once_are_both_whole(path, tmp_path):
    with Ledger(path) as ledger:
        for _ in range(50):
            settled(ledger, amounts=(1, 1, 1))
    target, found = tmp_path / "out.jsonl", []

    def export():
        with Ledger(path) as ledger:
            for _ in range(20):
                ledger.export(target)
                found.append(verify_export(target, signatures=False).ok)

    threads = [threading.Thread(target=export) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [True] * 60
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "body", [b'{"kind":"hold"}', b'{"kind":"settle","at":1}', b'{"kind":"deposit","at":"x"}', b"{"]
)
def test_what_somebody_wrote_into_the_journal_is_told_and_not_shown(path, body, capsys):
    connection = sqlite3.connect(path)
    last = connection.execute("SELECT hash FROM journal ORDER BY height DESC").fetchone()[0]
    connection.execute("INSERT INTO journal VALUES (5, ?, ?)", (body, chained(last, body)))
    connection.commit()
    connection.close()
    with Ledger(path) as ledger:
        with pytest.raises(LedgerError, match=r"Transaction 5 is malformed: verify"):
            ledger.entries()
        assert "Transaction 5" in ledger.verify().problems[0]
    assert main(["ledger", "show", str(path)]) == 2
    assert "Transaction 5" in capsys.readouterr().err
