"""One torch thread at a time where results must be the same bit for bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_turnstile = threading.Lock()
_computing = threading.Lock()
_mine = threading.local()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Compute with one torch thread and restore the setting after.

    How torch splits a sum over threads may change its last bits, so the demo parties compute in here. The
    setting belongs partly to the calling thread and partly to the process: two who changed it at once would
    restore each other's value, hence one at a time. Keep the block short, one batch. The turnstile lets who
    waits go next; without it a training loop would take the lock again before a waiting prediction wakes up. A
    block within a block changes nothing.
    """
    if getattr(_mine, "inside", False):
        yield
        return
    with _turnstile:
        _computing.acquire()
    try:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        _mine.inside = True
        try:
            yield
        finally:
            _mine.inside = False
            torch.set_num_threads(before)
    finally:
        _computing.release()
