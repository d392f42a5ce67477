"""A party's own log: what it was asked, what it refused, and what its model raised. It stays on its owner's machine."""

from __future__ import annotations

import logging
import os
import re
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import cast

from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.folders import state_folder
from fi_workbench.core.plain_text import clean
from fi_workbench.session.asked import Asked

MAX_FILE_BYTES = 2**20
N_OLD_FILES = 3

_OF_THE_MODEL = "fi_workbench.protocol.party_side"
"""The logger in which a party side keeps what it tells nobody else."""


class OwnerLog:
    """A file of lines that rotates at a megabyte; with its predecessors it never takes more than four.

    Parameters
    ----------
    path : path
        Made where there is none, for its owner alone.
    party : str
        Of the parties of this process, the one whose model's exceptions are kept here.

    Raises
    ------
    InvalidOption
        It cannot be written there.
    """

    def __init__(self, path: Path, party: str) -> None:
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = _Rotating(path, maxBytes=MAX_FILE_BYTES, backupCount=N_OLD_FILES, encoding="utf-8")
        except OSError as error:
            raise InvalidOption(
                f"No log can be kept in {path}: {error.strerror or error}. Name another file."
            ) from error
        shown = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        shown.converter = time.gmtime
        self._file.setFormatter(shown)
        # side by side with other parties of this process, each hears of its own model only
        self._file.addFilter(lambda record: record.name != _OF_THE_MODEL or _is_of(record, party))
        logging.getLogger(_OF_THE_MODEL).addHandler(self._file)

    def wrote(self, text: str) -> None:
        """One line."""
        self._file.handle(logging.makeLogRecord({"name": __name__, "msg": "%s", "args": (clean(text, 500),)}))

    def asked(self, asked: Asked) -> None:
        """One line for a question: who asked what, and what came of it."""
        fields = [
            f"phase={asked.phase}", f"round={asked.round_id or '-'}", f"client={asked.client or '-'}",
            f"rule={asked.rule or '-'}", f"mechanism={asked.mechanism or '-'}", f"n_queries={asked.n_queries}",
            f"seconds={asked.seconds:.6f}",
        ]  # fmt: skip
        self.wrote(" ".join([asked.outcome, *fields, *([f"reason={asked.reason}"] if asked.reason else [])]))

    def close(self) -> None:
        """Write no more."""
        logging.getLogger(_OF_THE_MODEL).removeHandler(self._file)
        self._file.close()


def usual_path(party: str, fingerprint: str) -> Path:
    """Where a party's log goes unless its owner says otherwise."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", party)
    return state_folder("parties") / f"{plain}-{fingerprint}.log"


class _Rotating(RotatingFileHandler):
    """For its owner alone; a full disk costs lines, not answers."""

    def _open(self) -> TextIOWrapper:
        def opener(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        return cast(TextIOWrapper, open(self.baseFilename, self.mode, encoding=self.encoding, opener=opener))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Go on: what cannot be written is lost."""


def _is_of(record: logging.LogRecord, party: str) -> bool:
    return isinstance(record.args, tuple) and bool(record.args) and record.args[0] == party
