"""What a party remembers: queries granted to each client, rounds that were asked before, the links it relies on.

A party that lives as long as its kernel keeps this in memory. One that is restarted keeps it in an SQLite file beside
its key, booked before an answer leaves: ``synchronous=NORMAL`` loses nothing when the process is killed, and at a power
cut at most the last bookings, whole.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from fi_workbench.core.errors import Closed, CorruptFile, FederationError, Refused
from fi_workbench.privacy.event import Event
from fi_workbench.protocol.header import MAX_AGE_SECONDS, RoundHeader
from fi_workbench.protocol.policy import WINDOW_SECONDS, Policy

_log = logging.getLogger(__name__)

REMEMBERED_SECONDS = 2 * MAX_AGE_SECONDS
"""A replay is refused for as long as its signature would still be accepted, both clocks' skew included."""

NOTHING: Mapping[Event, int] = MappingProxyType({})
"""The price of a question that releases nothing."""

APPLICATION_ID = 0x46494A4C
"""``FIJL`` in the file's head: SQLite files of other programs are told apart by it."""

VERSION = 1

_BUSY_SECONDS = 5.0
_SWEEP_SECONDS = 30.0

_SCHEMA = (
    "CREATE TABLE granted(client BLOB PRIMARY KEY, n_queries INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    (
        "CREATE TABLE lately(client BLOB, second INTEGER, n_queries INTEGER NOT NULL, PRIMARY KEY (client, second))"
        " STRICT, WITHOUT ROWID"
    ),
    "CREATE TABLE asked(round_id BLOB PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE INDEX asked_at ON asked(at)",
    "CREATE TABLE pinned(address TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) STRICT, WITHOUT ROWID",
)
_GRANT = (
    "INSERT INTO granted VALUES (?1, ?2) ON CONFLICT (client) DO UPDATE SET n_queries = n_queries + excluded.n_queries"
)
_GRANT_NOW = (
    "INSERT INTO lately VALUES (?1, ?2, ?3)"
    " ON CONFLICT (client, second) DO UPDATE SET n_queries = n_queries + excluded.n_queries"
)
# a clock that was set back must not lock clients out
_LATELY = "SELECT second, n_queries FROM lately WHERE client = ? AND second > ? AND second < ? ORDER BY second"


class UnusableJournal(FederationError, OSError):
    """A journal that cannot be opened or made where it is asked for; without it a party answers nothing."""


class NotAJournal(CorruptFile):
    """A file that is no party's journal, or of another version. Budgets hang on it: it stays where it is, as it is."""


class Journal(ABC):
    """What a party remembers of its clients; safe to use from several threads."""

    @abstractmethod
    def book(self, header: RoundHeader, policy: Policy, events: Mapping[Event, int] = NOTHING) -> None:
        """Grant the queries of a question whose header was checked, all or none of it.

        Raises
        ------
        Refused
            The round was asked before, the policy's amounts do not allow it, or it cannot be booked.
        """

    @abstractmethod
    def spent(self, client: str) -> int:
        """Queries granted so far to the client with this Ed25519 key, in hexadecimal."""

    @abstractmethod
    def close(self) -> None:
        """Book nothing more."""


class MemoryJournal(Journal):
    """Remembers for as long as this process lives. That a round was asked before is the runtime's to know."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spent: Counter[str] = Counter()
        self._lately: dict[str, deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def book(self, header: RoundHeader, policy: Policy, events: Mapping[Event, int] = NOTHING) -> None:
        """See :meth:`Journal.book`."""
        with self._lock:
            now = self._clock()
            grants = self._of_the_last_minute(header.client, now) if policy.queries_per_minute is not None else deque()
            policy.check_amounts(header.n_queries, self._spent[header.client], grants, now)
            self._spent[header.client] += header.n_queries
            if policy.queries_per_minute is None:
                return
            if grants and grants[-1][0] == _second(now):
                grants[-1] = (_second(now), grants[-1][1] + header.n_queries)
            else:
                grants.append((_second(now), header.n_queries))

    def spent(self, client: str) -> int:
        """See :meth:`Journal.spent`."""
        with self._lock:
            return self._spent[client]

    def close(self) -> None:
        """See :meth:`Journal.close`; there is nothing to put away."""

    def _of_the_last_minute(self, client: str, now: float) -> deque[tuple[float, int]]:
        grants = self._lately.setdefault(client, deque())
        while grants and grants[0][0] <= now - WINDOW_SECONDS:
            grants.popleft()
        return grants


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
        self.path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self._next_sweep = 0.0
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):  # SQLite would make it readable for others
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise UnusableJournal(f"No journal can be kept at {self.path}: {error}. Keep the key elsewhere.") from error
        try:
            self._prepare()
        except sqlite3.OperationalError as error:
            self._connection.close()
            raise UnusableJournal(
                f"The journal {self.path} cannot be written: {error}. Make room, or move it."
            ) from error
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise NotAJournal(f"{self.path} is no journal that can be read ({error}). {_WAY_OUT}") from error
        except BaseException:
            self._connection.close()
            raise

    def book(self, header: RoundHeader, policy: Policy, events: Mapping[Event, int] = NOTHING) -> None:
        """See :meth:`Journal.book`; one transaction, on the disk's way before this returns."""
        with self._lock:
            if self._closed:
                raise Closed("This party has stopped.")
            try:
                self._book(self._connection, header, policy)
            except sqlite3.Error as error:
                _log.error("the journal %s cannot be written: %s", self.path, error)
                raise Refused(
                    "this party cannot book the question, and answers nothing that it has not booked; ask again "
                    "when its owner has seen to it."
                ) from error

    def spent(self, client: str) -> int:
        """See :meth:`Journal.spent`."""
        with self._lock:
            if self._closed:
                raise Closed("This journal was closed.")
            return _spent(self._connection, bytes.fromhex(client))

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

    def _book(self, connection: sqlite3.Connection, header: RoundHeader, policy: Policy) -> None:
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
                connection.execute(_GRANT_NOW, (client, _second(now), header.n_queries))
            policy.check_amounts(header.n_queries, _spent(connection, client), lately, now)
            connection.execute("INSERT INTO asked VALUES (?, ?)", (round_id, now))
            connection.execute(_GRANT, (client, header.n_queries))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # some errors of SQLite have ended it themselves
                connection.execute("ROLLBACK")
            raise

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        """Forget rounds that nobody can replay any more; now and then."""
        if now >= self._next_sweep or now < self._next_sweep - _SWEEP_SECONDS:
            connection.execute("DELETE FROM asked WHERE at <= ?", (now - REMEMBERED_SECONDS,))
            connection.execute("DELETE FROM lately WHERE second <= ?", (now - WINDOW_SECONDS,))
            self._next_sweep = now + _SWEEP_SECONDS

    def _prepare(self) -> None:
        connection = self._connection
        self._journal_mode()
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version={VERSION}")
            found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
            if found != [APPLICATION_ID, VERSION]:
                raise NotAJournal(f"{self.path} is a database, but no journal of version {VERSION}. {_WAY_OUT}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _journal_mode(self) -> None:
        # changing it does not wait for another process's lock by itself
        until = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)


_WAY_OUT = (
    "It was left as it is. Moved away, every client's budget begins anew; that is for the party's owner to decide."
)


def _second(now: float) -> int:
    """Grants are counted by the second, so that a busy client costs no more than sixty numbers; none is freed early."""
    return math.ceil(now)


def _spent(connection: sqlite3.Connection, client: bytes) -> int:
    row = connection.execute("SELECT n_queries FROM granted WHERE client = ?", (client,)).fetchone()
    return 0 if row is None else int(row[0])
