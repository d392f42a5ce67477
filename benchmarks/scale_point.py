"""One point of the scale study, in a process of its own, so that its memory is its own.

`python -m benchmarks.scale_point` reads a case as JSON on its standard input and prints what it measured as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.processes import Usage
from benchmarks.sites import Site, embedded, hosted
from benchmarks.toy_parties import N_CLASSES, SHAPE, expected_scores, toy_queries

N_WARM_UP, MIN_ROUNDS, MAX_ROUNDS = 3, 5, 200
POINT_SECONDS = 4.0
DEADLINE_SECONDS = 120.0
N_PROCESSES = 5
"""Party processes at most; more parties than these share them evenly."""


@dataclass(frozen=True)
class Case:
    """What is asked of whom.

    Parameters
    ----------
    study : str
        Which of the things below is varied.
    where : {"hosted", "embedded"}
    n_parties, n_queries, n_classes : int
    shape : tuple of int
        Of one query.
    n_askers : int
        Rounds at once: so many threads ask, each one round after another.
    """

    study: Literal["parties", "batch", "classes", "bytes", "askers"]
    where: Literal["hosted", "embedded"] = "hosted"
    n_parties: int = 5
    n_queries: int = 64
    n_classes: int = N_CLASSES
    shape: tuple[int, ...] = SHAPE
    n_askers: int = 1

    @property
    def x(self) -> int:
        """The value of what is varied."""
        n_bytes = 4 * self.n_queries * int(np.prod(self.shape))
        varied = {"parties": self.n_parties, "batch": self.n_queries, "classes": self.n_classes, "bytes": n_bytes,
                  "askers": self.n_askers}  # fmt: skip
        return varied[self.study]

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "x": self.x}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Case:
        fields = {field.name for field in dataclasses.fields(cls)}
        return cls(
            **{name: value for name, value in plain.items() if name in fields} | {"shape": tuple(plain["shape"])}
        )


def measure(case: Case) -> dict[str, Any]:
    """The case, and what its rounds took: seconds, bytes, CPU of link and parties, memory."""
    with _place(case) as site:
        queries = toy_queries(0, case.n_queries, case.shape)
        resting = Usage.of(site.link_pid)
        for _ in range(N_WARM_UP):
            bytes_out, bytes_in = _checked_round(site, case, queries)
        parties = [process.pid for process in site.processes]
        before = [Usage.of(pid) for pid in (site.link_pid, *parties)]
        began = time.monotonic()
        seconds = _ask(site, case, queries)
        took = time.monotonic() - began
        after = [Usage.of(pid) for pid in (site.link_pid, *parties)]
    link_cpu, *party_cpu = (new.cpu_seconds - old.cpu_seconds for old, new in zip(before, after, strict=True))
    n_rounds = len(seconds)
    return {
        **case.to_dict(),
        "n_rounds": n_rounds,
        "median_seconds": statistics.median(seconds),
        "p95_seconds": float(np.percentile(seconds, 95)),
        "rounds_per_second": n_rounds / took,
        # a party pulls each question and pushes each answer
        "requests_per_second": 2 * case.n_parties * n_rounds / took if case.where == "hosted" else None,
        "bytes_out": bytes_out,
        "bytes_in": bytes_in,
        "link_cpu_seconds": link_cpu / n_rounds,
        "party_cpu_seconds": sum(party_cpu) / n_rounds if party_cpu else None,
        "cores_busy_link": link_cpu / took,
        "resting_bytes": resting.rss_bytes,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "party_process_bytes": max((one.rss_bytes for one in after[1:]), default=None),
    }


def _place(case: Case) -> Any:
    how = {"shape": case.shape, "n_classes": case.n_classes, "deadline_seconds": DEADLINE_SECONDS}
    if case.where == "embedded":
        return embedded(case.n_parties, **how)
    n_processes = min(N_PROCESSES, case.n_parties)
    return hosted(n_processes, case.n_parties // n_processes, **how)


def _checked_round(site: Site, case: Case, queries: NDArray[np.float32]) -> tuple[int, int]:
    """One round with everybody and the right scores; its bytes to and from the parties."""
    record = site.federation.ask(queries)
    if len(record.present) != case.n_parties:
        raise RuntimeError(f"{len(record.present)} of {case.n_parties} parties answered: {record.absent[:3]}")
    expected = expected_scores(record.present, queries, case.n_classes)
    np.testing.assert_allclose(record.scores, expected, atol=1e-5)
    return record.cost.bytes_out, record.cost.bytes_in


def _ask(site: Site, case: Case, queries: NDArray[np.float32]) -> list[float]:
    """Seconds of each round, of all askers together."""
    seconds: list[float] = []
    failures: list[BaseException] = []
    end = time.monotonic() + POINT_SECONDS

    def ask() -> None:
        n_rounds = 0
        try:
            while n_rounds < MIN_ROUNDS or (time.monotonic() < end and n_rounds < MAX_ROUNDS):
                began = time.perf_counter()
                record = site.federation.ask(queries)
                seconds.append(time.perf_counter() - began)
                n_rounds += 1
                if len(record.present) != case.n_parties:
                    raise RuntimeError(f"somebody did not answer: {record.absent[:3]}")
        except BaseException as failure:  # noqa: BLE001 - told by the thread that waits
            failures.append(failure)

    askers = [threading.Thread(target=ask) for _ in range(case.n_askers)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    if failures:
        raise failures[0]
    return seconds


def main() -> int:
    print(json.dumps(measure(Case.from_dict(json.loads(sys.stdin.read())))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
