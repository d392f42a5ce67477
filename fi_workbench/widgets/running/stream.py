"""One run of a workbench, from its start to its pause or stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import monotonic

from fi_workbench.session.federation import Federation


class Stream:
    """What the threads of one run share.

    Parameters
    ----------
    left : int or None
        Rounds still to begin; None for no end.

    Attributes
    ----------
    stop, ended : Event
        Whether it shall end at once, and whether it has.
    in_round : (float, Federation, set of str) or None
        Since when a round is under way, of whom, and who has been heard.
    threads : tuple of Thread
    """

    def __init__(self, left: int | None = None) -> None:
        self.left = left
        self.stop, self.ended = threading.Event(), threading.Event()
        self.in_round: tuple[float, Federation, set[str]] | None = None
        self.threads: tuple[threading.Thread, ...] = ()

    def start(self, work: Callable[[Stream], None], watch: Callable[[Stream], None]) -> None:
        """Begin both threads; each gets this stream."""
        self.threads = (
            threading.Thread(target=work, args=(self,), name="fi-workbench-rounds", daemon=True),
            threading.Thread(target=watch, args=(self,), name="fi-workbench-watch", daemon=True),
        )
        for thread in self.threads:
            thread.start()


class Pace:
    """When the next round is due."""

    def __init__(self) -> None:
        self._due = monotonic()

    def seconds_left(self, rate: float) -> float:
        """Seconds until the next of ``rate`` rounds a second; who is behind catches up one round at most."""
        now = monotonic()
        self._due = min(max(self._due, now - 1.0 / rate) + 1.0 / rate, now + 1.0 / rate)
        return max(self._due - now, 0.0)


def wait_for(streams: Sequence[Stream], seconds: float) -> bool:
    """Wait until no thread of these is left; whether that is so."""
    end = monotonic() + seconds
    threads = [thread for stream in streams for thread in stream.threads]
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(end - monotonic(), 0.0))
    return not any(thread.is_alive() for thread in threads)
