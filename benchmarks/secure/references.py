"""The systems that ours is held against: torch in the clear, and CrypTen."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from benchmarks.secure.places import Place
from benchmarks.secure.workers import Worker, all_do, stop_all

_TRUST = {
    "TFP": "party 0 sees all: it draws all masks, and so recovers query and models; semi-honest",
    "TTP": ("a third colludes with none: it draws all masks; of the parties all but one may collude; semi-honest; the "
            "masks are of torch's generator, which is no cipher"),
}  # fmt: skip


class Plain:
    """torch in the clear, in a process of its own, one thread."""

    name, trust = "plain torch", "whoever computes sees all: nothing is hidden"
    whole = True

    def __init__(self, folder: Path) -> None:
        self._worker = Worker("benchmarks.secure.plain", folder / "plain.log")

    @property
    def workers(self) -> list[Worker]:
        return [self._worker]

    def load(self, model: str, n_queries: int, n_models: int) -> dict[str, Any]:
        self._worker.do("load", model=model, n_queries=n_queries, n_models=n_models)
        return {}

    def prepare(self) -> None:
        """Nothing."""

    def ask(self) -> dict[str, Any]:
        return self._worker.do("ask")

    def count(self) -> dict[str, Any]:
        return {}

    def stop(self) -> None:
        self._worker.stop()


class CrypTen:
    """CrypTen 0.4.1; timed from shares of the queries to shares of the logits, as its own benchmarks do.

    Parameters
    ----------
    world_size : int
        Parties, the third party of ``provider="TTP"`` not counted.
    provider : {"TFP", "TTP"}
        Who draws the masks: party 0, as shipped, or a separate process.
    python : str
        Of its environment.
    places : sequence of Place
    folder : Path
    """

    def __init__(self, world_size: int, provider: str, python: str, places: list[Place], folder: Path) -> None:
        apart = provider == "TTP"
        self.name = f"CrypTen, {world_size} parties" + (" and a third for masks" if apart else "")
        self.trust, self.whole = _TRUST[provider], True
        rendezvous = f"file://{folder}/rendezvous-{uuid.uuid4().hex}"
        self._all = [
            Worker(
                "benchmarks.secure.crypten_rank",
                folder / f"crypten-{provider}-{world_size}-{rank}.log",
                ["--rank", str(rank), "--world-size", str(world_size), "--rendezvous", rendezvous,
                 "--provider", provider],
                python=python, environment={"GLOO_SOCKET_IFNAME": place.interface}, prefix=place.prefix,
            )
            for rank, place in zip(range(world_size + apart), places, strict=False)
        ]  # fmt: skip
        self._parties = self._all[:world_size]
        try:
            all_do(self._parties, "join")
        except BaseException:
            self.stop()
            raise

    @property
    def workers(self) -> list[Worker]:
        return self._all

    def load(self, model: str, n_queries: int, n_models: int) -> dict[str, Any]:
        seconds = all_do(self._parties, "load", model=model, n_queries=n_queries, n_models=n_models)
        return {"set_up_seconds": max(seconds)}

    def prepare(self) -> None:
        """Nothing: it makes masks as it goes."""

    def ask(self) -> dict[str, Any]:
        return all_do(self._parties, "ask")[0]

    def count(self) -> dict[str, Any]:
        """As its own log counts: both ends of a message, so that the sum is halved; the third party is not in it."""
        counted = all_do(self._parties, "count")
        return {
            "n_bytes": sum(one["n_bytes"] for one in counted) / 2,
            "n_rounds": max(one["n_rounds"] for one in counted),
            "peak_bytes": {f"rank{k}": worker.peak_bytes for k, worker in enumerate(self._parties)},
        }

    def stop(self) -> None:
        stop_all(self._all)
