"""What dishonest parties can read of a round under way: answers on the wire, and labels that a simulation tells."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.arrays import Labels


@dataclass(eq=False)
class _Round:
    answers: dict[str, NDArray[np.floating]] = field(default_factory=dict)
    labels: Labels | None = None


class Leak:
    """A board of what was put on the wire in each round, for one federation; safe to use from several threads.

    In a plain round an answer is on the wire as soon as its party replies: a copier that waits sees it. Under
    commit-reveal a copier must commit before any answer is revealed, so it hears nothing that it could still use.

    Parameters
    ----------
    keep_rounds : int
        Rounds held at once; the oldest are dropped.
    """

    def __init__(self, keep_rounds: int = 16) -> None:
        self._keep_rounds = max(1, keep_rounds)
        self._rounds: OrderedDict[str, _Round] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False

    def heard(self, round_id: str, party: str, probabilities: ArrayLike) -> None:
        """``party`` put its answer, probabilities (query, class), on the wire; the first one stands."""
        held = np.array(probabilities)
        held.setflags(write=False)
        with self._changed:
            self._round(round_id).answers.setdefault(party, held)
            self._changed.notify_all()

    def answers(
        self,
        round_id: str,
        *,
        but: str,
        peers: Iterable[str] | None = None,
        wait_seconds: float = 0.5,
        stopped: threading.Event | None = None,
    ) -> dict[str, NDArray[np.floating]]:
        """Answers of all but one party that are on the wire by now, by name.

        Parameters
        ----------
        but : str
            The party that listens.
        peers : iterable of str, optional
            Whom to wait for; without it, for the first one.
        wait_seconds : float
            At most so long: others may be waiting too, or never answer.
        stopped : Event, optional
            Ends the wait, within a tenth of a second.
        """
        wanted = None if peers is None else set(peers) - {but}
        end = time.monotonic() + wait_seconds
        with self._changed:
            while True:
                held = self._rounds.get(round_id)
                known = {name: one for name, one in held.answers.items() if name != but} if held else {}
                complete = bool(known) if wanted is None else wanted <= known.keys()
                left = end - time.monotonic()
                if complete or left <= 0 or self._closed or (stopped is not None and stopped.is_set()):
                    return known
                self._changed.wait(left if stopped is None else min(left, 0.1))

    def tell(self, round_id: str, labels: ArrayLike) -> None:
        """A simulation that knows them posts a round's true labels, (query,)."""
        held = np.array(labels)
        held.setflags(write=False)
        with self._changed:
            self._round(round_id).labels = held

    def labels(self, round_id: str) -> Labels | None:
        """True labels (query,) of a round, where they were told."""
        with self._changed:
            held = self._rounds.get(round_id)
            return None if held is None else held.labels

    def close(self) -> None:
        """Forget everything and let go who waits."""
        with self._changed:
            self._closed = True
            self._rounds.clear()
            self._changed.notify_all()

    def _round(self, round_id: str) -> _Round:
        if self._closed:
            return _Round()
        if round_id not in self._rounds:
            self._rounds[round_id] = _Round()
            while len(self._rounds) > self._keep_rounds:
                self._rounds.popitem(last=False)
        return self._rounds[round_id]
