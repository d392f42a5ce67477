"""Whoever can reach a port can make its server log: only so many lines a minute are let through."""

from __future__ import annotations

import logging
import threading
import time


class FewRecords(logging.Filter):
    """Lets through ``n`` records a minute, the last of them with a word on the rest."""

    def __init__(self, n: int = 20) -> None:
        super().__init__()
        self._n, self._lock = n, threading.Lock()
        self._minute, self._count = -1, 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this record is one of the few."""
        with self._lock:
            minute = int(time.monotonic() // 60)
            if minute != self._minute:
                self._minute, self._count = minute, 0
            self._count += 1
            if self._count == self._n:
                record.msg, record.args = f"{record.getMessage()} (no more of these for a minute)", ()
            return self._count <= self._n
