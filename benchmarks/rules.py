"""Every rule that needs no model, and what learned rules take, beside the soft vote on the same answers."""

from __future__ import annotations

import numpy as np

from benchmarks.figures import Figure, interleaved, median
from fi_workbench.aggregation import aggregate, rules
from fi_workbench.aggregation.combiner import Combiner, Kind, weight_shapes
from fi_workbench.aggregation.learned import scores_of
from fi_workbench.core.arrays import softmax

N_PARTIES, N_QUERIES, N_CLASSES = 20, 10_000, 10
WIDTH = 128
"""Of the layers of a deep set, as `fit_combiner` makes it."""

TURNS = 3


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Logits (party, query, class) of parties with skewed data, and their class counts (party, class)."""
    rng = np.random.default_rng(0)
    counts = np.rint(6_000 * rng.dirichlet(np.full(N_PARTIES, 0.1), N_CLASSES).T).astype(np.int64)
    labels = rng.integers(0, N_CLASSES, N_QUERIES)
    logits = rng.normal(0, 1.5, (N_PARTIES, N_QUERIES, N_CLASSES)) + np.log1p(counts)[:, None] / 2
    logits[:, np.arange(N_QUERIES), labels] += 3.0
    return logits.astype(np.float32), counts


def combiner(kind: Kind) -> Combiner:
    """Weights of no use: what inference takes does not depend on what they are."""
    rng = np.random.default_rng(1)
    shapes = weight_shapes(kind, N_PARTIES, N_CLASSES, {"bias_1": np.zeros(WIDTH)})
    weights = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    return Combiner(kind, tuple(f"party {k}" for k in range(N_PARTIES)), N_CLASSES, weights)


def run() -> list[Figure]:
    """The slowest rule in seconds and in soft votes; each learned rule by itself."""
    logits, counts = batch()
    on = f"{N_PARTIES} parties, {N_QUERIES:,} queries, {N_CLASSES} classes"

    def soft() -> None:
        aggregate(logits, "soft_vote")

    taken: dict[str, tuple[float, float]] = {}
    for name, rule in rules.items():
        if rule.asks_again or any(option.name == "combiner" for option in rule.options):
            continue
        times, baseline = interleaved(
            lambda name=name: aggregate(logits, name, class_counts=counts), soft, TURNS
        )  # fmt: skip
        taken[name] = (median(times), median(baseline))
    ranked = sorted(taken, key=lambda name: taken[name][0], reverse=True)
    slowest = ranked[0]
    seconds, baseline_seconds = taken[slowest]
    others = ", ".join(f"{name} {taken[name][0] * 1e3:.0f} ms" for name in ranked[1:4])
    figures = [
        Figure(f"slowest rule: {slowest}", seconds, "s", 1.0, f"{on}; of {len(taken)} rules; then {others}"),
        Figure(f"slowest rule: {slowest}", seconds / baseline_seconds, "soft votes", 30.0,
               f"{on}: the soft vote {baseline_seconds * 1e3:.0f} ms"),
    ]  # fmt: skip
    answers = softmax(logits)
    for kind in ("stacked", "deep_set"):
        fitted = combiner(kind)
        times, baseline = interleaved(lambda fitted=fitted: scores_of(fitted, answers), soft, TURNS)
        figures.append(
            Figure(f"learned rule: {kind}", median(times), "s", 5.0,
                   f"{on}; inference alone, {median(times) / median(baseline):.0f} soft votes")
        )  # fmt: skip
    return figures
