"""The journal of a ledger and the tables that follow from it: read and written in transactions."""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fi_workbench.core.errors import Closed, LedgerError
from fi_workbench.incentives.ledger import accounts, schema
from fi_workbench.incentives.ledger.book import ESCROW, chained, closes, encoded, postings


class Journal:
    """One connection to a ledger's file, used by one thread at a time.

    Parameters
    ----------
    path : path or None
        None for one in memory.
    synchronous : str
        SQLite's setting.
    busy_timeout_seconds : float
    """

    def __init__(self, path: Path | None, synchronous: str, busy_timeout_seconds: float) -> None:
        self.where = path or "in memory"
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._closed = False
        self._parts = itertools.count()
        self._path, self._busy_timeout_seconds = path, busy_timeout_seconds
        self._connection = schema.connect(path, synchronous, busy_timeout_seconds)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for as long as the block lasts.

        Raises
        ------
        Closed, LedgerBusy, LedgerError, NotALedger
        """
        with self._lock:
            if self._closed:
                raise Closed(f"The ledger {self.where} was closed.")
            if os.getpid() != self._process:  # both would hold what SQLite takes for one process's locks
                raise LedgerError(f"The ledger {self.where} was opened before this process was forked; open it anew.")
            with schema.told(self.where):
                yield self._connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of the block or nothing; inside another one, all of this part or nothing."""
        with self.reading() as connection:
            begin, keep, drop = "BEGIN IMMEDIATE", "COMMIT", ["ROLLBACK"]
            if connection.in_transaction:
                part = f"part{next(self._parts)}"
                begin, keep, drop = f"SAVEPOINT {part}", f"RELEASE {part}", [f"ROLLBACK TO {part}", f"RELEASE {part}"]
            try:
                connection.execute(begin)  # in here: an interrupt behind it must not leave the transaction open
                yield connection
                connection.execute(keep)
            except BaseException:
                # an interrupt may come before the part is begun, or when it is kept already
                with suppress(sqlite3.OperationalError):
                    for statement in drop if connection.in_transaction else ():
                        connection.execute(statement)
                raise

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection for long reading: of a file, another one, so that rounds go on meanwhile."""
        with self.reading() as connection:
            alone = self._path is None or connection.in_transaction
            if alone:
                yield connection
        if alone or self._path is None:
            return
        other = schema.connect(self._path, "NORMAL", self._busy_timeout_seconds)
        try:
            with schema.told(self._path):
                yield other
        finally:
            other.close()

    def append(self, body: Mapping[str, Any], at_milliseconds: int) -> int:
        """Book one transaction and bring the tables after it; gives its height."""
        with self.transaction() as connection:
            height, previous = accounts.head(connection)
            height += 1
            data = encoded({**body, "at": at_milliseconds})
            connection.execute("INSERT INTO journal VALUES (?, ?, ?)", (height, data, chained(previous, data)))
            for posting in postings(body):
                if not posting.account.startswith(ESCROW):  # the row of the round is its balance
                    connection.execute(_POST, posting)
            if body["kind"] == "hold":
                row = (body["round"], body["account"], body["amount"], body["expires"], height)
                connection.execute("INSERT INTO round VALUES (?, ?, ?, ?, ?, NULL)", row)
            elif (round_id := closes(body)) is not None:
                connection.execute(_CLOSE, (height, round_id))
        return height

    def close(self) -> None:
        """Close the connection; the last one of a file puts everything into it."""
        with self._lock:
            self._closed = True
            self._connection.close()


_POST = (
    "INSERT INTO balance VALUES (?1, ?2, ?3) ON CONFLICT (account) DO UPDATE"
    " SET amount = amount + ?3, name = CASE ?2 WHEN '' THEN name ELSE ?2 END"
)
# what was held is in the journal: nothing stays here that nobody would check
_CLOSE = "UPDATE round SET client = '', amount = 0, expires = 0, closed_at = ? WHERE round_id = ?"
