"""Systems in turns: some batches of one beside some of every other, so that a busy machine slows all alike.

In its turn a system answers one batch that does not count, since all its processes have slept while the others were at
work, and then batches that count, one at least, until a quarter of a second is over. Where one takes longer than two
seconds, the first counts and is the only one. The rule is the same for all.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from benchmarks.secure import models
from benchmarks.secure.workers import Worker, WorkerFailed

TURN_SECONDS, LONG_SECONDS = 0.25, 2.0


class System(Protocol):
    """One way to evaluate models on queries."""

    name: str
    trust: str
    """In a word, a colon, and in full."""
    whole: bool
    """Whether a batch is all that it does, and nothing was done ahead."""

    @property
    def workers(self) -> list[Worker]:
        """Its processes."""

    def load(self, model: str, n_queries: int, n_models: int) -> dict[str, Any]:
        """Models and queries are those of :mod:`benchmarks.secure.models`."""

    def prepare(self) -> None:
        """Before each batch, outside the time that counts."""

    def ask(self) -> dict[str, Any]:
        """One batch: ``seconds`` and ``logits``."""

    def count(self) -> dict[str, Any]:
        """Bytes and messages of a batch."""

    def stop(self) -> None:
        """End its processes."""


@dataclass(frozen=True)
class Case:
    """What is evaluated.

    Parameters
    ----------
    model : str
    n_queries, n_models : int
    n_turns : int
        Of each system.
    where : {"loopback", "wan"}
    """

    model: str
    n_queries: int
    n_models: int = 1
    n_turns: int = 7
    where: str = "loopback"

    @property
    def title(self) -> str:
        """For tables."""
        ensemble = f", ensemble of {self.n_models}" if self.n_models > 1 else ""
        return f"{models.TITLES[self.model]}{ensemble}, batch {self.n_queries}"


@dataclass
class Measured:
    """One system on one case.

    Parameters
    ----------
    samples : list of float
        Seconds of each batch, in order.
    load : list of float
        The machine's load average at each.
    cpu_seconds : float
        A batch, of all its processes; offline work is in it.
    error : float
        Largest difference of a logit to plaintext.
    counted : dict
        Bytes and messages.
    refused : str
        Why there is nothing.
    """

    system: str
    trust: str
    samples: list[float] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0
    error: float = 0.0
    counted: dict[str, Any] = field(default_factory=dict)
    set_up: dict[str, Any] = field(default_factory=dict)
    refused: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, _, high = np.percentile(self.samples, [25, 50, 75])
        return float(low), float(high)

    def to_dict(self) -> dict[str, Any]:
        told = asdict(self)
        return {**told, "median_seconds": self.median, "quartile_seconds": self.quartiles} if self.samples else told


def measure(
    case: Case, systems: Sequence[System], said: Callable[[str], None], wire: Callable[[], int] | None = None
) -> dict[str, Measured]:
    """All systems on one case, in turns; by their names. Who fails is left out from there on, and says why.

    Parameters
    ----------
    case : Case
    systems : sequence of System
    said : callable
        Told what fails.
    wire : callable, optional
        Bytes that have gone over all links so far.
    """
    turns = _Turns(case, systems, said)
    turns.each("load", turns.load)
    turns.each("answer", turns.ask)
    for turn in range(case.n_turns):
        turns.alive.reverse()
        turns.each(f"answer in turn {turn}", turns.ask_timed)
    turns.each("count", lambda one: turns.count(one, wire))
    turns.each("work", turns.work)
    return turns.results


class _Turns:
    """Whose turn it is, and what was found so far."""

    def __init__(self, case: Case, systems: Sequence[System], said: Callable[[str], None]) -> None:
        self._case, self._said = case, said
        self._plain = models.plain_sum(case.model, case.n_models, models.queries(case.n_queries))
        self.alive = list(systems)
        self.results = {one.name: Measured(one.name, one.trust) for one in systems}

    def each(self, what: str, action: Callable[[System], object]) -> None:
        for one in list(self.alive):
            try:
                action(one)
            except WorkerFailed as error:
                self.alive.remove(one)
                self.results[one.name].refused = f"{what}: {str(error)[:300]}"
                self._said(f"{self._case.title}: {one.name} failed to {what}: {error}")

    def load(self, one: System) -> None:
        self.results[one.name].set_up = one.load(self._case.model, self._case.n_queries, self._case.n_models)

    def ask(self, one: System) -> float:
        one.prepare()
        reply, result = one.ask(), self.results[one.name]
        result.error = max(result.error, float(np.abs(np.array(reply["logits"]) - self._plain).max()))
        return float(reply["seconds"])

    def ask_timed(self, one: System) -> None:
        first = self.ask(one)
        if first > LONG_SECONDS:
            self._keep(one, first)
            return
        end = time.monotonic() + TURN_SECONDS
        while True:
            self._keep(one, self.ask(one))
            if time.monotonic() >= end:
                return

    def _keep(self, one: System, seconds: float) -> None:
        self.results[one.name].samples.append(seconds)
        self.results[one.name].load.append(os.getloadavg()[0])

    def count(self, one: System, wire: Callable[[], int] | None) -> None:
        counted = self.results[one.name].counted = one.count()
        if wire is not None and one.whole:
            before = wire()
            one.ask()
            counted["wire_bytes"] = wire() - before

    def work(self, one: System) -> None:
        n = max(1, self._case.n_turns // 2)
        one.prepare()
        began = sum(worker.cpu_seconds for worker in one.workers)
        for _ in range(n):
            one.ask()
            one.prepare()  # what was used of a pool is made again, and so is in it
        self.results[one.name].cpu_seconds = (sum(worker.cpu_seconds for worker in one.workers) - began) / n
