"""SPU 0.9.5, its three parties as processes with brpc between them."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.secure import models
from benchmarks.secure.places import Place
from benchmarks.secure.workers import Worker, all_do, stop_all

N_PARTIES = 3


class Spu:
    """ABY3 in a ring of 64 bits; timed from shares of the queries to shares of the logits.

    Parameters
    ----------
    python : str
        Of its environment.
    places : sequence of Place
    folder : Path
    """

    name, whole = "SPU ABY3, 3 parties", True
    trust = "no two of 3 collude: three parties, semi-honest; no single one sees query, models or answers"
    models = ("mlp", "lenet", "cnn")
    """Those that are written for it here."""

    def __init__(self, python: str, places: Sequence[Place], folder: Path) -> None:
        self._folder = folder
        here = places[:N_PARTIES]
        addresses = ",".join(
            f"{place.address}:{port}" for place, port in zip(here, _free_ports(N_PARTIES), strict=True)
        )
        self._parties = [
            Worker(
                "benchmarks.secure.spu_rank", folder / f"spu-{rank}.log",
                ["--rank", str(rank), "--addresses", addresses], python=python, prefix=place.prefix,
            )
            for rank, place in enumerate(here)
        ]  # fmt: skip
        try:
            all_do(self._parties, "join")
        except BaseException:
            self.stop()
            raise

    @property
    def workers(self) -> list[Worker]:
        return self._parties

    def load(self, model: str, n_queries: int, n_models: int) -> dict[str, Any]:
        """The first party makes the shares of all and leaves them to the others in a folder."""
        weights, asked = self._folder / "spu-weights.npz", self._folder / "spu-queries.npy"
        parameters = {
            f"{k}/{name}": tensor.numpy()
            for k in range(n_models)
            for name, tensor in models.make(model, k).state_dict().items()
        }
        with weights.open("wb") as file:
            np.savez(file, **parameters)
        np.save(asked, models.queries(n_queries))
        told = {"model": model, "weights": str(weights), "queries": str(asked)}
        self._parties[0].do("share", **told)
        return {"set_up_seconds": max(all_do(self._parties, "load", **told))}

    def prepare(self) -> None:
        """Nothing: it has no work ahead."""

    def ask(self) -> dict[str, Any]:
        replies = all_do(self._parties, "ask", out=str(self._folder))
        return {"seconds": max(replies), "logits": self._parties[0].do("open", out=str(self._folder))}

    def count(self) -> dict[str, Any]:
        """It says nothing of its bytes; far apart, the links count them."""
        return {"peak_bytes": {f"rank{k}": worker.peak_bytes for k, worker in enumerate(self._parties)}}

    def stop(self) -> None:
        stop_all(self._parties)


def _free_ports(n: int) -> list[int]:
    """Free a moment ago: brpc wants to be told."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(n)]
        return [int(sock.getsockname()[1]) for sock in sockets]
