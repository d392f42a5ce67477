"""One torch thread in this thread, where results must be the same bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Compute with one torch thread and restore the setting after.

    How torch splits a sum over threads may change its last bits, so the demo parties compute in here.
    ``torch.set_num_threads`` would change the setting of the whole process; OpenMP's own, which threadpoolctl sets,
    belongs to the calling thread alone, so parties still compute side by side.
    """
    torch.get_num_threads()  # torch's first look in a new thread would overwrite the limit
    with _openmp().limit(limits=1, user_api="openmp"):
        yield


@cache
def _openmp() -> ThreadpoolController:
    # looking for the loaded libraries takes milliseconds; torch has been imported, so its own is among them
    return ThreadpoolController()
