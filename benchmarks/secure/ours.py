"""Our systems: members as processes over TLS, or all as threads of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.secure.places import Place
from benchmarks.secure.told import names_of
from benchmarks.secure.workers import Worker, all_do, stop_all

TRUST = ("no two of 3 collude: three roles for each model, semi-honest; no single party sees query, models or single "
         "answers, and the client only the sum; two roles of one model together break it")  # fmt: skip
LABELS = {"full": 2, "off": 0}
"""Sessions, and the lots that they make ahead."""


class Members:
    """The processes of one federation of ours: members, and the client; two sessions, with a pool and without.

    Parameters
    ----------
    places : sequence of Place
        Where each member runs, and last the client.
    folder : Path
        For logs.
    """

    def __init__(self, places: list[Place], folder: Path) -> None:
        self._places, self._folder = places, folder
        self._members: dict[str, Worker] = {}
        self._labels: set[str] = set()
        self._asker = Worker("benchmarks.secure.asker", folder / "asker.log", prefix=places[-1].prefix)

    @property
    def workers(self) -> list[Worker]:
        return [*self._members.values(), self._asker]

    def load(self, model: str, n_queries: int, n_models: int, pools: dict[str, int] | None = None) -> dict[str, Any]:
        """Two sessions with that model; what their set-up took.

        Processes that are there already serve again.
        """
        owners, helpers = names_of(n_models)
        self.unload()
        if set(self._members) != {*owners, *helpers}:
            self._start([*owners, *helpers])
        taken = {}
        for label, pool_size in (pools or LABELS).items():
            offers = {
                name: worker.do("offer", label=label, model=model if name in owners else None,
                                number=owners.index(name) if name in owners else 0)
                for name, worker in self._members.items()
            }  # fmt: skip
            told = self._asker.do("begin", label=label, offers=offers, pool_size=pool_size, first_size=n_queries)
            self._labels.add(label)
            spoken = all_do(self._members.values(), "announce", label=label, told=told)
            seconds = all_do(
                self._members.values(), "connect", label=label, announced=dict(zip(self._members, spoken, strict=True))
            )
            taken[label] = max(seconds)
        return {"set_up_seconds": taken}

    def fill(self, label: str) -> None:
        """Wait for full pools at all members."""
        all_do(self._members.values(), "fill", label=label)

    def ask(self, label: str, n_queries: int) -> dict[str, Any]:
        """One batch."""
        return self._asker.do("ask", label=label, n_queries=n_queries)

    def sustain(self, label: str, n_queries: int, seconds: float) -> dict[str, Any]:
        """One batch after another."""
        return self._asker.do("sustain", label=label, n_queries=n_queries, seconds=seconds)

    def counted(self, label: str) -> dict[str, dict[str, int]]:
        """By phase, what all members sent together."""
        each = all_do(self._members.values(), "counted", label=label)
        return {
            phase: {what: sum(one[phase][what] for one in each) for what in ("n_messages", "n_bytes")}
            for phase in each[0]
        }

    def peak_bytes(self) -> dict[str, int]:
        """Most resident memory of each member so far."""
        return {name: worker.peak_bytes for name, worker in self._members.items()}

    def unload(self) -> None:
        """End the sessions."""
        for label in sorted(self._labels):
            all_do(self.workers, "finish", label=label)
        self._labels.clear()

    def stop(self) -> None:
        """End the processes."""
        stop_all(self.workers)

    def _start(self, names: list[str]) -> None:
        stop_all(self._members.values())
        if len(names) > len(self._places) - 1:
            raise ValueError(f"{len(names)} members have no room in {len(self._places) - 1} places.")
        self._members = {
            name: Worker(
                "benchmarks.secure.member", self._folder / f"{name}.log", ["--name", name, "--host", place.address],
                prefix=place.prefix,
            )
            for name, place in zip(names, self._places, strict=False)
        }  # fmt: skip
        addresses = all_do(self._members.values(), "address")
        self._asker.do("reach", addresses=dict(zip(self._members, addresses, strict=True)))


class OurSystem:
    """One way to ask our members, beside others.

    Parameters
    ----------
    members : Members
        Shared by ours with and without a pool; whoever is loaded first loads for both.
    label : {"full", "off"}
    """

    trust = TRUST

    def __init__(self, members: Members, label: str) -> None:
        self._members, self._label = members, label
        self.name = {"full": "ours, online", "off": "ours, total"}[label]
        self.whole = label == "off"

    @property
    def workers(self) -> list[Worker]:
        return self._members.workers

    def load(self, model: str, n_queries: int, n_models: int) -> dict[str, Any]:
        self._n_queries = n_queries
        return self._members.load(model, n_queries, n_models) if self._label == "full" else {}

    def prepare(self) -> None:
        """Before each batch, outside the time that counts."""
        if self._label == "full":
            self._members.fill("full")

    def ask(self) -> dict[str, Any]:
        return self._members.ask(self._label, self._n_queries)

    def count(self) -> dict[str, Any]:
        """Of one batch: ours counts messages that it sends, and all bytes of their payloads."""
        if self._label == "full":
            return {}
        before = self._members.counted("off")
        asked = self.ask()
        after = self._members.counted("off")
        phases = {
            phase: {what: after[phase][what] - before[phase][what] for what in after[phase]}
            for phase in ("offline", "online")
        }
        client = asked["question_bytes"] + asked["answer_bytes"]
        return {
            "n_bytes": sum(one["n_bytes"] for one in phases.values()) + client,
            "online_bytes": phases["online"]["n_bytes"] + client,
            "n_messages": sum(one["n_messages"] for one in phases.values()),
            "online_messages": phases["online"]["n_messages"],
            "set_up_bytes": after["set_up"]["n_bytes"],
            "peak_bytes": self._members.peak_bytes(),
        }

    def stop(self) -> None:
        self._members.stop()


class OurThreads:
    """Ours as threads of one process, online."""

    name, trust = "ours, threads, online", "one process sees all: the same, for teaching"
    whole = False

    def __init__(self, folder: Path) -> None:
        self._worker = Worker("benchmarks.secure.one_process", folder / "one_process.log")

    @property
    def workers(self) -> list[Worker]:
        return [self._worker]

    def load(self, model: str, n_queries: int, n_models: int) -> dict[str, Any]:
        self._n_queries = n_queries
        return {"set_up_seconds": self._worker.do(
            "load", model=model, n_queries=n_queries, n_models=n_models, pool_size=LABELS["full"]
        )}  # fmt: skip

    def prepare(self) -> None:
        self._worker.do("fill")

    def ask(self) -> dict[str, Any]:
        return self._worker.do("ask", n_queries=self._n_queries)

    def count(self) -> dict[str, Any]:
        return {"critical_messages": self.ask()["critical_messages"]}

    def stop(self) -> None:
        self._worker.stop()
