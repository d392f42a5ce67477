"""Lots made ahead, in the background, for the sizes of batch that are being asked.

Why it cannot deadlock. Which lots are made follows from the questions alone (:mod:`fi_workbench.mpc.lots`), so all
parties make the same ones. Each size has a thread of its own, which makes its lots in the order of their index, and in
each lot the triples in the order of their number. Take, of one size, the first (index, triple) that is not done at all
three roles: all three have done what comes before, so each is at it, or held back at its door; and the three roles of
one triple wait for one another in no circle. A thread is held back only while nobody here waits for its lot: by a full
pool, or while an answer is under way and a moment after it. Once the lot is asked for, it is asked for at all, and
nothing holds it back.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from fi_workbench.core.errors import Closed
from fi_workbench.mpc.batch import as_batch
from fi_workbench.mpc.leaving import computing
from fi_workbench.mpc.streams import Lot

_SETTLE_SECONDS = 0.01
"""After an answer: others may still be at their parts of it, on the same computer perhaps, and it comes first."""

_IDLE_SECONDS = 30.0
"""A thread to which no lot is owed for this long ends."""

_STOP_SECONDS = 0.8
"""How long :meth:`Pool.close` waits for threads that are in the middle of a computation."""


class Made(Protocol):
    """One lot's material of all roles of a party."""

    @property
    def n_bytes(self) -> int:
        """What it takes in memory."""


_M = TypeVar("_M", bound=Made)


@dataclass(eq=False)
class _Line(Generic[_M]):
    """The lots of one size of batch."""

    size: int
    owed: deque[int] = field(default_factory=deque)
    made: dict[int, _M] = field(default_factory=dict)
    floor: int = 0  # earlier ones are dropped as soon as they are made
    making: int | None = None
    wanted: int = -1  # the last lot that an answer waits for
    retired: bool = False
    last_bytes: int = 0
    thread: threading.Thread | None = None

    @property
    def first(self) -> int | None:
        """The lot that is under way, or comes next."""
        return self.making if self.making is not None else self.owed[0] if self.owed else None

    @property
    def is_wanted(self) -> bool:
        """Whether an answer waits for it, or for a later one."""
        return self.first is not None and self.first <= self.wanted

    def drop(self) -> None:
        """Forget those before the floor."""
        self.made = {index: material for index, material in self.made.items() if index >= self.floor}


class Pool(Generic[_M]):
    """The material of lots that were not asked for yet.

    Parameters
    ----------
    make : callable
        Makes the material of a lot: (lot, pause), where ``pause()`` is called between the roles and returns when the
        next may go on; called in a thread of the pool's.
    max_bytes : int
        No more is made ahead, but for one lot of each size of batch; at 0 nothing is.
    failed : callable
        Told what ``make`` raised, in the thread of the pool's.
    name : str
        For the threads' names.
    """

    def __init__(
        self,
        make: Callable[[Lot, Callable[[], None]], _M],
        max_bytes: int,
        failed: Callable[[BaseException], object],
        name: str,
    ) -> None:
        self._make, self._failed, self._name = make, failed, name
        self._max_bytes = max_bytes
        self._lines: dict[int, _Line[_M]] = {}
        self._n_answering = 0
        self._settled_at = 0.0
        self._closed = False
        self._asked_last = 0
        self._changed = threading.Condition(threading.Lock())  # guards all of the above

    @property
    def ready(self) -> int:
        """Lots that are made, of the size asked last."""
        with self._changed:
            line = self._lines.get(self._asked_last)
            return len(line.made) if line else 0

    @property
    def producing(self) -> bool:
        """Whether a lot is being made."""
        with self._changed:
            return any(line.making is not None for line in self._lines.values())

    @property
    def n_bytes(self) -> int:
        """Of all material that is held."""
        with self._changed:
            return self._held()

    def owe(self, size: int, indices: range, floor: int) -> None:
        """Make these lots too, and drop those before ``floor``; the size is the one asked last from here on."""
        with self._changed:
            line = self._lines.setdefault(size, _Line(size))
            line.owed.extend(indices)
            line.floor, line.retired = max(line.floor, floor), False
            line.drop()
            self._asked_last = size
            if not self._n_answering:  # else when it is taken, or after the answer: nothing is woken beside that
                self._wake(line)

    def retire(self, size: int, floor: int) -> None:
        """Drop lots of that size before ``floor``, also those yet to be made: others may wait for this party's part."""
        with self._changed:
            line = self._lines.get(size)
            if line is not None:
                line.floor, line.retired = max(line.floor, floor), True
                line.drop()
                self._changed.notify_all()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While it lasts, and a moment longer, nothing is begun that no answer waits for."""
        with self._changed:
            self._n_answering += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_answering -= 1
                self._settled_at = time.monotonic() + _SETTLE_SECONDS
                for line in self._lines.values():
                    self._wake(line)

    def take(self, lot: Lot, end: float) -> _M:
        """The material of a lot, given out once; waits until it is made.

        Parameters
        ----------
        lot : Lot
            Owed, and not taken before.
        end : float
            Monotonic seconds.

        Raises
        ------
        TimeoutError
            It was not made by then.
        Closed
            The pool was closed.
        """
        with self._changed:
            line = self._lines[lot.n_queries]
            line.wanted = max(line.wanted, lot.index)
            if lot.index not in line.made:
                self._wake(line)
            left = max(0.0, end - time.monotonic())
            self._changed.wait_for(lambda: self._closed or lot.index in line.made, left)
            if self._closed:
                raise Closed("The pool was closed while a lot was waited for.")
            if lot.index not in line.made:
                raise TimeoutError(f"Lot {lot.index} of {lot.n_queries} queries was not made in time.")
            if not self._n_answering:
                self._changed.notify_all()  # there is room
            return line.made.pop(lot.index)

    def stop(self) -> None:
        """Make no more, and drop all; whoever waits for a lot gets :class:`Closed`."""
        with self._changed:
            self._closed = True
            for line in self._lines.values():
                line.owed.clear()
                line.made.clear()
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and wait a moment for the threads."""
        self.stop()
        with self._changed:
            threads = [line.thread for line in self._lines.values() if line.thread is not None]
        last = time.monotonic() + _STOP_SECONDS
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, last - time.monotonic()))

    def _wake(self, line: _Line[_M]) -> None:
        self._changed.notify_all()
        if line.thread is None and line.owed and not self._closed:
            line.thread = threading.Thread(target=self._run, args=(line,), name=self._name, daemon=True)
            line.thread.start()

    def _may_go(self, line: _Line[_M], now: float) -> bool:
        if self._closed or line.is_wanted:
            return True
        fits = not line.made or self._held() + line.last_bytes <= self._max_bytes
        quiet = not self._n_answering and now >= self._settled_at
        return (line.retired or (self._max_bytes > 0 and fits)) and quiet

    def _held(self) -> int:
        return sum(material.n_bytes for line in self._lines.values() for material in line.made.values())

    def _pause(self, line: _Line[_M]) -> None:
        with self._changed:
            # no question of room here: what was begun is finished
            self._changed.wait_for(lambda: self._closed or line.is_wanted or not self._n_answering)
            if self._closed:
                raise Closed("The pool was closed.")

    def _next(self, line: _Line[_M]) -> bool:
        """Wait until the next lot may be made; False where none will be."""
        idle_at = time.monotonic() + _IDLE_SECONDS
        while not self._closed and (line.owed or not line.retired):
            now = time.monotonic()
            if line.owed and self._may_go(line, now):
                return True
            if not line.owed and now >= idle_at:
                return False
            settles = line.owed and now < self._settled_at
            self._changed.wait(self._settled_at - now if settles else None if line.owed else idle_at - now)
        return False

    def _run(self, line: _Line[_M]) -> None:
        while True:
            with self._changed:
                if not self._next(line):
                    line.thread = None
                    return
                line.making = line.owed.popleft()
                lot = Lot(line.size, line.making)
            try:
                with computing(), as_batch():
                    material = self._make(lot, lambda: self._pause(line))
            except BaseException as error:  # noqa: BLE001 (ends the session, which tells whoever asks)
                with self._changed:
                    line.making, line.thread = None, None
                    closed = self._closed
                if not closed:
                    self._failed(error)
                return
            with self._changed:
                line.making = None
                line.last_bytes = material.n_bytes
                if lot.index >= line.floor and not self._closed:
                    line.made[lot.index] = material
                self._changed.notify_all()
