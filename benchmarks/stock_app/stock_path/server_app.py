"""A coordinator: asks every node with the grid that Flower gives it, and writes down how long each round took."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Write ``{"seconds": [...], "present": [...]}`` where the run's setting ``result`` says."""
    config = context.run_config
    n_nodes, timeout = int(config["n-nodes"]), float(config["timeout-seconds"])
    shape = (int(config["n-queries"]), int(config["n-features"]))
    seconds, present = [], []
    nodes = _nodes(grid, n_nodes, timeout)
    for number in range(int(config["n-rounds"])):
        queries = np.random.default_rng(number).random(shape, dtype=np.float32)
        began = time.perf_counter()
        content = RecordDict({"queries": ArrayRecord({"queries": Array(queries)})})
        messages = [Message(content, node, "query.predict", ttl=timeout + 1.0) for node in nodes]
        replies = [reply for reply in grid.send_and_receive(messages, timeout=timeout) if reply.has_content()]
        answers = [reply.content["answers"]["answers"].numpy() for reply in replies]
        scores = np.mean(answers, axis=0) if answers else np.zeros(0)
        seconds.append(time.perf_counter() - began)
        present.append(len(replies) if scores.shape == (shape[0], int(config["n-classes"])) else 0)
    partial = Path(f"{config['result']}.part")
    partial.write_text(json.dumps({"seconds": seconds, "present": present}))
    partial.rename(str(config["result"]))


def _nodes(grid: Grid, n: int, timeout: float) -> list[int]:
    end = time.monotonic() + timeout
    while len(nodes := list(grid.get_node_ids())) < n:
        if time.monotonic() > end:
            raise RuntimeError(f"{len(nodes)} of {n} nodes came")
        time.sleep(0.2)
    return nodes
