"""What a party keeps from one round to the next: a few living things by name, closed when they are let go."""

from __future__ import annotations

import threading
from typing import Any, Protocol

MAX_KEPT = 4
"""A party keeps so many at once; the one that was used longest ago makes room."""


class Closable(Protocol):
    """What can be kept."""

    def close(self) -> None:
        """Let go of threads, channels and secrets."""


class Kept:
    """A small store; safe to use from several threads."""

    def __init__(self, n_most: int = MAX_KEPT) -> None:
        self._n_most = n_most
        self._held: dict[str, Closable] = {}
        self._lock = threading.Lock()
        self._closed = False

    def put(self, name: str, thing: Closable) -> None:
        """Keep a thing; what had its name, and the oldest where there are too many, are closed."""
        with self._lock:
            gone = [self._held.pop(name)] if name in self._held else []
            if self._closed:
                gone.append(thing)
            else:
                self._held[name] = thing
            while len(self._held) > self._n_most:
                gone.append(self._held.pop(next(iter(self._held))))
        for one in gone:
            one.close()

    def get(self, name: str) -> Any:
        """The thing of that name, now the one used last; None where there is none."""
        with self._lock:
            thing = self._held.pop(name, None)
            if thing is not None:
                self._held[name] = thing
            return thing

    def all(self) -> tuple[Any, ...]:
        """All that is kept, the one used last at the end."""
        with self._lock:
            return tuple(self._held.values())

    def drop(self, name: str) -> None:
        """Close the thing of that name, where there is one."""
        with self._lock:
            thing = self._held.pop(name, None)
        if thing is not None:
            thing.close()

    def close(self) -> None:
        """Close all, and whatever is put in later."""
        with self._lock:
            self._closed = True
            held, self._held = list(self._held.values()), {}
        for thing in held:
            thing.close()
