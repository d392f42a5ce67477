"""One kernel at a time for work that several kernels would otherwise do at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from fi_workbench.core.progress import OnProgress, Progress

_POLL_SECONDS = 0.5


@contextmanager
def exclusive(path: Path, task: str, on_progress: OnProgress) -> Iterator[None]:
    """Hold the lock of a file that is to be made; the operating system frees it when its holder dies.

    Parameters
    ----------
    path : Path
        The file; the lock is ``<name>.lock`` beside it.
    task : str
        What it is for, e.g. ``"training party A"``.
    on_progress : callable
        Hears ``waiting for another kernel: <task>`` and the seconds waited; an exception raised in it ends the wait.
    """
    # not thread-local: a lock taken in one thread may be let go in another, as generators of notebooks do
    lock = FileLock(path.with_name(f"{path.name}.lock"), thread_local=False)
    started = time.monotonic()
    while True:
        try:
            lock.acquire(timeout=0 if time.monotonic() - started < _POLL_SECONDS / 10 else _POLL_SECONDS)
            break
        except Timeout:
            waited = int(time.monotonic() - started)
            on_progress(Progress(f"waiting for another kernel: {task}", waited, 0, "seconds"))
    try:
        yield
    finally:
        lock.release()
