"""What is still open when the interpreter ends is closed before that, and what it computes is waited for.

A daemon thread that is cut off within torch's own code would end the process with an abort.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakSet

_EXIT_SECONDS = 20.0
"""For what is being computed: one layer of a large batch on a busy machine. What waits for a peer stops at once."""


class Closable(Protocol):
    """What has threads that compute."""

    def close(self) -> None:
        """Have them stop."""


_open: WeakSet[Closable] = WeakSet()
_changed = threading.Condition(threading.Lock())
_computing: set[object] = set()  # one for each thread that is at it; guarded by _changed


def close_at_exit(one: Closable) -> None:
    """Close it when the interpreter ends, unless it is gone by then."""
    _open.add(one)


@contextmanager
def computing() -> Iterator[None]:
    """The interpreter's end waits for this thread, which stops soon after what it works for was closed."""
    mine = object()
    with _changed:
        _computing.add(mine)
    try:
        yield
    finally:
        with _changed:
            _computing.remove(mine)
            _changed.notify_all()


@atexit.register
def _close_all() -> None:
    for one in list(_open):
        one.close()
    with _changed:
        _changed.wait_for(lambda: not _computing, _EXIT_SECONDS)
