"""Long work beside the page: one at a time, with its progress in the state, given up when something newer comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from fi_workbench.core.errors import FederationError
from fi_workbench.core.progress import OnProgress, Progress
from fi_workbench.widgets.running.state import Notice, Task, WorkbenchState

T = TypeVar("T")

TELL_SECONDS = 0.1
ESTIMATE_AFTER_SECONDS = 1.5


class _GivenUp(Exception):
    """Raised inside the work by its own progress."""


class Jobs:
    """Runs one piece of work in a thread of its own.

    Parameters
    ----------
    state : WorkbenchState
        Its ``task`` shows the progress, its ``notice`` what went wrong.
    """

    def __init__(self, state: WorkbenchState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._current: tuple[threading.Thread, threading.Event] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._current is not None

    def start(
        self,
        text: str,
        work: Callable[[OnProgress], T],
        then: Callable[[T], None],
        *,
        n_steps: int = 1,
        kept: str = "",
        ended: Callable[[], None] | None = None,
    ) -> None:
        """Begin ``work``; whatever was under way is given up.

        Parameters
        ----------
        text : str
            What is done, for people.
        work : callable
            ``(on_progress) -> result``; it is given up the next time that it tells its progress.
        then : callable
            Takes the result, in the same thread.
        n_steps : int
            Tasks that the work tells of, one after another.
        kept : str
            What stays as it was when the work fails.
        ended : callable, optional
            Called when the work failed or was given up.
        """
        given_up = threading.Event()
        report = self._report(text, n_steps, given_up)

        def run() -> None:
            try:
                result = work(report)
                if given_up.is_set():
                    raise _GivenUp
                then(result)
            except _GivenUp:
                self._finish(given_up, None, ended)
            except FederationError as error:
                self._finish(given_up, f"{text} failed. {error} {kept}", ended)
            except Exception as error:  # noqa: BLE001 (a reader, a model or a plug-in of somebody else's)
                why = f"{type(error).__name__}: {error}"
                self._finish(given_up, f"{text} failed: {why}. {kept} The log keeps this line.", ended)
            else:
                self._finish(given_up, None, None)

        with self._lock:
            if self._current is not None:
                self._current[1].set()
            thread = threading.Thread(target=run, name="fi-workbench-job", daemon=True)
            self._current = thread, given_up
            self._state.task = Task(text)
            thread.start()

    def give_up(self) -> None:
        """Give up what is under way; returns at once."""
        with self._lock:
            if self._current is not None:
                self._current[1].set()

    def wait(self, seconds: float) -> bool:
        """Wait for what is under way; whether it ended."""
        current = self._current
        if current is not None and current[0] is not threading.current_thread():
            current[0].join(seconds)
        return self._current is None

    def _finish(self, given_up: threading.Event, failure: str | None, ended: Callable[[], None] | None) -> None:
        with self._lock:
            newest = self._current is not None and self._current[1] is given_up
            if newest:
                self._current = None
        if not newest:
            return  # something newer has taken its place, and the page is that one's
        self._state.task = None
        if failure is not None and not given_up.is_set():
            self._state.tell(failure, "error")
            self._state.notice = Notice("error", failure)
        if ended is not None:
            ended()

    def _report(self, text: str, n_steps: int, given_up: threading.Event) -> OnProgress:
        began = told = time.monotonic()
        tasks: list[str] = []

        def report(progress: Progress) -> None:
            nonlocal told
            if given_up.is_set():
                raise _GivenUp
            if progress.task not in tasks:
                tasks.append(progress.task)
            now = time.monotonic()
            if now - told < TELL_SECONDS:
                return
            told = now
            share = min((len(tasks) - 1 + progress.share) / max(n_steps, len(tasks)), 1.0)
            self._state.task = Task(f"{text}: {progress.task}{_left(now - began, share)}", share)

        return report


def _left(elapsed: float, share: float) -> str:
    if elapsed < ESTIMATE_AFTER_SECONDS or share < 0.02:
        return ""
    return f", about {max(round(elapsed / share * (1 - share)), 1)} s left"
