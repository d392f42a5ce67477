"""All members and the client as threads of one process: `python -m benchmarks.secure.one_process`."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from benchmarks.secure import models
from benchmarks.secure.member import Member
from benchmarks.secure.serving import serve
from benchmarks.secure.told import names_of, session_from, told_of
from benchmarks.secure.tracing import PHASES, Depths
from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.keys import SessionKey
from fi_workbench.transport.peers.in_process import InProcessNetwork, Switchboard

LABEL = "threads"


class OneProcess:
    """A session whose members are threads; a new one with each load."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}

    def load(self, model: str, n_queries: int, n_models: int, pool_size: int) -> float:
        """Make the members and their session; seconds."""
        self.finish()
        began, (owners, helpers) = time.perf_counter(), names_of(n_models)
        switchboard, self._depths = Switchboard(), Depths()
        names = (*owners, *helpers)
        self._members = {name: Member(name, InProcessNetwork(switchboard, name), self._depths) for name in names}
        self._threads = ThreadPoolExecutor(len(names))
        offers = {
            name: member.offer(LABEL, model if name in owners else None, owners.index(name) if name in owners else 0)
            for name, member in self._members.items()
        }
        key = SessionKey()
        told = told_of(offers, key.public.hex(), secrets.token_hex(32), pool_size, n_queries)
        announced = self._all({name: lambda one=one: one.announce(LABEL, told) for name, one in self._members.items()})
        self._all({name: lambda one=one: one.connect(LABEL, announced) for name, one in self._members.items()})
        self._client = SecureClient(session_from(told), key)
        return time.perf_counter() - began

    def ask(self, n_queries: int) -> dict[str, Any]:
        """One batch."""
        queries = models.queries(n_queries)
        began = time.perf_counter()
        lot, sealed = self._client.ask(queries)
        answers = self._all(
            {name: lambda name=name, one=one: one.answer(LABEL, lot, sealed[name])
             for name, one in self._members.items()}
        )  # fmt: skip
        logits = self._client.open(lot, answers)
        return {
            "seconds": time.perf_counter() - began,
            "logits": logits.tolist(),
            "critical_messages": self._depths.critical(f"{lot.n_queries}.{lot.index}"),
        }

    def fill(self) -> None:
        """Wait until all lots that are made ahead are there."""
        self._all({name: lambda one=one: one.fill(LABEL) for name, one in self._members.items()})

    def counted(self) -> dict[str, Any]:
        """By member and phase, what was sent."""
        return {name: member.counted(LABEL) for name, member in self._members.items()}

    def finish(self) -> None:
        """End the session, if there is one."""
        for member in self._members.values():
            member.finish(LABEL)
        if self._members:
            self._threads.shutdown()
        self._members = {}

    def _all(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        begun = {name: self._threads.submit(call) for name, call in calls.items()}
        return {name: future.result() for name, future in begun.items()}


def per_owner(counted: Mapping[str, Mapping[str, Mapping[str, int]]], n_models: int) -> dict[str, float]:
    """Bytes of each phase, for each model."""
    return {phase: sum(one[phase]["n_bytes"] for one in counted.values()) / n_models for phase in PHASES}


def main() -> int:
    torch.set_num_threads(1)
    process = OneProcess()
    try:
        return serve({name: getattr(process, name) for name in ("load", "ask", "fill", "counted", "finish")})
    finally:
        process.finish()


if __name__ == "__main__":
    sys.exit(main())
