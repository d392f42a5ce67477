"""Sums that hide their summands beside plain rounds: time, bytes, error; and what a party pays as cohorts grow.

`python -m benchmarks.secure_sum` measures the growth up to 1,000 parties, prints it as a table and writes
`benchmarks/results/secure_sum.json`. A party's time is the processor's, in its own steps; what the question itself
takes, with its cohort of n keys, is what a plain round takes, in columns of its own.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import fi_workbench as fi
from benchmarks.figures import Figure, interleaved, median
from fi_workbench.core.arrays import softmax
from fi_workbench.privacy import make_mechanism
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.party_side import PartySide

CLASSES = [str(digit) for digit in range(10)]
WAYS = ("plain", "secure_sum", "encrypted_sum")
SIZES = (10, 30, 100, 300, 1000)
N_QUERIES = 64
RESULTS = Path(__file__).parent / "results" / "secure_sum.json"


def weights(k: int) -> np.ndarray:
    """A model that takes no time."""
    return np.random.default_rng(k).normal(size=(4, len(CLASSES))).astype(np.float32)


def party(k: int) -> fi.Party:
    held = weights(k)
    return fi.Party.from_callable(
        lambda queries: queries @ held, name=f"P{k}", classes=CLASSES, input_shape=(4,), outputs="logits", probe=False
    )


def batch(n_queries: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_queries, 4)).astype(np.float32)


def federation(n_parties: int) -> fi.Federation:
    """Soft votes, of which nothing but the sum is asked."""
    parties = [party(k) for k in range(n_parties)]
    return fi.Federation(parties, history=None, contribution="equal", deadline_seconds=600.0)


def ways() -> tuple[str, ...]:
    """Those that can be measured here."""
    return tuple(name for name in WAYS if not make_mechanism(name).carrier.cannot(5))


def error(hidden: fi.Federation, queries: np.ndarray) -> float:
    """Largest error of the sum of the probabilities, relative to the largest sum; scores are rounded to float32."""
    client, released = hidden.runtime.client, list[Any]()

    def opened(*given: Any) -> Any:
        released.append(ClientSide.open(client, *given))
        return released[-1]

    client.open = opened
    try:
        hidden.ask(queries)
    finally:
        del client.open
    exact = sum(softmax(queries @ weights(k)).astype(np.float64) for k in range(len(hidden.parties)))
    return float(np.abs(released[-1].sums["probabilities"] - exact).max() / exact.max())


def side_by_side(n_parties: int, n_queries: int, n: int) -> dict[str, dict[str, float]]:
    """Median seconds, each beside plain rounds in turns; bytes of a round; and the error."""
    queries, measured = batch(n_queries), dict[str, dict[str, float]]()
    with federation(n_parties) as plain:
        for way in ways():
            hidden = plain.with_(mechanism=way)
            taken, beside = interleaved(lambda hidden=hidden: hidden.ask(queries), lambda: plain.ask(queries), n)
            record = hidden.ask(queries)
            assert record.present == tuple(one.name for one in plain.parties), record.absent
            cost = record.cost
            measured[way] = {
                "seconds": median(taken), "over_plain_seconds": median(taken) - median(beside),
                "bytes": cost.bytes_in + cost.bytes_out, "error": error(hidden, queries),
            }  # fmt: skip
    return measured


@contextmanager
def alone(name: str) -> Iterator[list[float]]:
    """Processor seconds of one party's own steps; what the parties of a process keep for one another, it keeps apart.

    Elsewhere a party has a process of its own. Here they share one, which reads the signed question, say, and draws the
    graph of neighbours once for all of them.
    """
    here, spent, handle = threading.local(), list[float](), PartySide.handle
    swapped = [(module, attribute, kept, _apart(kept, here)) for module, attribute, kept in _caches()]

    def timed(side: PartySide, phase: str, body: Any) -> Any:
        if side.party.name != name:
            return handle(side, phase, body)
        here.alone, began = True, time.thread_time()
        try:
            return handle(side, phase, body)
        finally:
            spent.append(time.thread_time() - began)
            here.alone = False

    PartySide.handle = timed
    for module, attribute, _, apart in swapped:
        setattr(module, attribute, apart)
    try:
        yield spent
    finally:
        PartySide.handle = handle
        for module, attribute, kept, _ in swapped:
            setattr(module, attribute, kept)


def _caches() -> list[tuple[Any, str, Any]]:
    """Every function of the package that remembers what it returned, wherever it is known by a name."""
    modules = [module for name, module in sys.modules.items() if name.startswith("fi_workbench.")]
    return [
        (module, attribute, value) for module in modules for attribute, value in list(vars(module).items())
        if hasattr(value, "cache_info") and hasattr(value, "__wrapped__")
    ]  # fmt: skip


def _apart(kept: Any, here: threading.local) -> Any:
    own = _own(kept)

    def asked(*given: Any, **named: Any) -> Any:
        return (own if getattr(here, "alone", False) else kept)(*given, **named)

    return asked


@cache
def _own(kept: Any) -> Any:
    """One for all names of a function."""
    return lru_cache(maxsize=kept.cache_parameters()["maxsize"])(kept.__wrapped__)


def point(n_parties: int) -> list[dict[str, Any]]:
    """What one party pays for one round, in each way."""
    queries, rows, own = batch(N_QUERIES), list[dict[str, Any]](), (0.0, 0.0)
    with alone(f"P{n_parties // 2}") as spent, federation(n_parties) as plain:
        for way in ways():
            hidden = plain.with_(mechanism=way)
            hidden.ask(queries)
            seconds, rounds = list[float](), list[float]()
            for _ in range(5 if n_parties <= 100 else 3):
                spent.clear()
                began = time.perf_counter()
                cost = hidden.ask(queries).cost
                rounds.append(time.perf_counter() - began)
                seconds.append(sum(spent))
            n_bytes, party_seconds = (cost.bytes_in + cost.bytes_out) / n_parties, median(seconds)
            if way == "plain":
                own = (party_seconds, cost.bytes_out / n_parties)
            rows.append({
                "n_parties": n_parties, "way": way, "round_seconds": median(rounds), "party_seconds": party_seconds,
                "question_seconds": own[0], "party_bytes": n_bytes, "question_bytes": own[1],
                "beside_question_seconds": max(party_seconds - own[0], 0.0), "beside_question_bytes": n_bytes - own[1],
            })  # fmt: skip
    return rows


def exponent(rows: list[dict[str, Any]], what: str, way: str = "secure_sum") -> float:
    """b of the best fit of a n^b, on logarithms."""
    points = [(row["n_parties"], row[what]) for row in rows if row["way"] == way and row[what] > 0]
    return float(np.polyfit(*np.log(np.array(points)).T, 1)[0])


@cache
def growth() -> tuple[dict[str, Any], ...]:
    return tuple(row for n_parties in SIZES for row in point(n_parties))


def run() -> list[Figure]:
    """The two sizes of interest, their errors, and how a party's cost grows."""
    figures = []
    for n_parties, n_queries, n in ((5, 256, 30), (100, 1024, 3)):
        measured, on = side_by_side(n_parties, n_queries, n), f"{n_parties} parties x {n_queries:,} x 10"
        plain = measured["plain"]
        for way in [name for name in measured if name != "plain"]:
            one, name = measured[way], f"{way.replace('_', ' ')}, {on}"
            detail = (
                f"a round {one['seconds'] * 1e3:.1f} ms and {one['bytes'] / 1e3:,.0f} kB, a plain one "
                f"{(one['seconds'] - one['over_plain_seconds']) * 1e3:.1f} ms and {plain['bytes'] / 1e3:,.0f} kB"
            )
            hidden = way == "secure_sum"
            if n_parties == 5:
                over, target = one["over_plain_seconds"] * 1e3, 15.0 if hidden else 60.0
                figures.append(Figure(name, over, "ms over a plain round", target, detail))
            else:
                figures.append(Figure(name, one["seconds"], "s", 2.0 if hidden else 4.0, detail))
            detail = f"beside a sum in float64; a plain round's {plain['error']:.2g}"
            figures.append(Figure(f"{name}: error", one["error"], "of the largest sum", 2.0**-20, detail))
    rows = list(growth())
    write(rows)
    on = f"{N_QUERIES} x 10, {', '.join(map(str, SIZES))} parties; whole {{}} n^{{:.2f}}"
    for what, unit in (("bytes", "kB"), ("seconds", "ms")):
        values = [row[f"beside_question_{what}"] * (1e-3 if what == "bytes" else 1e3) for row in rows
                  if row["way"] == "secure_sum"]  # fmt: skip
        listed = ", ".join(f"{value:.3g}" for value in values)
        detail = f"{listed} {unit}; {on.format(what, exponent(rows, f'party_{what}'))} with the question's own"
        grows = exponent(rows, f"beside_question_{what}")
        figures.append(Figure(f"secure sum, {what} of a party", grows, "exponent of n", 0.5, detail))
    return figures


def write(rows: list[dict[str, Any]]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"n_queries": N_QUERIES, "n_classes": len(CLASSES), "rows": rows}, indent=2) + "\n")


def main() -> int:
    rows = list(growth())
    write(rows)
    heads = ("parties", "way", "round, s", "a party, ms", "question, ms", "a party, kB", "question, kB")
    table = Table(*heads, title=f"What one party pays for {N_QUERIES} x 10")
    for row in rows:
        table.add_row(
            f"{row['n_parties']:,}", row["way"], f"{row['round_seconds']:.2f}", f"{row['party_seconds'] * 1e3:.2f}",
            f"{row['question_seconds'] * 1e3:.2f}", f"{row['party_bytes'] / 1e3:.1f}",
            f"{row['question_bytes'] / 1e3:.1f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    for way in ways():
        grown = {what: exponent(rows, what, way) for what in ("party_seconds", "party_bytes")}
        console.print(f"{way}: " + ", ".join(f"{what} ~ n^{value:.2f}" for what, value in grown.items()))
    for what in ("beside_question_seconds", "beside_question_bytes"):
        console.print(f"secure_sum, {what}: n^{exponent(rows, what):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
