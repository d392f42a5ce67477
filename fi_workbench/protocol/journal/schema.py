"""The file of a journal: its tables, how it is opened, and how one of an earlier version is taken over.

What has been spent hangs on it: a file of version 1, which knew no privacy, is taken over in one transaction, and every
query in it counts as answered without a guarantee, as it was.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from fi_workbench.core.errors import CorruptFile, FederationError
from fi_workbench.privacy.event import UNPROTECTED

APPLICATION_ID = 0x46494A4C
"""``FIJL`` in the file's head: SQLite files of other programs are told apart by it."""

VERSION = 2

_BUSY_SECONDS = 5.0

_SCHEMA = (
    "CREATE TABLE granted(client BLOB PRIMARY KEY, n_queries INTEGER NOT NULL, at REAL) STRICT, WITHOUT ROWID",
    (
        "CREATE TABLE lately(client BLOB, second INTEGER, n_queries INTEGER NOT NULL, PRIMARY KEY (client, second))"
        " STRICT, WITHOUT ROWID"
    ),
    "CREATE TABLE asked(round_id BLOB PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE INDEX asked_at ON asked(at)",
    "CREATE TABLE pinned(address TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
# counters, however long a party lives: a row for each client and kind of release
_PRIVACY = (
    (
        "CREATE TABLE released(client BLOB, event TEXT, n INTEGER NOT NULL, PRIMARY KEY (client, event))"
        " STRICT, WITHOUT ROWID"
    ),
    (
        "CREATE TABLE cohorts(client BLOB, query BLOB, cohort BLOB NOT NULL, at REAL NOT NULL,"
        " PRIMARY KEY (client, query)) STRICT, WITHOUT ROWID"
    ),
    "CREATE INDEX cohorts_at ON cohorts(at)",
)
# who was granted no query was in an enrolment at least
_AS_UNPROTECTED = "INSERT INTO released SELECT client, ?, max(n_queries, 1) FROM granted"


class UnusableJournal(FederationError, OSError):
    """A journal that cannot be opened or made where it is asked for; without it a party answers nothing."""


class NotAJournal(CorruptFile):
    """A file that is no party's journal, or of another version. Budgets hang on it: it stays where it is, as it is."""


def open_journal(path: Path) -> sqlite3.Connection:
    """The file at ``path``, made where there is none, for its owner alone; for use from any thread, one at a time.

    Raises
    ------
    UnusableJournal, NotAJournal
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):  # SQLite would make it readable for others
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise UnusableJournal(f"No journal can be kept at {path}: {error}. Keep the key elsewhere.") from error
    try:
        _prepare(connection, path)
    except sqlite3.OperationalError as error:
        connection.close()
        raise UnusableJournal(f"The journal {path} cannot be written: {error}. Make room, or move it.") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise NotAJournal(f"{path} is no journal that can be read ({error}). {_WAY_OUT}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    _journal_mode(connection)
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            _run(connection, *_SCHEMA, *_PRIVACY, f"PRAGMA application_id={APPLICATION_ID}", _AT_THIS_VERSION)
        elif _marks(connection) == (APPLICATION_ID, 1):
            _run(connection, "ALTER TABLE granted ADD COLUMN at REAL", *_PRIVACY, _AT_THIS_VERSION)
            connection.execute(_AS_UNPROTECTED, (UNPROTECTED.text(),))
        if _marks(connection) != (APPLICATION_ID, VERSION):
            raise NotAJournal(f"{path} is a database, but no journal of version {VERSION}. {_WAY_OUT}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors of SQLite have ended it themselves
            connection.execute("ROLLBACK")
        raise


def _run(connection: sqlite3.Connection, *statements: str) -> None:
    for statement in statements:
        connection.execute(statement)


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    return int(application), int(version)


def _journal_mode(connection: sqlite3.Connection) -> None:
    # changing it does not wait for another process's lock by itself
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


_AT_THIS_VERSION = f"PRAGMA user_version={VERSION}"
_WAY_OUT = (
    "It was left as it is. Moved away, every client's budget begins anew; that is for the party's owner to decide."
)
