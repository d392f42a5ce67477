"""The ledger: who paid whom for which round, so that a third person can verify it.

A client deposits; each round's budget is held before the first message leaves; after the round it is settled on the
parties' receipts, or refunded. One state change is one transaction, in SQLite's sense and in the journal's: a kill at
any moment leaves all of it or nothing.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from fi_workbench.core.errors import (
    DuplicateRound,
    InvalidAmount,
    LedgerError,
    SettlementRefused,
)
from fi_workbench.core.identity import Identity
from fi_workbench.core.progress import OnProgress, quiet
from fi_workbench.incentives.ledger import accounts, checking, exporting, schema
from fi_workbench.incentives.ledger.accounts import Account, Checkpoint, Entry, OpenHold
from fi_workbench.incentives.ledger.amounts import MAX_TOTAL, checked_amount, units
from fi_workbench.incentives.ledger.book import OUTSIDE
from fi_workbench.incentives.ledger.journal import Journal
from fi_workbench.incentives.ledger.receipts import Settlement
from fi_workbench.incentives.ledger.signed import checked_key, checked_round

MAX_EXPIRES_SECONDS = 366 * 86_400.0
"""The longest hold: a mistaken one gives its budget back within a year."""


class Ledger:
    """A double-entry ledger in one SQLite file, of whole micro-units.

    Safe in many threads and processes: writers take turns. Balances, holds and rounds are tables kept in the same
    transaction as the journal, so that asking for one never scans; :meth:`verify` derives them anew.

    Parameters
    ----------
    path : path or None
        The file, made when it does not exist; None or ``":memory:"`` for one in memory.
    synchronous : {"NORMAL", "FULL"}
        NORMAL survives any kill of a process, and a power cut may take the last transactions, whole ones only. FULL
        waits for the disk at each.
    busy_timeout_seconds : float
        How long to wait for another process that writes.
    clock : callable
        Seconds since the epoch. Should it go backwards, a hold only lasts longer.

    Raises
    ------
    NotALedger
        If the file is something else, or of a newer version; it is left as it is.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        busy_timeout_seconds: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if synchronous not in ("NORMAL", "FULL"):
            raise LedgerError(f"synchronous is {synchronous!r}; it is 'NORMAL' or 'FULL'.")
        self.path = None if path is None or str(path) == ":memory:" else Path(path)
        self._clock = clock
        self._journal = Journal(self.path, synchronous, busy_timeout_seconds)
        with self._journal.reading() as connection:
            new = schema.is_new(connection)
        if new:
            with self._journal.transaction() as connection:
                if schema.is_new(connection):  # no other process was faster
                    schema.create(connection)
                    self._book({"kind": "open", "version": schema.VERSION, "ledger": secrets.token_hex(16)})

    # ------------------------------------------------------------------------------------------------ what changes it

    def deposit(self, key: str, amount: int, memo: str = "", name: str = "") -> int:
        """Bring ``amount`` micro-units in from outside; gives the height of the transaction.

        Raises
        ------
        InvalidAmount
            If it is no positive whole number, or more than a ledger counts.
        LedgerError
            If ``key`` is no Ed25519 key in hexadecimal.
        """
        amount = checked_amount(amount)
        body = {"kind": "deposit", "account": checked_key(key), "name": str(name), "memo": str(memo)}
        with self._journal.transaction() as connection:
            inside = -accounts.balance(connection, OUTSIDE)
            if inside + amount > MAX_TOTAL:
                raise InvalidAmount(f"A ledger counts at most {MAX_TOTAL} micro-units; {inside} are in it.")
            return self._book({**body, "amount": amount})

    def withdraw(self, key: str, amount: int, memo: str = "") -> int:
        """Take ``amount`` micro-units out; gives the height of the transaction.

        Raises
        ------
        InsufficientFunds, InvalidAmount
        """
        amount = checked_amount(amount)
        body = {"kind": "withdraw", "account": checked_key(key), "memo": str(memo), "amount": amount}
        with self._journal.transaction() as connection:
            accounts.check_funds(connection, key, amount)
            return self._book(body)

    def hold(self, round_id: str, client_key: str, amount: int, expires_seconds: float) -> int:
        """Set a round's budget aside; on return it is committed, and the round may begin.

        Parameters
        ----------
        round_id : str
            32 hexadecimal digits, used once.
        client_key : str
        amount : int
            Micro-units.
        expires_seconds : float
            From now; after that :meth:`recover` gives it back, unless it was settled.

        Raises
        ------
        InsufficientFunds, DuplicateRound, InvalidAmount
        LedgerError
            If round or key are no such identifiers, or ``expires_seconds`` is not positive or more than a year.
        """
        checked_round(round_id)
        if not 0 < _finite(expires_seconds) <= MAX_EXPIRES_SECONDS:
            raise LedgerError(f"A hold cannot expire in {expires_seconds!r} s; more than 0, at most a year.")
        amount, expires = checked_amount(amount), math.ceil((self._clock() + expires_seconds) * 1000)
        body = {"kind": "hold", "round": round_id, "account": checked_key(client_key), "amount": amount}
        with self._journal.transaction() as connection:
            if accounts.round_of(connection, round_id) is not None:
                raise DuplicateRound(f"Round {round_id} was held before; every round has an id of its own.")
            accounts.check_funds(connection, client_key, amount)
            return self._book({**body, "expires": expires})

    def settle(self, settlement: Settlement) -> int:
        """Pay the parties of a round and give the client the rest, in one transaction; gives its height.

        Raises
        ------
        SettlementRefused
            If it pays otherwise than it may, or its client or budget are not those of the hold.
        BadSignature
            If the settlement or a receipt is not signed by whom it claims.
        UnknownRound, RoundClosed
        """
        settlement.check()  # before anybody has to wait
        return self._pay(settlement)

    def _pay(self, settlement: Settlement) -> int:
        with self._journal.transaction() as connection:
            hold = accounts.open_round(connection, settlement.round_id)
            if (hold.client, hold.amount) != (settlement.client_key, settlement.budget):
                raise SettlementRefused(
                    f"The settlement of round {settlement.round_id} is of {units(settlement.budget)} by "
                    f"{settlement.client_key[:16]}; held are {units(hold.amount)} of {hold.client[:16]}."
                )
            return self._book({"kind": "settle", "settlement": settlement.to_dict()})

    def refund(self, round_id: str, reason: str) -> int:
        """Give a round's whole budget back; gives the height of the transaction.

        Raises
        ------
        UnknownRound, RoundClosed
        """
        checked_round(round_id)
        with self._journal.transaction() as connection:
            hold = accounts.open_round(connection, round_id)
            body = {"kind": "refund", "round": round_id, "account": hold.client, "amount": hold.amount}
            return self._book({**body, "reason": str(reason)})

    def recover(self, now: float | None = None) -> tuple[str, ...]:
        """Refund every hold that has expired, as after a kill; gives the rounds."""
        seconds = _finite(self._clock() if now is None else now)
        if not any(hold.expires_at <= seconds for hold in self.holds()):
            return ()  # asked before each round: it must not wait for who writes
        with self._journal.transaction():
            expired = [hold.round_id for hold in self.holds() if hold.expires_at <= seconds]
            for round_id in expired:
                self.refund(round_id, "expired")
        return tuple(expired)

    def checkpoint(self, identity: Identity) -> Checkpoint:
        """Vouch for the ledger as it stands: a signed transaction with all balances and open holds.

        A later :meth:`verify` may begin here. Verify first: the signature says that you did.
        """
        with self._journal.transaction() as connection:
            height, head = accounts.head(connection)
            book = accounts.book(connection)
            made = Checkpoint(height, head.hex(), book.digest, identity.public.verify_key.hex())
            statement = checking.checkpoint_statement(self.ledger_id, made.height, made.head, made.book_digest)
            signed = {"head": made.head, "signer": made.signer, "signature": identity.sign(statement).hex()}
            self._book({"kind": "checkpoint", **signed, **book.snapshot()})
        return made

    @contextmanager
    def bulk(self) -> Iterator[None]:
        """Everything inside as one SQLite transaction: thousands of times faster, and a kill loses all of it.

        For imports and measurements; other writers wait until it ends.
        """
        with self._journal.transaction():
            yield

    # ------------------------------------------------------------------------------------------------ what it says

    @property
    def ledger_id(self) -> str:
        """32 hexadecimal digits drawn when it was made; part of what checkpoints sign."""
        with self._journal.reading() as connection:
            return exporting.ledger_of(connection.execute("SELECT body FROM journal WHERE height = 1").fetchone()[0])

    def balance(self, key: str) -> int:
        """What an account can spend, in micro-units; 0 for one that was never seen."""
        with self._journal.reading() as connection:
            return accounts.balance(connection, key)

    def held(self, key: str) -> int:
        """What is in escrow for a client's open rounds, in micro-units."""
        return sum(hold.amount for hold in self.holds(key))

    def holds(self, key: str | None = None) -> tuple[OpenHold, ...]:
        """Open holds, of one client or all, the oldest first."""
        with self._journal.reading() as connection:
            return accounts.holds(connection, key)

    def accounts(self) -> tuple[Account, ...]:
        """Every account that was ever posted to, by name and key; ``outside`` has what is inside, negative."""
        with self._journal.reading() as connection:
            return accounts.listed(connection)

    def entries(self, key: str | None = None, last: int = 50) -> tuple[Entry, ...]:
        """The last transactions, of one account or all, the newest first; looks back until it has found so many."""
        with self._journal.reading() as connection:
            return accounts.entries(connection, key, last)

    @property
    def height(self) -> int:
        """Transactions so far."""
        with self._journal.reading() as connection:
            return accounts.head(connection)[0]

    def verify(
        self,
        since: Literal["beginning", "checkpoint"] = "beginning",
        trusted_key: str | None = None,
        signatures: bool = True,
        on_progress: OnProgress = quiet,
        known: Checkpoint | None = None,
    ) -> checking.Verification:
        """Derive everything anew and hold it against what is written; see :func:`checking.verify_file`."""
        anchor = None if known is None else (known.height, known.head)
        with self._journal.snapshot() as connection:
            return checking.verify_file(connection, since, trusted_key, signatures, on_progress, anchor)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write all that a third person needs to verify it without the file: ``.jsonl`` or ``.csv``, by the ending."""
        with self._journal.snapshot() as connection:
            return exporting.export(connection, Path(path))

    def close(self) -> None:
        """Close the file; a ledger in memory is gone."""
        self._journal.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------ inside

    def _book(self, body: Mapping[str, Any]) -> int:
        return self._journal.append(body, round(self._clock() * 1000))


def _finite(seconds: float) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise LedgerError(f"{seconds!r:.40} is no time in seconds.")
    return float(seconds)
