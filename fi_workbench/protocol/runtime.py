"""A party's runtime: the state of open rounds, keyed by round and gone at the deadline, and what outlives them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from fi_workbench.core.errors import Closed, Refused
from fi_workbench.core.kept import Kept
from fi_workbench.protocol.header import MAX_AGE_SECONDS

MAX_OPEN_ROUNDS = 1000
"""State of so many rounds is held at once: a flood of questions that nobody goes on with must not fill the memory."""


@dataclass(eq=False)
class OpenRound:
    """One round that this party takes part in.

    Parameters
    ----------
    expires : float
        Monotonic seconds.
    facts : object
        What the party side keeps of the question.
    state : object
        The mechanism's, between phases.
    next_phase : int
        Index of the phase that it waits for.
    turn : Lock
        Held while a message of this round is answered.
    """

    expires: float
    facts: Any
    state: Any = None
    next_phase: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)


class PartyRuntime:
    """Holds what a party must remember between messages; safe to use from several threads."""

    def __init__(self) -> None:
        self._rounds: dict[str, OpenRound] = {}
        self._seen: dict[str, float] = {}
        self._lock = threading.RLock()
        self._janitor: threading.Timer | None = None
        self._janitor_due = 0.0
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._worker: threading.Thread | None = None
        self._stopped = False
        self.kept = Kept()

    def begin(self, round_id: str, seconds: float, facts: Any, stays: bool) -> OpenRound:
        """Open a round.

        Parameters
        ----------
        stays : bool
            Whether it has phases to come; it is then dropped at the deadline even if no message ever follows.

        Raises
        ------
        Refused
            If the round was begun before: a replayed question is never answered twice. Or if too many are open.
        Closed
            If the runtime was stopped.
        """
        now = time.monotonic()
        with self._lock:
            if self._stopped:
                raise Closed("This party has stopped.")
            self._sweep(now)
            if round_id in self._seen:
                raise Refused(f"round {round_id[:8]} was asked before; a question is answered once.")
            if stays and len(self._rounds) >= MAX_OPEN_ROUNDS:
                raise Refused(f"{MAX_OPEN_ROUNDS} rounds are open here already; ask again later.")
            # a replay is refused for as long as its signature would still be accepted, both clocks' skew included
            self._seen[round_id] = now + 2 * MAX_AGE_SECONDS
            opened = OpenRound(now + seconds, facts)
            if stays:
                self._rounds[round_id] = opened
                self._wake_at_next_deadline(now)
            return opened

    def resume(self, round_id: str) -> OpenRound:
        """An open round, for its next phase.

        Raises
        ------
        Refused
            If it was never begun, has ended, or its deadline has passed.
        """
        with self._lock:
            self._sweep(time.monotonic())
            if round_id not in self._rounds:
                raise Refused(f"round {round_id[:8]} is not open here: never begun, ended, or past its deadline.")
            return self._rounds[round_id]

    def end(self, round_id: str) -> None:
        """Forget a round's state."""
        with self._lock:
            self._rounds.pop(round_id, None)

    @property
    def open_rounds(self) -> tuple[str, ...]:
        """Rounds that wait for their next phase."""
        with self._lock:
            return tuple(self._rounds)

    def background(self, work: Callable[[], Any]) -> Future[Any]:
        """Run ``work`` beside the messages (precomputation); one at a time.

        In a daemon thread: work that hangs does not hold up the end of the interpreter.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._stopped:
                raise Closed("This party has stopped.")
            self._jobs.append((future, work))
            if self._worker is None:
                self._worker = threading.Thread(target=self._do_jobs, name="fi-background", daemon=True)
                self._worker.start()
        return future

    def stop(self) -> None:
        """Drop all state and refuse what comes; background work that has not begun is cancelled."""
        with self._lock:
            self._stopped = True
            self._rounds.clear()
            if self._janitor is not None:
                self._janitor.cancel()
            for future, _ in self._jobs:
                future.cancel()
            self._jobs.clear()
        self.kept.close()

    def _sweep(self, now: float) -> None:
        for round_id in [key for key, opened in self._rounds.items() if opened.expires <= now]:
            del self._rounds[round_id]
        while self._seen and next(iter(self._seen.values())) <= now:  # they expire in the order in which they came
            del self._seen[next(iter(self._seen))]

    def _do_jobs(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._worker = None
                    return
                future, work = self._jobs.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever holds the future
                future.set_exception(error)

    def _wake_at_next_deadline(self, now: float) -> None:
        if not self._rounds or self._stopped:
            return
        soonest = min(opened.expires for opened in self._rounds.values())
        if self._janitor is not None:
            if self._janitor_due <= soonest:
                return
            self._janitor.cancel()
        self._janitor_due = soonest
        self._janitor = threading.Timer(max(soonest - now, 0.01), self._janitor_wakes)
        self._janitor.daemon = True
        self._janitor.start()

    def _janitor_wakes(self) -> None:
        with self._lock:
            if self._janitor is not threading.current_thread():
                return
            self._janitor = None
            now = time.monotonic()
            self._sweep(now)
            self._wake_at_next_deadline(now)
