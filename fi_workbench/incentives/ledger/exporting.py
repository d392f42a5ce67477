"""A ledger's journal as text: JSON lines or CSV, which a third person verifies without the file."""

from __future__ import annotations

import csv
import json
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO, TypeAlias

from fi_workbench.core.errors import LedgerError, NotALedger, UnknownName
from fi_workbench.incentives.ledger.book import decoded

Row: TypeAlias = tuple[int, bytes, bytes]
"""Height, bytes and hash of a transaction."""

FORMATS = (".csv", ".jsonl")
_COLUMNS = ["height", "hash", "transaction"]


def export(connection: sqlite3.Connection, path: Path) -> Path:
    """Write the journal to ``path``, which appears whole or not at all.

    Each JSON line has ``height``, ``hash`` (hexadecimal) and ``transaction``, the exact text that was hashed; a CSV
    file has the same columns.

    Raises
    ------
    UnknownName
        For another ending.
    LedgerError
        If it cannot be written there.
    """
    if path.suffix not in FORMATS:
        raise UnknownName("ledger format", path.suffix or str(path), FORMATS)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # two may export to one path at once
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            _write(connection, file, as_table=path.suffix == ".csv")
        return temporary.replace(path)
    except OSError as error:
        raise LedgerError(f"The export cannot be written to {path}: {error}.") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def _write(connection: sqlite3.Connection, file: TextIO, as_table: bool) -> None:
    table = csv.writer(file)
    if as_table:
        table.writerow(_COLUMNS)
    for height, body, digest in connection.execute("SELECT height, body, hash FROM journal ORDER BY height"):
        row = [height, digest.hex(), body.decode()]
        if as_table:
            table.writerow(row)
        else:
            file.write(json.dumps(dict(zip(_COLUMNS, row, strict=True)), ensure_ascii=False) + "\n")


def rows_of(path: Path) -> Iterator[Row]:
    """The transactions of an export.

    Raises
    ------
    NotALedger
        At the first line that is none.
    LedgerError
        If the file cannot be read.
    UnknownName
        For another ending.
    """
    if path.suffix not in FORMATS:
        raise UnknownName("ledger format", path.suffix or str(path), FORMATS)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                csv.field_size_limit(2**31 - 1)
                for row in csv.DictReader(file, strict=True):
                    yield int(row["height"]), row["transaction"].encode(), bytes.fromhex(row["hash"])
            else:
                for line in file:
                    whole = json.loads(line)
                    yield int(whole["height"]), whole["transaction"].encode(), bytes.fromhex(whole["hash"])
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise NotALedger(f"{path} is no export of a ledger ({type(error).__name__}: {error}).") from error
    except OSError as error:
        raise LedgerError(f"The export {path} cannot be read: {error}.") from error


def ledger_of(data: bytes) -> str:
    """The id of a ledger, from its first transaction.

    Raises
    ------
    LedgerError
        If that does not open one.
    """
    body = decoded(data)
    if body["kind"] != "open" or not isinstance(body.get("ledger"), str):
        raise LedgerError("it does not open a ledger.")
    return str(body["ledger"])
