"""A ledger's tables, from which balances are told, held against the book that its journal gives."""

from __future__ import annotations

import sqlite3
from itertools import islice

from fi_workbench.incentives.ledger import accounts
from fi_workbench.incentives.ledger.book import Book

_BATCH = 512


def table_problems(connection: sqlite3.Connection, book: Book, thorough: bool) -> list[str]:
    """What in the tables does not follow from the journal.

    Parameters
    ----------
    connection : sqlite3.Connection
    book : Book
        From the journal; of the closed rounds, those in it are compared.
    thorough : bool
        Whether SQLite's own structures are checked too, which takes a look at every round ever held.
    """
    found, problems = accounts.book(connection), []
    for name, derived in book.balances.items():
        if found.balances.get(name) != derived:
            problems.append(f"The balance of {name} is {found.balances.get(name)}; the journal gives {derived}.")
    problems += [
        f"The balance of {name} is not from the journal." for name in found.balances if name not in book.balances
    ]
    if found.holds != book.holds:
        problems.append("The open holds are not those of the journal.")
    if found.n_rounds != book.n_rounds:
        problems.append(f"There are {found.n_rounds} rounds; the journal gives {book.n_rounds}.")
    if problems:
        return problems  # nor need the amounts be numbers
    # a damaged page can tell a row twice, which a dictionary does not show
    total = sum(account.balance + account.held for account in accounts.listed(connection))
    if total:
        problems.append(f"All balances and holds sum to {total} micro-units instead of 0.")
    if len(accounts.holds(connection, None)) != len(book.holds):
        problems.append("The open holds are told more than once.")
    rounds = iter(book.closed.items())
    while batch := dict(islice(rounds, _BATCH)):
        marks = ",".join("?" * len(batch))
        query = f"SELECT * FROM round WHERE round_id IN ({marks})"  # noqa: S608 - nothing but marks
        written = {row[0]: row[1:] for row in connection.execute(query, tuple(batch))}
        problems += [
            f"Round {one} is not as the journal has it."
            for one, heights in batch.items()
            if written.get(one) != ("", 0, 0, *heights)
        ]
    for table in ("balance", "round") if thorough else ():
        told = [row[0] for row in connection.execute(f"PRAGMA integrity_check({table})")]
        problems += [f"The table {table} is damaged: {one}." for one in told if one != "ok"]
    return problems
