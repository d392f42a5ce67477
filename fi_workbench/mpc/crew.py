"""Threads for a party's roles: they outlive queries, and do not hold up the interpreter's end.

Ours rather than ``concurrent.futures``, whose threads the interpreter waits for without a limit, before anything is
closed: a peer that hangs must not hold it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from fi_workbench.mpc.batch import as_batch
from fi_workbench.mpc.leaving import computing

_T = TypeVar("_T")

_IDLE_SECONDS = 30.0
"""A thread without work for this long ends."""

GRACE_SECONDS = 0.3
"""Beyond its deadline, for a call that has just noticed it to say so in its own words."""


class Unfinished(TimeoutError):
    """Calls that went on beyond their deadline."""


class Crew:
    """Daemon threads, as many as are busy at once.

    Parameters
    ----------
    name : str
        For the threads' names.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._n_idle = 0  # threads that wait for work of which none is on its way to them
        self._closed = False

    def start(self, call: Callable[[], None]) -> None:
        """Run ``call``, which must not raise, in a thread that waits, or in a new one."""
        with self._lock:
            if self._n_idle:
                self._n_idle -= 1
                self._work.put(call)
                return
        threading.Thread(target=self._run, args=(call,), name=self._name, daemon=True).start()

    def run(self, calls: Sequence[Callable[[], _T]], end: float) -> list[_T]:
        """Run all at once, the first in this thread; what they return, in their order.

        The first exception of any of them is raised as soon as the first call is done: whoever makes the calls sees to
        it that one's failure ends the others.

        Parameters
        ----------
        calls : sequence of callable
        end : float
            Monotonic seconds.

        Raises
        ------
        Unfinished
            Some were still at it a moment after ``end``.
        """
        done = threading.Condition()
        results: dict[int, _T] = {}
        failures: list[BaseException] = []

        def one(number: int, call: Callable[[], _T]) -> None:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 (raised in the thread that waits)
                with done:
                    failures.append(error)
                    done.notify_all()
            else:
                with done:
                    results[number] = result
                    done.notify_all()

        for number, call in enumerate(calls[1:], start=1):
            self.start(partial(one, number, call))
        if calls:
            with as_batch():
                one(0, calls[0])
        with done:
            left = max(0.0, end + GRACE_SECONDS - time.monotonic())
            done.wait_for(lambda: failures or len(results) == len(calls), left)
            if failures:
                raise failures[0]
            if len(results) < len(calls):
                raise Unfinished(f"{len(calls) - len(results)} of {len(calls)} calls went on beyond their deadline.")
        return [results[number] for number in range(len(calls))]

    def close(self) -> None:
        """Threads end when they are done."""
        with self._lock:
            self._closed = True
            n_idle, self._n_idle = self._n_idle, 0
        for _ in range(n_idle):
            self._work.put(None)

    def _run(self, call: Callable[[], None]) -> None:
        work: Callable[[], None] | None = call
        while work is not None:
            with computing(), as_batch():
                work()
            with self._lock:
                if self._closed:
                    return
                self._n_idle += 1
            work = self._next()

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._work.get(timeout=_IDLE_SECONDS)
        except queue.Empty:
            with self._lock:
                try:
                    return self._work.get_nowait()  # was put in between, and counts on a thread
                except queue.Empty:
                    # those on their way are counted off already: what remains is idle threads, of which this is one
                    if self._n_idle:
                        self._n_idle -= 1
                    return None
