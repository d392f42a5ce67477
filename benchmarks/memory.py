"""What fifty parties need in memory beside their models."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.figures import Figure

# a process of its own: what other benchmarks allocated must not count
PROGRAM = """
import gc, json, os
import numpy as np, psutil, torch
import fi_workbench as fi
from benchmarks.ask import bare_loop, lenets

def held():
    gc.collect()
    return psutil.Process(os.getpid()).memory_info().rss

queries = np.random.default_rng(0).random((64, 1, 28, 28), dtype=np.float32)
modules, parties = lenets(50)
fi.Federation(parties[:1], history=None).close()     # imports done, nothing kept
for _ in range(5):
    bare_loop(modules, queries)
before = held()
federation = fi.Federation(parties, history=None)
for _ in range(20):
    record = federation.ask(queries)
after = held()
models = sum(p.numel() * p.element_size() for m in modules for p in m.parameters())
print(json.dumps({"models": models, "before": before, "after": after}))
"""


def run() -> list[Figure]:
    """Resident memory of a federation of fifty after twenty rounds, over the same models in a bare loop."""
    printed = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    measured = json.loads(printed.splitlines()[-1])
    over = (measured["after"] - measured["before"]) / 2**20
    detail = f"models {measured['models'] / 2**20:.0f} MB; process {measured['after'] / 2**20:.0f} MB"
    return [Figure("memory, 50 LeNet parties", over, "MB over the models", 100.0, detail)]
