"""Verification of a ledger: everything derived anew from the journal and held against what is written."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import FederationError, LedgerError
from fi_workbench.core.identity import BadSignature
from fi_workbench.core.progress import OnProgress, Progress, quiet
from fi_workbench.incentives.ledger import schema
from fi_workbench.incentives.ledger.book import GENESIS, Book, chained, decoded, encoded
from fi_workbench.incentives.ledger.exporting import Row, ledger_of, rows_of
from fi_workbench.incentives.ledger.receipts import Settlement
from fi_workbench.incentives.ledger.signed import Signed
from fi_workbench.incentives.ledger.tables import table_problems

Since = Literal["beginning", "checkpoint"]

MAX_PROBLEMS = 100
"""After so many a verification stops: the ledger is not to be trusted, and the rest follows from the first."""

_BATCH = 4096
_PROGRESS_EVERY = 10_000
_JOURNAL = "SELECT height, body, hash FROM journal WHERE height > ? ORDER BY height"


@dataclass(frozen=True)
class Verification:
    """What a verification found.

    Parameters
    ----------
    ok : bool
    n_transactions, n_signatures : int
        That were checked.
    problems : tuple of str
        What is wrong, and where.
    seconds : float
    """

    ok: bool
    n_transactions: int
    n_signatures: int
    problems: tuple[str, ...]
    seconds: float


def checkpoint_statement(ledger_id: str, height: int, head: str, book_digest: str) -> bytes:
    """The canonical bytes that who makes a checkpoint signs."""
    return canonical(["fi-workbench checkpoint", ledger_id, height, head, book_digest])


def verify_file(
    connection: sqlite3.Connection,
    since: Since = "beginning",
    trusted_key: str | None = None,
    signatures: bool = True,
    on_progress: OnProgress = quiet,
    anchor: tuple[int, str] | None = None,
) -> Verification:
    """Verify a ledger's file: hashes, sums, rules, signatures, tables, triggers.

    Parameters
    ----------
    connection : sqlite3.Connection
    since : {"beginning", "checkpoint"}
        ``"checkpoint"`` begins at the last one signed by ``trusted_key`` and takes all before it on that signature.
    trusted_key : str, optional
        Ed25519 key in hexadecimal. Given, a checkpoint of it must exist.
    signatures : bool
        Whether signatures are checked; without, whoever wrote the file could have invented them.
    on_progress : callable
    anchor : (height, hash), optional
        A transaction known from elsewhere, which must be among those that are verified, or be the last before them.

    Raises
    ------
    LedgerError
        If ``since`` is unknown, or a checkpoint is to be trusted and nobody is named.
    """
    started = time.perf_counter()
    if since not in ("beginning", "checkpoint"):
        raise LedgerError(f"since is {since!r}; it is 'beginning' or 'checkpoint'.")
    if since == "checkpoint" and trusted_key is None:
        raise LedgerError("Verifying from a checkpoint rests on who signed it: name that key as trusted_key.")
    walk = _Walk(signatures, on_progress, trusted_key, anchor)
    snapshot = not connection.in_transaction
    try:
        if snapshot:
            connection.execute("BEGIN")
        walk.total = connection.execute("SELECT max(height) FROM journal").fetchone()[0] or 0
        walk.problems += schema.problems(connection)
        if since == "checkpoint":
            _begin_at_checkpoint(connection, walk)
        if len(walk.problems) < MAX_PROBLEMS:
            walk.run(connection.execute(_JOURNAL, (walk.height,)))
        if not walk.problems:
            walk.problems += table_problems(connection, walk.book, thorough=since == "beginning")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        walk.problems.append(f"SQLite cannot read the file: {error}.")
    finally:
        if snapshot and connection.in_transaction:
            connection.execute("ROLLBACK")
    return walk.result(started)


def verify_export(
    path: str | os.PathLike[str],
    trusted_key: str | None = None,
    signatures: bool = True,
    on_progress: OnProgress = quiet,
    anchor: tuple[int, str] | None = None,
) -> Verification:
    """Verify an exported ledger, from the beginning; see :func:`verify_file`."""
    started = time.perf_counter()
    walk = _Walk(signatures, on_progress, trusted_key, anchor)
    try:
        walk.run(rows_of(Path(path)))
    except LedgerError as error:
        walk.problems.append(str(error))
    return walk.result(started)


@dataclass
class _Walk:
    """One pass over the journal."""

    signatures: bool
    on_progress: OnProgress
    trusted_key: str | None
    anchor: tuple[int, str] | None
    book: Book = field(default_factory=Book)
    height: int = 0
    head: bytes = GENESIS
    ledger_id: str = ""
    total: int = 0
    n_transactions: int = 0
    n_signatures: int = 0
    trusted: bool = False
    anchored: bool = False
    problems: list[str] = field(default_factory=list)

    def run(self, rows: Iterable[Row]) -> None:
        """Check transaction after transaction, and the signatures of some thousands of them at a time in threads.

        A check of a signature lets other threads run, the rest does not: side by side they would wait for each other.
        """
        n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        n_threads = n_cores + 1  # one is always between two checks
        with ThreadPoolExecutor(n_threads, "ledger-signatures") as pool:
            batch: list[tuple[int, Signed]] = []
            for row in rows:
                batch += [(row[0], one) for one in self._step(*row)]
                if len(batch) >= _BATCH:
                    self._check(batch, pool, n_threads)
                    batch = []
                if len(self.problems) >= MAX_PROBLEMS:
                    break
                if self.n_transactions % _PROGRESS_EVERY == 0:
                    self._show()
            self._check(batch, pool, n_threads)
        self._show()

    def _check(self, batch: list[tuple[int, Signed]], pool: ThreadPoolExecutor, n_threads: int) -> None:
        parts = [batch[k::n_threads] for k in range(n_threads)]
        for problems in pool.map(_unsigned, parts):
            self.problems += problems

    def result(self, started: float) -> Verification:
        if self.height == 0:
            self.problems.append("There is no transaction in it, not even the one that opens a ledger.")
        if self.trusted_key is not None and not self.trusted:
            self.problems.append(f"No checkpoint is signed by the trusted key {self.trusted_key[:16]}.")
        if self.anchor is not None and not self.anchored:
            self.problems.append(
                f"Transaction {self.anchor[0]} with hash {self.anchor[1][:16]} is not among those "
                "verified: the journal was rewritten or cut off, or this began behind it."
            )
        problems = tuple(self.problems[:MAX_PROBLEMS])
        seconds = time.perf_counter() - started
        return Verification(not problems, self.n_transactions, self.n_signatures, problems, seconds)

    def _step(self, height: int, data: object, digest: object) -> list[Signed]:
        """Check one transaction but for its signatures, which are returned."""
        what = f"Transaction {height}"
        self.n_transactions += 1
        if not (isinstance(data, bytes) and isinstance(digest, bytes)):
            self.problems.append(f"{what} is no bytes: the file is damaged.")
            return []
        previous, self.head = self.head, digest
        if height != self.height + 1:
            self.problems.append(f"{what} follows transaction {self.height}: one is missing or moved.")
        if chained(previous, data) != digest:
            self.problems.append(f"{what} does not have the hash that it claims: it or the one before was changed.")
        self.height = height
        self.anchored |= self.anchor == (height, digest.hex())
        try:
            if height == 1:
                self.ledger_id = ledger_of(data)
            body = decoded(data)
            if self.signatures and encoded(body) != data:
                raise LedgerError("its bytes are not the one form that they may have.")
            signed = self._signed(body, height - 1, previous)
            self.book.apply(height, body)
        except (FederationError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            told = str(error) if isinstance(error, FederationError) else f"it is malformed ({error!r:.80})."
            self.problems.append(f"{what}: {told}")
            return []
        self.n_signatures += len(signed)
        return signed

    def _signed(self, body: dict[str, Any], height: int, head: bytes) -> list[Signed]:
        if body["kind"] == "checkpoint":
            signed = signed_checkpoint(self.ledger_id, height, head, body)
            if self.trusted_key == signed.verify_key:
                signed.check()
                self.trusted = True
            return [signed] if self.signatures else []
        if body["kind"] == "settle" and self.signatures:
            settlement = Settlement.from_dict(body["settlement"])
            settlement.check_form()
            return list(settlement.signed())
        return []

    def _show(self) -> None:
        self.on_progress(Progress("verifying the ledger", self.n_transactions, self.total, "transactions"))


def signed_checkpoint(ledger_id: str, height: int, head: bytes, body: dict[str, Any]) -> Signed:
    """The signature of a checkpoint that stands behind transaction ``height``, to be checked."""
    if body["head"] != head.hex():
        raise LedgerError("the checkpoint is of another chain of transactions.")
    message = checkpoint_statement(ledger_id, height, head.hex(), Book.of(body).digest)
    return Signed("the checkpoint", body["signer"], body["signature"], message)


def _unsigned(batch: list[tuple[int, Signed]]) -> list[str]:
    problems = []
    for height, signed in batch:
        try:
            signed.check()
        except BadSignature as error:
            problems.append(f"Transaction {height}: {error}")
    return problems


def _begin_at_checkpoint(connection: sqlite3.Connection, walk: _Walk) -> None:
    """Set the walk behind the last checkpoint of the trusted key; its signature bears all before it."""
    rows = connection.execute("SELECT height, body FROM journal WHERE height > 1 ORDER BY height DESC")
    for height, data in rows:
        if not isinstance(data, bytes) or b'"kind":"checkpoint"' not in data:
            continue
        try:
            body = decoded(data)
            if body["kind"] != "checkpoint" or body["signer"] != walk.trusted_key:
                continue
            first, previous = (
                connection.execute(f"SELECT {column} FROM journal WHERE height = ?", (at,)).fetchone()[0]  # noqa: S608
                for column, at in (("body", 1), ("hash", height - 1))
            )
            walk.ledger_id = ledger_of(first)
            signed_checkpoint(walk.ledger_id, height - 1, previous, body).check()
            walk.book, walk.height, walk.head, walk.trusted = Book.of(body), height - 1, previous, True
            walk.anchored = walk.anchor == (walk.height, walk.head.hex())
        except (FederationError, KeyError, TypeError, ValueError, AttributeError) as error:
            walk.problems.append(f"Transaction {height}, the checkpoint to begin at: {error}")
        return
