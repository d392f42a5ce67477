"""Systems in turns: each batch of one beside a batch of every other, so that a busy machine slows all alike."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np

from benchmarks.secure import models
from benchmarks.secure.workers import Worker, WorkerFailed

N_WARM_UP = 2


class System(Protocol):
    """One way to evaluate models on queries."""

    name: str
    trust: str

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
        Batches of each system that count.
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
        Seconds a batch, in order.
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


def measure(case: Case, systems: Sequence[System], said: Any = print) -> dict[str, Measured]:
    """All systems on one case, in turns; by their names. Who fails is left out from there on, and says why."""
    results = {one.name: Measured(one.name, one.trust) for one in systems}
    plain = models.plain_sum(case.model, case.n_models, models.queries(case.n_queries))
    alive = list(systems)

    def each(what: str, action: Any) -> None:
        for one in list(alive):
            try:
                action(one)
            except WorkerFailed as error:
                alive.remove(one)
                results[one.name].refused = f"{what}: {str(error)[:300]}"
                said(f"{case.title}: {one.name} failed to {what}: {error}")

    def load(one: System) -> None:
        results[one.name].set_up = one.load(case.model, case.n_queries, case.n_models)

    def ask(one: System, *, counts: bool) -> None:
        one.prepare()
        reply = one.ask()
        result = results[one.name]
        result.error = max(result.error, float(np.abs(np.array(reply["logits"]) - plain).max()))
        if counts:
            result.samples.append(reply["seconds"])
            result.load.append(os.getloadavg()[0])

    def count(one: System) -> None:
        results[one.name].counted = one.count()

    def work(one: System) -> None:
        began = sum(worker.cpu_seconds for worker in one.workers)
        for _ in range(max(1, case.n_turns // 2)):
            one.prepare()
            one.ask()
        one.prepare()  # what was used of a pool is made again, and so is in it
        spent = sum(worker.cpu_seconds for worker in one.workers) - began
        results[one.name].cpu_seconds = spent / max(1, case.n_turns // 2)

    each("load", load)
    for _ in range(N_WARM_UP):
        each("answer", lambda one: ask(one, counts=False))
    for turn in range(case.n_turns):
        alive.reverse()
        each(f"answer in turn {turn}", lambda one: ask(one, counts=True))
    alive.sort(key=lambda one: [known.name for known in systems].index(one.name))
    each("count", count)
    each("work", work)
    return results


def ratio(results: dict[str, Measured], over: str, of: str) -> float | None:
    """Median seconds of one system over another's; None where one has none."""
    pair = [results.get(name) for name in (over, of)]
    if any(one is None or not one.samples for one in pair):
        return None
    return pair[0].median / pair[1].median

