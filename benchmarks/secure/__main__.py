"""`python -m benchmarks.secure`: ours beside plain torch, CrypTen and SPU; a quarter of an hour, more with --long.

Prints tables, and writes `benchmarks/results/secure.json` with every sample, and `secure.html`, the picture. CrypTen
and SPU get environments of their own in the cache folder the first time. The part with hosts far apart needs Linux and
root.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.secure import studies
from benchmarks.secure.environments import CRYPTEN, SPU
from benchmarks.secure.picture import picture
from benchmarks.secure.tables import case_table, figure_table, owners_table
from benchmarks.secure.targets import figures
from benchmarks.secure.wan import MEGABITS, ROUND_TRIP_MS, NoWan
from benchmarks.secure.workers import WorkerFailed

PARTS = ("loopback", "sustained", "owners", "wan")
RESULTS = Path(__file__).parents[1] / "results" / "secure.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.secure", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--long", action="store_true", help="also what takes minutes a batch, and up to 40 GB")
    parser.add_argument("--turns", type=int, default=7, help="of each system (default 7)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of sustained queries (default 60)")
    parser.add_argument("--models", help="only these, separated by commas")
    parser.add_argument("--batches", help="only these, separated by commas")
    parser.add_argument("--alone", action="store_true", help="without CrypTen and SPU")
    told = parser.parse_args()
    parts = told.parts or PARTS
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that processes and namespaces are taken down
    console = Console()

    def said(text: str) -> None:
        console.print(text, style="dim", markup=False, highlight=False)

    with tempfile.TemporaryDirectory(prefix="fi-secure-benchmark-") as folder:
        measured = run(parts, Path(folder), told, console, said)
    console.print(figure_table(figures(measured)))
    said(f"written to {RESULTS}")
    return 1 if measured["failed"] else 0


def run(
    parts: Any, folder: Path, told: argparse.Namespace, console: Console,
    said: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Measure, and write after each step, so that an end too early loses one."""
    recipes = studies.Recipes(said, wanted=not told.alone)
    measured: dict[str, Any] = {
        "when": datetime.now(UTC).isoformat(), "machine": machine(), "versions": versions(), "refused": recipes.refused,
        "wan": {"round_trip_ms": ROUND_TRIP_MS, "megabits_a_link": MEGABITS}, "cases": [], "failed": {},
    }  # fmt: skip

    def part(name: str, work: Callable[[], None]) -> None:
        if name not in parts:
            return
        try:
            work()
        except NoWan as error:
            recipes.refused[name] = str(error)
            said(f"{name}: not here, {error}")
        except (WorkerFailed, OSError) as error:
            measured["failed"][name] = str(error)
            console.print(f"{name} failed: {error}", style="red", markup=False)
        write(measured)

    def cases(study: Any, chosen: Any) -> None:
        chosen = [case for case in chosen if _among(told.models, case.model) and _among(told.batches, case.n_queries)]
        for case in study(chosen, folder, recipes, said):
            measured["cases"].append(case)
            write(measured)
            console.print(case_table(case))

    def owners() -> None:
        measured["owners"] = studies.more_owners(folder, told.turns)
        console.print(owners_table(measured["owners"]))

    def lasting() -> None:
        measured["sustained"] = studies.sustained(folder, told.seconds)

    part("sustained", lasting)
    part("owners", owners)
    part("loopback", lambda: cases(
        studies.side_by_side, studies.loopback_cases(long=told.long, n_turns=told.turns)))  # fmt: skip
    part("wan", lambda: cases(studies.far_apart, studies.wan_cases(long=told.long, n_turns=told.turns)))
    return measured


def _among(listed: str | None, value: object) -> bool:
    return listed is None or str(value) in listed.split(",")


def write(measured: dict[str, Any]) -> None:
    """JSON and picture."""
    RESULTS.parent.mkdir(exist_ok=True)
    kept = {**measured, "figures": [figure.to_dict() for figure in figures(measured)]}
    RESULTS.write_text(json.dumps(kept, indent=2) + "\n")
    if measured["cases"]:
        picture(measured["cases"]).write_html(RESULTS.with_suffix(".html"), include_plotlyjs="cdn")


def machine() -> dict[str, Any]:
    """On what it was measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return {"cpu": cpu, "cores": os.cpu_count(), "load": os.getloadavg(), "system": platform.platform()}


def versions() -> dict[str, str]:
    """Of what was compared."""
    return {
        "python": platform.python_version(), "torch": str(torch.__version__),
        "cryptography": importlib.metadata.version("cryptography"),
        **{recipe.name: " ".join(word for step in recipe.steps for word in step) for recipe in (CRYPTEN, SPU)},
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
