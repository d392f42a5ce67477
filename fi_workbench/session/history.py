"""The history of rounds: appended to a file as rounds end, so that a killed kernel loses nothing."""

from __future__ import annotations

import io
import json
import os
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from fi_workbench.core.errors import CorruptFile, UnknownName
from fi_workbench.core.folders import set_aside, state_folder
from fi_workbench.core.records import RoundRecord
from fi_workbench.session.packed import Packed
from fi_workbench.session.rows import COLUMNS, party_rows, round_entry

Keep = Literal["scalars", "answers"]

_BEGINNING = '{"round": '
"""How the line of a round begins."""

_NEEDED = frozenset(
    {"round", "round_id", "started", "settings", "parties", "absent", "cost", "contributions", "digest"}
)
"""What every round has."""


class History:
    """Rounds in the order in which they ended.

    Parameters
    ----------
    path : path, optional
        A JSON-lines file; one that exists is read and appended to. None keeps the history in memory only.
    keep : {"scalars", "answers"}
        Scalars per round and party, or all arrays too.

    Raises
    ------
    CorruptFile
        If ``path`` holds something else than a history; the file is set aside under a name that the message gives.
        A last line that was cut off by a kill is set aside too, with a warning, and the rest is kept.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, keep: Keep = "scalars") -> None:
        if keep not in ("scalars", "answers"):
            raise UnknownName("history keep", keep, ("scalars", "answers"))
        self.path = None if path is None else Path(path)
        self.keep = keep
        self._entries = Packed()
        for entry in _read(self.path) if self.path is not None and self.path.exists() else ():
            self._entries.append(json.dumps(entry))
        self._file: io.FileIO | None = None
        self._unwritten = b""  # of a disk that was full; in the file's order
        self._closed = False
        self._lock = threading.Lock()

    @classmethod
    def automatic(cls, keep: Keep = "scalars") -> History:
        """A history in a file of its own in the state folder; the file appears with the first round."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        return cls(state_folder("history") / f"{stamp}-{os.getpid()}-{os.urandom(3).hex()}.jsonl", keep)

    @classmethod
    def of(cls, given: str | os.PathLike[str] | History | None, keep: Keep = "scalars") -> History:
        """A history as people ask for one: ``"auto"``, a path, None for memory only, or one that is there."""
        if isinstance(given, History):
            return given
        return cls.automatic(keep) if given == "auto" else cls(given, keep)

    def append(self, record: RoundRecord) -> None:
        """Add one round; on return it is in the file's hands, and a kill of this process cannot take it back.

        Where the file cannot be written (a full disk) the round stays in memory, a warning says so once, and each later
        round tries again.
        """
        entry = round_entry(record, arrays=self.keep == "answers")
        line = json.dumps(entry, allow_nan=False)
        with self._lock:
            self._entries.append(line)
            if self.path is not None:
                self._write(self.path, line.encode() + b"\n")
                if self._closed:  # a round that was under way
                    self._close_file()

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self._lock:
            return self._entries.snapshot()

    def __getitem__(self, index: int) -> dict[str, Any]:
        with self._lock:
            return self._entries[index]

    def table(self) -> pd.DataFrame:
        """A tidy table: one row for each round and party, one column for each variable."""
        return pd.DataFrame([row for entry in self for row in party_rows(entry)], columns=list(COLUMNS))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the history to ``path``: JSON lines (all), CSV or parquet (the tidy table), by its ending.

        Raises
        ------
        UnknownName
            For another ending.
        """
        target = Path(path)
        if target.suffix == ".jsonl":
            temporary = target.with_name(target.name + ".part")
            temporary.write_text("".join(json.dumps(entry) + "\n" for entry in self), encoding="utf-8")
            temporary.replace(target)
        elif target.suffix == ".csv":
            self.table().to_csv(target, index=False)
        elif target.suffix == ".parquet":
            self.table().to_parquet(target, index=False)
        else:
            raise UnknownName("history format", target.suffix or str(target), (".csv", ".jsonl", ".parquet"))
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> History:
        """A history from a JSON-lines file; later rounds are appended to it."""
        if not Path(path).exists():
            raise FileNotFoundError(f"There is no history file {path}.")
        return cls(path)

    def close(self) -> None:
        """Close the file; the history stays readable."""
        with self._lock:
            self._closed = True
            self._close_file()

    def _write(self, path: Path, line: bytes) -> None:
        waiting, self._unwritten = bool(self._unwritten), self._unwritten + line
        try:
            if self._file is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("ab", buffering=0)
            while self._unwritten:
                self._unwritten = self._unwritten[self._file.write(self._unwritten) :]
        except OSError as error:
            if not waiting:
                warnings.warn(
                    f"The history cannot be written to {path} ({error.strerror}). Rounds go on and stay in memory; "
                    "they are written as soon as that is possible, or save them elsewhere: history.save(path).",
                    stacklevel=3,
                )

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _read(path: Path) -> list[dict[str, Any]]:
    entries = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise _corrupt(path, "it is not text") from error
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            entry = json.loads(line)
            if not isinstance(entry, dict) or not entry.keys() >= _NEEDED:
                raise ValueError("not a round")
        except ValueError as error:
            # no newline behind what begins like a round: cut off by a kill while it was written
            if number == len(lines) and _BEGINNING.startswith(line[: len(_BEGINNING)]):
                _set_tail_aside(path, line)
                break
            raise _corrupt(path, f"line {number} is not a round of a federation") from error
        entries.append(entry)
    if lines and lines[-1] and len(entries) == sum(map(bool, lines)):
        with path.open("a", encoding="utf-8") as file:  # a whole last line without its newline
            file.write("\n")
    return entries


def _set_tail_aside(path: Path, tail: str) -> None:
    kept = path.with_name(f"{path.name}.cut-off")
    with kept.open("a", encoding="utf-8") as file:
        file.write(tail + "\n")
    # in place: another kernel may be appending to the file, and must not be left with one that has no name
    os.truncate(path, path.stat().st_size - len(tail.encode()))
    warnings.warn(
        f"The last round in {path} was cut off while it was written; that line is kept in {kept}.", stacklevel=4
    )


def _corrupt(path: Path, why: str) -> CorruptFile:
    if path.is_dir():
        return CorruptFile(f"{path} is a folder; a history is a file. Give a path that ends in .jsonl.")
    return CorruptFile(
        f"{path} is not a history ({why}); it was set aside as {set_aside(path)}. Ask again to begin anew."
    )
