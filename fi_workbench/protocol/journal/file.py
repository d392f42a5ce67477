"""What a party remembers that is restarted: an SQLite file beside its key.

Each question is booked before its answer leaves: ``synchronous=NORMAL`` loses nothing when the process is killed, and
at a power cut at most the last bookings, whole.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from fi_workbench.core.errors import Closed, Refused
from fi_workbench.privacy.event import Event
from fi_workbench.protocol.account import NOTHING, Account
from fi_workbench.protocol.batch import Batch
from fi_workbench.protocol.header import RoundHeader
from fi_workbench.protocol.journal.contract import REMEMBERED_QUERIES, REMEMBERED_SECONDS, Journal, second
from fi_workbench.protocol.journal.schema import UnusableJournal, open_journal
from fi_workbench.protocol.policy import WINDOW_SECONDS, Policy

_log = logging.getLogger(__name__)

_SWEEP_SECONDS = 30.0

_GRANT = (
    "INSERT INTO granted VALUES (?1, ?2, ?3)"
    " ON CONFLICT (client) DO UPDATE SET n_queries = n_queries + excluded.n_queries, at = excluded.at"
)
_GRANT_NOW = (
    "INSERT INTO lately VALUES (?1, ?2, ?3)"
    " ON CONFLICT (client, second) DO UPDATE SET n_queries = n_queries + excluded.n_queries"
)
# a clock that was set back must not lock clients out
_LATELY = "SELECT second, n_queries FROM lately WHERE client = ? AND second > ? AND second < ? ORDER BY second"
_RELEASE = "INSERT INTO released VALUES (?1, ?2, ?3) ON CONFLICT (client, event) DO UPDATE SET n = n + excluded.n"
_FORGET = (
    "DELETE FROM cohorts WHERE (client, query) IN"
    " (SELECT client, query FROM cohorts ORDER BY at DESC LIMIT -1 OFFSET ?)"
)


class FileJournal(Journal):
    """Remembers over restarts; several processes may share one.

    Parameters
    ----------
    path : path
        Made where there is none, for its owner alone.
    clock : callable
        Seconds since the epoch.

    Raises
    ------
    UnusableJournal, NotAJournal
    """

    def __init__(self, path: str | os.PathLike[str], clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self.path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self._next_sweep = 0.0
        self._connection = open_journal(self.path)

    def book(
        self, header: RoundHeader, policy: Policy, events: Mapping[Event, int] = NOTHING, batch: Batch | None = None
    ) -> None:
        """See :meth:`Journal.book`; one transaction, on the disk's way before this returns."""
        with self._lock:
            if self._closed:
                raise Closed("This party has stopped.")
            try:
                # what takes long to reckon is known by then: the file is not kept from other processes meanwhile
                policy.check_budget(_account(self._connection, bytes.fromhex(header.client)), events)
                self._book(self._connection, header, policy, events, batch)
            except (sqlite3.Error, ValueError, OverflowError) as error:
                if isinstance(error, Refused):
                    raise
                _log.error("the journal %s cannot be written: %s", self.path, error)
                raise Refused(
                    "this party cannot book the question, and answers nothing that it has not booked; ask again "
                    "when its owner has seen to it."
                ) from error

    def account(self, client: str) -> Account:
        """See :meth:`Journal.account`."""
        with self._lock:
            if self._closed:
                raise Closed("This journal was closed.")
            return _account(self._connection, bytes.fromhex(client))

    def clients(self) -> tuple[str, ...]:
        """See :meth:`Journal.clients`."""
        with self._lock:
            if self._closed:
                raise Closed("This journal was closed.")
            rows = self._connection.execute("SELECT client FROM granted ORDER BY client").fetchall()
            return tuple(client.hex() for (client,) in rows)

    def pinned(self, address: str) -> str | None:
        """Fingerprint of the certificate that this party relies on at ``address``, where it was told one before."""
        with self._lock:
            row = self._connection.execute("SELECT fingerprint FROM pinned WHERE address = ?", (address,)).fetchone()
            return None if row is None else str(row[0])

    def pin(self, address: str, fingerprint: str) -> None:
        """Rely on this certificate at ``address`` from now on.

        Raises
        ------
        UnusableJournal
        """
        with self._lock:
            try:
                self._connection.execute("INSERT OR REPLACE INTO pinned VALUES (?, ?)", (address, fingerprint))
            except sqlite3.Error as error:
                raise UnusableJournal(f"The journal {self.path} cannot be written: {error}.") from error

    def close(self) -> None:
        """Put everything into the one file."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _book(
        self,
        connection: sqlite3.Connection,
        header: RoundHeader,
        policy: Policy,
        events: Mapping[Event, int],
        batch: Batch | None,
    ) -> None:
        client, round_id, now = bytes.fromhex(header.client), bytes.fromhex(header.round_id), self._clock()
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._sweep(connection, now)
            if connection.execute("SELECT 1 FROM asked WHERE round_id = ?", (round_id,)).fetchone():
                raise Refused(f"round {header.round_id[:8]} was asked before; a question is answered once.")
            lately: list[tuple[float, int]] = []
            if policy.queries_per_minute is not None:
                window = (client, now - WINDOW_SECONDS, now + WINDOW_SECONDS + 1)
                lately = connection.execute(_LATELY, window).fetchall()
                connection.execute(_GRANT_NOW, (client, second(now), header.n_queries))
            account = _account(connection, client)
            policy.check_amounts(header.n_queries, account.n_queries, lately, now)
            policy.check_budget(account, events)
            if batch is not None:
                self._check_again(header, policy, _again(connection, client, batch))
                rows = [(client, query, batch.cohort, now) for query in batch.queries]
                connection.executemany("INSERT OR IGNORE INTO cohorts VALUES (?, ?, ?, ?)", rows)
            connection.execute("INSERT INTO asked VALUES (?, ?)", (round_id, now))
            connection.execute(_GRANT, (client, header.n_queries, now))
            connection.executemany(
                _RELEASE, [(client, event.text(), count) for event, count in account.price(events).items()]
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # some errors of SQLite have ended it themselves
                connection.execute("ROLLBACK")
            raise

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        """Forget rounds that nobody can replay any more, and the oldest queries of very many; now and then."""
        if now >= self._next_sweep or now < self._next_sweep - _SWEEP_SECONDS:
            connection.execute("DELETE FROM asked WHERE at <= ?", (now - REMEMBERED_SECONDS,))
            connection.execute("DELETE FROM lately WHERE second <= ?", (now - WINDOW_SECONDS,))
            connection.execute(_FORGET, (REMEMBERED_QUERIES,))
            self._next_sweep = now + _SWEEP_SECONDS


def _account(connection: sqlite3.Connection, client: bytes) -> Account:
    row = connection.execute("SELECT n_queries, at FROM granted WHERE client = ?", (client,)).fetchone()
    if row is None:
        return Account()
    released = connection.execute("SELECT event, n FROM released WHERE client = ?", (client,)).fetchall()
    return Account(int(row[0]), {_event(text): int(n) for text, n in released}, row[1])


@lru_cache(maxsize=4096)
def _event(text: str) -> Event:
    return Event.of_text(text)


def _again(connection: sqlite3.Connection, client: bytes, batch: Batch) -> int:
    """How many of the queries this client asked in another cohort."""
    known = "SELECT cohort FROM cohorts WHERE client = ? AND query = ?"
    found = (connection.execute(known, (client, query)).fetchone() for query in batch.queries)
    return sum(row is not None and row[0] != batch.cohort for row in found)
