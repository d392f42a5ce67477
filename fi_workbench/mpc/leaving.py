"""What is still open when the interpreter ends is closed before that.

A daemon thread that is cut off within torch's own code would end the process with an abort.
"""

from __future__ import annotations

import atexit
from typing import Protocol
from weakref import WeakSet


class Closable(Protocol):
    """What has threads that compute."""

    def close(self) -> None:
        """End them; waits a moment at most."""


_open: WeakSet[Closable] = WeakSet()


def close_at_exit(one: Closable) -> None:
    """Close it when the interpreter ends, unless it is gone by then."""
    _open.add(one)


@atexit.register
def _close_all() -> None:
    for one in list(_open):
        one.close()
