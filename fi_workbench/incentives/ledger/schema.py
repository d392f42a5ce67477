"""The file of a ledger: an SQLite database with an append-only journal, and tables that follow from it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fi_workbench.core.errors import LedgerBusy, LedgerError, NotALedger

APPLICATION_ID = 0x46494C47
"""``FILG`` in the file's head: SQLite files of other programs are told apart by it."""

VERSION = 1

SCHEMA = {
    "journal": "CREATE TABLE journal(height INTEGER PRIMARY KEY, body BLOB NOT NULL, hash BLOB NOT NULL) STRICT",
    "balance": (
        "CREATE TABLE balance(account TEXT PRIMARY KEY, name TEXT NOT NULL, amount INTEGER NOT NULL)"
        " STRICT, WITHOUT ROWID"
    ),
    "round": (
        "CREATE TABLE round(round_id TEXT PRIMARY KEY, client TEXT NOT NULL, amount INTEGER NOT NULL,"
        " expires INTEGER NOT NULL, held_at INTEGER NOT NULL, closed_at INTEGER) STRICT, WITHOUT ROWID"
    ),
    "open_round": "CREATE INDEX open_round ON round(client) WHERE closed_at IS NULL",
    "journal_update": (
        "CREATE TRIGGER journal_update BEFORE UPDATE ON journal"
        " BEGIN SELECT RAISE(ABORT, 'a journal is only appended to'); END"
    ),
    "journal_delete": (
        "CREATE TRIGGER journal_delete BEFORE DELETE ON journal"
        " BEGIN SELECT RAISE(ABORT, 'a journal is only appended to'); END"
    ),
    "journal_insert": (
        "CREATE TRIGGER journal_insert BEFORE INSERT ON journal WHEN NEW.height <= (SELECT max(height) FROM journal)"
        " BEGIN SELECT RAISE(ABORT, 'a journal is only appended to'); END"
    ),
}
"""Everything in the file: an ``INSERT OR REPLACE`` would delete without the trigger for deletions, hence the third."""


def connect(path: Path | None, synchronous: str, busy_timeout_seconds: float) -> sqlite3.Connection:
    """A connection to the ledger in ``path``, or in memory; its kind and version are checked, nothing is scanned.

    Raises
    ------
    NotALedger
        If the file is something else, or of another version; it stays as it is.
    LedgerBusy
        If another process holds it for too long.
    LedgerError
        If it cannot be opened or made there.
    """
    where = ":memory:" if path is None else path
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            where, timeout=busy_timeout_seconds, isolation_level=None, check_same_thread=False
        )  # fmt: skip
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"No ledger can be opened at {where}: {error}.") from error
    try:
        with told(where):
            _check_kind(connection, where)
            _patiently(connection, "PRAGMA journal_mode=WAL", busy_timeout_seconds)
            connection.execute(f"PRAGMA synchronous={synchronous}")
            connection.execute("PRAGMA cache_size=-65536")
            connection.execute("PRAGMA trusted_schema=OFF")
            # moving the write-ahead log into the file waits for the disk: every few hundred rounds, not every few dozen
            connection.execute("PRAGMA wal_autocheckpoint=4000")
    except BaseException:
        connection.close()
        raise
    return connection


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, inside the caller's transaction."""
    for statement in SCHEMA.values():
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={VERSION}")


def is_new(connection: sqlite3.Connection) -> bool:
    """Whether the database has no tables yet."""
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_master").fetchone()[0])


def problems(connection: sqlite3.Connection) -> list[str]:
    """What in the file is not of a ledger: missing triggers, changed or added tables."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_autoindex%'")
    found = {name: sql for name, sql in rows if sql is not None}
    found_wrong = [f"The file's {name} is missing." for name in sorted(SCHEMA.keys() - found.keys())]
    found_wrong += [f"The file has a {name}, which no ledger has." for name in sorted(found.keys() - SCHEMA.keys())]
    changed = sorted(name for name in SCHEMA.keys() & found.keys() if SCHEMA[name] != found[name])
    return found_wrong + [f"The file's {name} is not as a ledger has it." for name in changed]


@contextmanager
def told(where: object) -> Iterator[None]:
    """What SQLite cannot do, in the ledger's words.

    Raises
    ------
    LedgerBusy, NotALedger, LedgerError
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise LedgerBusy(
                f"Another process is writing to the ledger {where}. Try again; nothing was booked."
            ) from error
        way_out = " Copy it to a folder where you may write." if "readonly" in str(error) else ""
        raise LedgerError(f"The ledger {where} cannot be used: {error}. Nothing was booked.{way_out}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # what SQLite quotes of a damaged file may be no text
        raise NotALedger(f"{where} is no ledger that can be read ({error}). It was left as it is.") from error


def _check_kind(connection: sqlite3.Connection, where: object) -> None:
    if is_new(connection):
        return
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise NotALedger(f"{where} is a database, but no ledger. It was left as it is; give another path.")
    if version != VERSION:
        raise NotALedger(
            f"{where} is a ledger of version {version}, and this program reads {VERSION}. It was left as it is; "
            "update fi-workbench to open it."
        )


def _patiently(connection: sqlite3.Connection, statement: str, timeout_seconds: float) -> None:
    # changing the journal mode does not wait for a lock by itself
    until = time.monotonic() + timeout_seconds
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
