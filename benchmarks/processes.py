"""Party processes as a benchmark holds them: started, measured, killed and restarted, and gone at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import psutil

REPOSITORY = Path(__file__).parents[1]
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class Usage:
    """What a process has used so far (CPU), and holds now (the rest)."""

    cpu_seconds: float
    rss_bytes: int
    n_descriptors: int
    n_threads: int

    @classmethod
    def of(cls, pid: int | None = None) -> Usage:
        """Of this process by default."""
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return cls(times.user + times.system, process.memory_info().rss, process.num_fds(), process.num_threads())


@dataclass(frozen=True)
class Seat:
    """One party of a process: its number, its key file, and the token with which it joins first."""

    index: int
    key: Path
    token: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a party process does.

    Parameters
    ----------
    link : str
        ``HOST:PORT``.
    trust : dict
        How it knows the link: ``fingerprint``, ``root_certificates`` or ``insecure``.
    seats : tuple of Seat
    """

    link: str
    trust: dict[str, Any]
    seats: tuple[Seat, ...]
    shape: tuple[int, ...]
    n_classes: int

    @property
    def enrolled(self) -> Plan:
        """The same when all have joined before."""
        return replace(self, seats=tuple(replace(seat, token=None) for seat in self.seats))

    def to_json(self) -> str:
        parties = [{"index": seat.index, "key": str(seat.key), "token": seat.token} for seat in self.seats]
        return json.dumps({
            "link": self.link, "trust": self.trust, "parties": parties, "shape": self.shape,
            "n_classes": self.n_classes,
        })  # fmt: skip


class PartyProcess:
    """A process of parties; a context manager that ends it.

    Parameters
    ----------
    plan : Plan
    log : Path
        What it writes on its standard error.
    """

    def __init__(self, plan: Plan, log: Path) -> None:
        self.plan, self.log = plan, log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.party_process"],
                cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=file, stderr=file,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(f"{plan.to_json()}\n".encode())
        self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usage(self) -> Usage:
        return Usage.of(self.pid)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def said(self) -> str:
        """The end of its log, and how it ended if it has."""
        return f"process {self.pid}, exit status {self._process.poll()}: {self.log.read_text(errors='replace')[-1500:]}"

    def kill(self) -> None:
        """SIGKILL: it has no time for anything."""
        self._process.kill()
        self._process.wait()
        self._let_go()

    def again(self) -> PartyProcess:
        """The same parties in a new process, with the keys they have."""
        return PartyProcess(self.plan.enrolled, self.log)

    def stop(self) -> None:
        """Let it leave; killed if it does not."""
        self._let_go()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _let_go(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
