"""Which rule wins where: all rules under label skew, on LeNet parties trained on FashionMNIST. `make study`.

Every cell (parties, alpha, seed) is a federation of its own; its logits and its results are cached, so a study that was
stopped goes on where it was. The summary is written beside the notebook that reads it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

import fi_workbench as fi
from fi_workbench.core.digest import sha256
from fi_workbench.core.folders import cache_folder
from fi_workbench.parties.training import CODE_VERSION

SUMMARY = Path(__file__).parents[1] / "notebooks" / "skew_study.csv"
N_PARTIES, ALPHAS, SEEDS = (5, 10, 20), (0.05, 0.1, 0.5, 100.0), (0, 1, 2)
EPOCHS = 5
N_PROXY = 2000
"""Labelled test queries on which learned rules are fitted; all accuracies are on the other 8,000."""

N_AUGMENTED = 1000
"""Rules that ask the models again about each rotated query are measured on so many queries."""

LEARNED = ("stacked", "deep_set")


@dataclass(frozen=True)
class Cell:
    """One federation of the study."""

    n_parties: int
    alpha: float
    seed: int

    @property
    def name(self) -> str:
        return f"K{self.n_parties}_alpha{self.alpha:g}_seed{self.seed}_epochs{EPOCHS}_v{CODE_VERSION}"


def cells() -> list[Cell]:
    """All cells, one seed after another, so that an unfinished study has every setting before it has every seed."""
    return [Cell(k, alpha, seed) for seed, k, alpha in itertools.product(SEEDS, N_PARTIES, ALPHAS)]


def answers_of(cell: Cell) -> dict[str, Any]:
    """Logits on the test set, private facts and labels of one cell, from the cache where they were made before."""
    path = cache_folder("study") / f"{cell.name}.npz"
    if not path.exists():
        federation = federation_of(cell)
        images, labels = federation.test_set
        facts = [party.facts for party in federation.parties]
        made = {
            "logits": np.stack([party.predict(images) for party in federation.parties]),
            "labels": labels,
            "class_counts": np.stack([np.asarray(one.class_counts) for one in facts]),
            "temperatures": np.array([one.temperature for one in facts]),
        }
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, **made)
        part.replace(path)
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def federation_of(cell: Cell) -> fi.Federation:
    return fi.Federation.demo(
        "fashionmnist", cell.n_parties, cell.alpha, cell.seed, "lenet", epochs=EPOCHS, history=None,
        contribution="equal", deadline_seconds=600.0,
    )  # fmt: skip


def offline_rows(cell: Cell, held: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Accuracy of every rule that works on answers alone, of learned rules, and of the bounds."""
    logits, labels = held["logits"][:, N_PROXY:], held["labels"][N_PROXY:]
    for rule, calibrated in itertools.product(fi.rules, (False, True)):
        if rule in LEARNED or rule.startswith("tta_"):
            continue
        more = {"temperatures": held["temperatures"]} if calibrated else {}
        started = time.perf_counter()
        scores = fi.aggregate(logits, rule, class_counts=held["class_counts"], **more)
        yield row(cell, rule, "rule", calibrated, scores, labels, time.perf_counter() - started)
    for kind in LEARNED:
        started = time.perf_counter()
        combiner = fi.fit_combiner(kind, held["logits"][:, :N_PROXY], held["labels"][:N_PROXY], seed=cell.seed)
        scores = fi.aggregate(logits, kind, combiner=fi.combiners.add(combiner))
        yield row(cell, kind, "learned", False, scores, labels, time.perf_counter() - started)
    for bound in fi.bounds:
        yield row(cell, bound, "bound", False, fi.bound(logits, labels, bound), labels, 0.0)


def augmented_rows(cell: Cell) -> Iterator[dict[str, Any]]:
    """Accuracy of the rules that ask each model again about rotated queries."""
    with federation_of(cell) as federation:
        images, labels = federation.test_set
        some = slice(N_PROXY, N_PROXY + N_AUGMENTED)
        for rule in (name for name in fi.rules if name.startswith("tta_")):
            started = time.perf_counter()
            record = federation.with_(rule=rule).ask(images[some], labels[some])
            yield row(cell, rule, "rule", False, record.scores, labels[some], time.perf_counter() - started)


def row(cell: Cell, rule: str, kind: str, calibrated: bool, scores: Any, labels: Any, seconds: float) -> dict[str, Any]:
    accuracy = float((scores.argmax(axis=1) == labels).mean())
    return {
        "n_parties": cell.n_parties, "alpha": cell.alpha, "seed": cell.seed, "rule": rule, "kind": kind,
        "calibrated": calibrated, "accuracy": accuracy, "n_queries": len(labels), "seconds": round(seconds, 4),
    }  # fmt: skip


@cache
def code_digest() -> str:
    """Of the code that the rules are: what was measured with other code is measured again."""
    package = Path(fi.__file__).parent
    files = [
        *sorted((package / "aggregation").glob("*.py")),
        package / "core" / "arrays.py",
        package / "core" / "crowd.py",
    ]
    return sha256([path.read_bytes() for path in files])


def rows_of(cell: Cell) -> list[dict[str, Any]]:
    """All rows of one cell, from the cache where the same rules were measured before."""
    known = sha256([code_digest(), list(fi.rules), list(fi.bounds), N_AUGMENTED])
    path = cache_folder("study") / f"{cell.name}.json"
    if path.exists() and (held := json.loads(path.read_text()))["rules"] == known:
        return list(held["rows"])
    rows = [*offline_rows(cell, answers_of(cell)), *augmented_rows(cell)]
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"rules": known, "rows": rows}))
    part.replace(path)
    return rows


def with_gaps(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The rows, each with the share of the gap between soft vote and oracle of its cell that it closes."""
    table = pd.DataFrame(rows)
    cell = ["n_parties", "alpha", "seed"]
    soft = table[(table.rule == "soft_vote") & ~table.calibrated].set_index(cell).accuracy
    oracle = table[table.rule == "oracle"].set_index(cell).accuracy
    at = pd.MultiIndex.from_frame(table[cell])
    low, high = soft.reindex(at).to_numpy(), oracle.reindex(at).to_numpy()
    table["gap_closed"] = (table.accuracy - low) / (high - low)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.skew_study", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS, help="of 0, 1, 2; all by default")
    parser.add_argument("--parties", type=int, nargs="*", default=N_PARTIES, help="of 5, 10, 20; all by default")
    options = parser.parse_args()
    console, rows = Console(), list[dict[str, Any]]()
    chosen = [cell for cell in cells() if cell.seed in options.seeds and cell.n_parties in options.parties]
    for number, cell in enumerate(chosen, start=1):
        started = time.perf_counter()
        rows += rows_of(cell)
        console.print(f"{number}/{len(chosen)} {cell.name}: {time.perf_counter() - started:.0f} s", style="dim")
    table = with_gaps(rows)
    if len(chosen) == len(cells()):
        table.drop(columns="seconds").round({"accuracy": 5, "gap_closed": 4}).to_csv(SUMMARY, index=False)
        console.print(f"written to {SUMMARY.name}")
    mean = table.groupby(["rule", "calibrated", "n_parties", "alpha"]).accuracy.mean().unstack([2, 3])
    console.print((100 * mean).round(1).to_string())
    target = table[(table.n_parties == 10) & (table.alpha == 0.1) & (table.kind == "rule")]
    if len(target):
        best = target.groupby(["rule", "calibrated"]).gap_closed.mean().nlargest(8)
        console.print("share of the gap from soft vote to oracle closed at K=10, alpha=0.1 (target 0.45):")
        console.print(best.round(3).to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
