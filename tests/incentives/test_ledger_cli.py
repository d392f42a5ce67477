"""`fi-workbench ledger`: what it prints, and its exit status."""

import sqlite3

import pytest

from fi_workbench.cli import main
from fi_workbench.incentives.ledger import Ledger
from tests.incentives.ledger_toys import BUDGET, CLIENT, CLIENT_KEY, KEYS, new_round, settled


@pytest.fixture
def path(tmp_path):
    with Ledger(tmp_path / "of.ledger") as ledger:
        ledger.deposit(CLIENT_KEY, 10 * BUDGET, name="[bold]client")
        settled(ledger)
        ledger.checkpoint(CLIENT)
        ledger.hold(new_round(), CLIENT_KEY, BUDGET, 60)
    return tmp_path / "of.ledger"


@pytest.fixture
def ran(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        status = main(["ledger", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out + printed.err

    return run


def test_a_deposit_is_read_exactly_and_makes_the_ledger(ran, tmp_path):
    path = tmp_path / "new.ledger"
    status, text = ran("deposit", path, KEYS[0], "12.000001", "--name", "Ada", "--memo", "to begin")
    assert (status, "12.000001 deposited" in text) == (0, True)
    with Ledger(path) as ledger:
        assert ledger.balance(KEYS[0]) == 12_000_001
        assert ledger.entries(last=1)[0].body["memo"] == "to begin"
    status, text = ran("deposit", path, KEYS[0], "1.0000001")
    assert (status, "more than six decimals" in text) == (2, True)
    status, text = ran("deposit", path, "Ada", "1")
    assert (status, "is no account" in text) == (2, True)


def test_show_lists_accounts_holds_and_transactions(ran, path):
    status, text = ran("show", path, "--last", "3")
    assert status == 0
    for words in ("Accounts: 4", "Open holds: 1", "Last transactions: 3", "[bold]client", "0.008200", "0.001000"):
        assert words in text
    assert "deposit" not in text.split("Last transactions")[1]


def test_verify_says_what_was_checked(ran, path):
    assert ran("verify", path)[0] == 0
    assert "In order: 6 transactions and 5 signatures" in ran("verify", path)[1]
    assert "In order: 6 transactions and 0 signatures" in ran("verify", path, "--no-signatures")[1]
    assert (
        "In order: 2 transactions and 1 signatures" in ran("verify", path, "--since-checkpoint", "--key", CLIENT_KEY)[1]
    )
    status, text = ran("verify", path, "--since-checkpoint")
    assert (status, "name that key" in text) == (2, True)


def test_verify_fails_with_the_problems(ran, path):
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE balance SET amount = 7 WHERE account = '{KEYS[0]}'")
    connection.commit()
    connection.close()
    status, text = ran("verify", path)
    assert status == 1
    assert f"The balance of {KEYS[0]} is" in text
    assert "NOT in order" in text


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_an_export_is_verified_by_the_same_command(ran, path, tmp_path, ending):
    out = tmp_path / f"out{ending}"
    assert ran("export", path, out)[0] == 0
    path.unlink()
    assert "In order: 6 transactions and 5 signatures" in ran("verify", out)[1]
    status, text = ran("verify", out, "--since-checkpoint", "--key", CLIENT_KEY)
    assert (status, "from its beginning" in text) == (2, True)
    out.write_text(out.read_text().replace("10000", "99999"))
    status, text = ran("verify", out)
    assert (status, "Transaction 2 does not have the hash" in text) == (1, True)


def test_looking_at_a_ledger_makes_none(ran, tmp_path):
    for command in (("verify",), ("show",), ("export", tmp_path / "out.csv")):
        status, text = ran(command[0], tmp_path / "none.ledger", *command[1:])
        assert (status, "There is no ledger" in text) == (2, True)
    other = tmp_path / "other.ledger"
    other.write_text("something else " * 100)
    status, text = ran("show", other)
    assert (status, "is no ledger" in text) == (2, True)
    assert [one.name for one in tmp_path.iterdir()] == ["other.ledger"]
