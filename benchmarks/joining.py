"""How long after `fi-workbench join` a newcomer's first answer is in a round."""

from __future__ import annotations

import shlex
import tempfile
import time
from pathlib import Path

import fi_workbench as fi
from benchmarks.figures import Figure, median
from benchmarks.flower_commands import running
from benchmarks.sites import wait_for
from benchmarks.toy_parties import N_CLASSES, SHAPE, toy_queries

PARTY = f"""
import numpy as np
import fi_workbench as fi

def answer(queries):
    powers = np.exp(queries.reshape(len(queries), -1)[:, :{N_CLASSES}])
    return powers / powers.sum(axis=1, keepdims=True)

party = fi.Party.from_callable(
    answer, name="newcomer", classes=[f"class {{k}}" for k in range({N_CLASSES})], input_shape={SHAPE}
)
"""


def seconds_to_first_answer() -> tuple[float, float]:
    """From starting the command with a new key to the end of the first round, and how much of it was that round."""
    with tempfile.TemporaryDirectory() as name, fi.Federation.host(history=None, announce=False) as federation:
        folder = Path(name)
        (folder / "newcomer.py").write_text(PARTY)
        program, *arguments = shlex.split(federation.invite()[0])
        for option, value in (("--model", f"{folder / 'newcomer.py'}:party"), ("--key", str(folder / "newcomer.key"))):
            arguments[arguments.index(option) + 1] = value
        queries = toy_queries(0)
        began = time.perf_counter()
        with running(folder, program, *arguments) as process:
            wait_for(
                federation, 1,
                ended=lambda: process.poll() is not None,
                said=lambda: (folder / f"{program}.log").read_text(errors="replace"),
            )  # fmt: skip
            online = time.perf_counter()
            record = federation.ask(queries)
            ended = time.perf_counter()
        assert record.present == ("newcomer",)
    return ended - began, ended - online


def run(n: int = 3) -> list[Figure]:
    """Median of a few newcomers, each in a process of its own."""
    newcomers = [seconds_to_first_answer() for _ in range(n)]
    total, asked = median([one for one, _ in newcomers]), median([one for _, one in newcomers])
    detail = f"a numpy party with a new key, hosted; the round itself {1e3 * asked:.0f} ms"
    return [Figure("join, to its first answered round", total, "s", 5.0, detail)]
