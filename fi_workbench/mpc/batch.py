"""Threads that compute for others, as the system's scheduler is told of them.

A role that has sent one message has mostly more to do: its own part of the next. On a computer with few processors
whoever gets the message would cut it off; batch threads do not cut off one another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def as_batch() -> Iterator[None]:
    """This thread is one of them; only on Linux, and where it is scheduled in the ordinary way."""
    if sys.platform != "linux" or os.sched_getscheduler(0) != os.SCHED_OTHER:
        yield
        return
    _set(os.SCHED_BATCH)
    try:
        yield
    finally:
        _set(os.SCHED_OTHER)


def _set(policy: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, policy, os.sched_param(0))
