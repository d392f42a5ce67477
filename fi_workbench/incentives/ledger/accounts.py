"""What a ledger says: balances, open holds and transactions, read from its file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fi_workbench.core.errors import InsufficientFunds, LedgerError, RoundClosed, UnknownRound
from fi_workbench.incentives.ledger.amounts import units
from fi_workbench.incentives.ledger.book import GENESIS, Book, Hold, Posting, closes, decoded, postings


@dataclass(frozen=True)
class Account:
    """One account: an Ed25519 key, or ``outside``.

    Parameters
    ----------
    key, name : str
    balance : int
        Micro-units that it can spend.
    held : int
        Micro-units in escrow for its open rounds, beside the balance.
    """

    key: str
    name: str
    balance: int
    held: int


@dataclass(frozen=True)
class OpenHold:
    """A round's budget in escrow, in micro-units; ``expires_at`` is in seconds since the epoch."""

    round_id: str
    client_key: str
    amount: int
    expires_at: float


@dataclass(frozen=True)
class Entry:
    """One transaction of the journal.

    Parameters
    ----------
    height : int
        From 1.
    at : float
        Seconds since the epoch, by the clock of who booked it.
    kind : str
        One of :data:`~fi_workbench.incentives.ledger.book.KINDS`.
    round_id : str or None
    postings : tuple of Posting
        Their amounts sum to 0.
    body : mapping
        All of its content.
    hash : str
        In hexadecimal.
    """

    height: int
    at: float
    kind: str
    round_id: str | None
    postings: tuple[Posting, ...]
    body: Mapping[str, Any]
    hash: str


@dataclass(frozen=True)
class Checkpoint:
    """Who vouched for the first ``height`` transactions; kept elsewhere, it shows when a journal was cut off."""

    height: int
    head: str
    book_digest: str
    signer: str


def head(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """Height and hash of the last transaction."""
    row = connection.execute("SELECT height, hash FROM journal ORDER BY height DESC LIMIT 1").fetchone()
    return (0, GENESIS) if row is None else (int(row[0]), bytes(row[1]))


def balance(connection: sqlite3.Connection, key: str) -> int:
    """Micro-units in an account; 0 for one that was never seen."""
    row = connection.execute("SELECT amount FROM balance WHERE account = ?", (key,)).fetchone()
    return 0 if row is None else int(row[0])


def round_of(connection: sqlite3.Connection, round_id: str) -> tuple[Hold, int | None] | None:
    """The hold of a round and the height at which it was closed, or None where nothing was held."""
    row = connection.execute(
        "SELECT client, amount, expires, held_at, closed_at FROM round WHERE round_id = ?", (round_id,)
    ).fetchone()
    return None if row is None else (Hold(*row[:4]), row[4])


def holds(connection: sqlite3.Connection, key: str | None) -> tuple[OpenHold, ...]:
    """Open holds of one client, or all, the oldest first; found by the index of open rounds."""
    rows = connection.execute(
        "SELECT round_id, client, amount, expires / 1000.0 FROM round INDEXED BY open_round"
        " WHERE closed_at IS NULL AND client = coalesce(?, client) ORDER BY held_at", (key,),
    )  # fmt: skip
    return tuple(OpenHold(*row) for row in rows)


def check_funds(connection: sqlite3.Connection, key: str, amount: int) -> None:
    """Nothing, if an account can spend ``amount`` micro-units.

    Raises
    ------
    InsufficientFunds
        Otherwise.
    """
    available = balance(connection, key)
    if available < amount:
        raise InsufficientFunds(
            key, amount, available,
            f"{units(amount)} are asked of account {key[:16]}, which has {units(available)}. "
            f"Deposit at least {units(amount - available)}: ledger.deposit({key[:16]!r}..., {amount - available}), "
            "or `fi-workbench ledger deposit FILE KEY AMOUNT`.",
        )  # fmt: skip


def open_round(connection: sqlite3.Connection, round_id: str) -> Hold:
    """The hold of a round that is open.

    Raises
    ------
    UnknownRound, RoundClosed
    """
    found = round_of(connection, round_id)
    if found is None:
        raise UnknownRound(f"Nothing is held for round {round_id}; hold its budget before it begins.")
    hold, closed_at = found
    if closed_at is not None:
        raise RoundClosed(f"Round {round_id} was closed by transaction {closed_at}; it is paid or refunded once.")
    return hold


def listed(connection: sqlite3.Connection) -> tuple[Account, ...]:
    """All accounts, by name and key."""
    held: dict[str, int] = {}
    for hold in holds(connection, None):
        held[hold.client_key] = held.get(hold.client_key, 0) + hold.amount
    rows = connection.execute("SELECT account, name, amount FROM balance ORDER BY name, account")
    return tuple(Account(key, name, amount, held.get(key, 0)) for key, name, amount in rows)


def entries(connection: sqlite3.Connection, key: str | None, last: int) -> tuple[Entry, ...]:
    """The last transactions, of one account or all, the newest first.

    Raises
    ------
    LedgerError
        If one of them is none: somebody wrote into the file.
    """
    found: list[Entry] = []
    if last <= 0:
        return ()
    for height, data, digest in connection.execute("SELECT height, body, hash FROM journal ORDER BY height DESC"):
        if key is not None and key.encode() not in data:
            continue
        try:
            entry = _entry(height, decoded(data), digest)
        except (LedgerError, KeyError, TypeError, ValueError, IndexError) as error:
            raise LedgerError(f"Transaction {height} is malformed: verify this ledger to see what is wrong.") from error
        if key is None or any(posting.account == key for posting in entry.postings):
            found.append(entry)
        if len(found) == last:
            break
    return tuple(found)


def _entry(height: int, body: dict[str, Any], digest: bytes) -> Entry:
    round_id = body["round"] if body["kind"] == "hold" else closes(body)
    return Entry(height, body["at"] / 1000, body["kind"], round_id, postings(body), body, digest.hex())


def book(connection: sqlite3.Connection) -> Book:
    """Balances and open holds as the tables have them."""
    rows = connection.execute(
        "SELECT round_id, client, amount, expires, held_at FROM round INDEXED BY open_round WHERE closed_at IS NULL"
    )
    open_rounds = {row[0]: Hold(*row[1:]) for row in rows}
    balances = {row[0]: list(row[1:]) for row in connection.execute("SELECT account, name, amount FROM balance")}
    n_rounds = connection.execute("SELECT count(*) FROM round").fetchone()[0]
    return Book(balances, open_rounds, {}, n_rounds)
