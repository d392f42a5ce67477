"""Exact Shapley values of an ensemble beside shapiq's exact computation over the same game in plain numpy."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import shapiq

from benchmarks.figures import Figure, interleaved, median
from fi_workbench.incentives import ContributionView, contribute, contribution_methods

N_QUERIES, N_CLASSES = 10_000, 10

# a process of its own: its memory is nobody else's
PROGRAM = """
import json, resource, time
from benchmarks.shapley import shapley, ensemble
answers, labels = ensemble(16)
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
started = time.perf_counter()
shapley(answers, labels)
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "held": held, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))
"""


def ensemble(n_parties: int) -> tuple[np.ndarray, np.ndarray]:
    """Answers (party, query, class) and labels (query,)."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, N_CLASSES, N_QUERIES)
    logits = rng.normal(0, 1.5, (n_parties, N_QUERIES, N_CLASSES))
    logits[:, np.arange(N_QUERIES), labels] += 1.0
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True), labels


def shapley(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Ours; a new view each time, as a view keeps the values of its coalitions."""
    return contribute(contribution_methods["shapley"], ContributionView(len(answers), answers, labels=labels))


def plain(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The accuracy of each coalition's soft vote, one after the other, and shapiq's exact values."""

    def value(coalitions: np.ndarray) -> np.ndarray:
        right = [
            (answers[one].sum(axis=0).argmax(axis=-1) == labels).mean() if one.any() else 0.0 for one in coalitions
        ]
        return np.array(right)

    return shapiq.ExactComputer(game=value, n_players=len(answers))("SV").get_n_order_values(1)


def run() -> list[Figure]:
    """Twelve parties against shapiq; sixteen in seconds and megabytes."""
    answers, labels = ensemble(12)
    np.testing.assert_allclose(shapley(answers, labels), plain(answers, labels), atol=1e-10)
    ours, theirs = (median(times) for times in interleaved(
        lambda: shapley(answers, labels), lambda: plain(answers, labels), 3
    ))  # fmt: skip
    printed = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    measured = json.loads(printed.splitlines()[-1])
    seconds, peak = measured["seconds"], measured["peak"] / 2**10
    on = f"{N_QUERIES:,} queries, {N_CLASSES} classes"
    return [
        Figure("exact Shapley, 12 parties", theirs / ours, "x shapiq's speed", 10.0,
               f"{on}: ours {ours * 1e3:.0f} ms, shapiq over a numpy game {theirs * 1e3:.0f} ms", at_least=True),
        Figure("exact Shapley, 16 parties", seconds, "s", 30.0, on),
        Figure("exact Shapley, 16 parties", peak, "MB of the process", 2048.0,
               f"{on}; {measured['held'] / 2**10:.0f} MB before"),
    ]  # fmt: skip
