"""How long a newcomer waits for `Federation.demo()`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from benchmarks.figures import Figure

PROGRAM = """
import time
started = time.perf_counter()
import fi_workbench as fi
federation = fi.Federation.demo()
demo = time.perf_counter() - started
started = time.perf_counter()
images, labels = federation.test_set
federation.ask(images[:32], labels[:32])
print(demo, time.perf_counter() - started)
"""

BASELINE = "import torch, sklearn.datasets, flwr.app, pandas"


def seconds_of(program: str, home: str) -> tuple[float, list[str]]:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True, capture_output=True, text=True, env={**os.environ, "FI_WORKBENCH_HOME": home},
    )  # fmt: skip
    return time.perf_counter() - started, done.stdout.split()


def run() -> list[Figure]:
    """Cold and warm, imports included; the baseline is importing the libraries alone."""
    with tempfile.TemporaryDirectory() as home:
        imports, _ = seconds_of(BASELINE, home)
        cold = float(seconds_of(PROGRAM, home)[1][0])
        imports_again, _ = seconds_of(BASELINE, home)
        _, warm_times = seconds_of(PROGRAM, home)
    bare = min(imports, imports_again)
    warm, first_ask = map(float, warm_times)
    return [
        Figure("Federation.demo() on digits, cold", cold, "s", 15.0, f"with imports; imports alone {bare:.1f} s"),
        Figure("Federation.demo() on digits, warm", warm, "s", 2.0,
               f"with imports; imports alone {bare:.1f} s; first ask {first_ask * 1e3:.0f} ms"),
        Figure("Federation.demo() on digits, warm, imported before", max(warm - bare, 0.0), "s", 2.0,
               f"{warm:.2f} s less the imports alone, {bare:.2f} s"),
    ]  # fmt: skip
