"""Flower's stock path: flower-superlink, flower-supernodes, and a ServerApp that asks with `grid.send_and_receive`."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.flower_commands import free_port, running, superlink

APP = Path(__file__).parent / "stock_app"
START_SECONDS, ROUND_SECONDS = 120.0, 60.0


def stock_rounds(
    n_rounds: int, n_nodes: int = 5, shape: tuple[int, int] = (64, 64), n_classes: int = 10
) -> list[float]:
    """Seconds of each round after the first; every one had all answers."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        result = folder / "result.json"
        link = stack.enter_context(superlink(folder, "--disable-runtime-dependency-installation"))
        for index in range(n_nodes):
            stack.enter_context(
                running(
                    folder, "flower-supernode", "--insecure", "--superlink", link.address,
                    "--host", "127.0.0.1", "--port", str(free_port()), "--node-config", f"partition-id={index}",
                    log=f"supernode-{index}",
                )
            )  # fmt: skip
        settings = {"n-nodes": n_nodes, "n-rounds": n_rounds + 1, "n-queries": shape[0], "n-features": shape[1],
                    "n-classes": n_classes, "result": f'"{result}"'}  # fmt: skip
        link.flwr(
            "run", str(APP), "here", "--run-config", " ".join(f"{key}={value}" for key, value in settings.items())
        )
        end = time.monotonic() + START_SECONDS + (n_rounds + 1) * ROUND_SECONDS
        while not result.exists():
            if time.monotonic() > end:
                log = (folder / "flower-superlink.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Flower's stock path did not finish in time; the end of its log:\n{log}")
            time.sleep(0.2)
        measured = json.loads(result.read_text())
    if measured["present"] != [n_nodes] * (n_rounds + 1):
        raise RuntimeError(f"of {n_nodes} SuperNodes answered, round by round: {measured['present']}")
    return measured["seconds"][1:]
