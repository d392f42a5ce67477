"""How the cost of a round grows: with parties, batch, classes, bytes, and rounds at once. `make scale`.

`python -m benchmarks.scale` measures and writes `benchmarks/results/scale.json`; `--markdown` prints that as tables,
and `--picture out.html` draws it. Every point is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.processes import REPOSITORY
from benchmarks.scale_point import Case

RESULTS = Path(__file__).parent / "results" / "scale.json"
POINT_LIMIT_SECONDS = 600.0

CASES = (
    *(Case("parties", n_parties=n) for n in (1, 2, 5, 10, 20, 50, 100)),
    *(Case("parties", "embedded", n_parties=n) for n in (1, 10, 100, 1000)),
    *(Case("batch", n_queries=n) for n in (1, 8, 64, 512, 4096)),
    *(Case("classes", n_classes=n) for n in (2, 10, 100, 1000)),
    *(Case("bytes", shape=shape) for shape in ((1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 128, 128), (3, 224, 224))),
    *(Case("askers", n_askers=n) for n in (1, 2, 4, 8, 16, 32)),
)

HEADS = {"parties": "parties", "batch": "queries", "classes": "classes", "bytes": "MB of queries", "askers": "at once"}
TITLES = {
    "parties": "Parties (64 queries of 8x8, 10 classes)",
    "batch": "Batch (5 parties, queries of 8x8, 10 classes)",
    "classes": "Classes (5 parties, 64 queries of 8x8)",
    "bytes": "Bytes of the queries (5 parties, 64 queries, 10 classes)",
    "askers": "Rounds at once (5 parties, 64 queries of 8x8, 10 classes)",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("studies", nargs="*", metavar="study", help=f"of {', '.join(TITLES)}; all by default")
    parser.add_argument("--markdown", action="store_true", help="print what was measured as tables; measure nothing")
    parser.add_argument("--picture", type=Path, metavar="FILE.html", help="draw what was measured; measure nothing")
    options = parser.parse_args()
    if unknown := sorted(set(options.studies) - set(TITLES)):
        parser.error(f"no study {', '.join(unknown)}; there are {', '.join(TITLES)}")
    if not options.markdown and options.picture is None:
        study(options.studies or tuple(TITLES), Console())
    measured = read()
    if options.picture is not None:
        from benchmarks.scale_picture import picture  # noqa: PLC0415 (plotly is slow to load, and rarely wanted)

        picture(measured["points"]).write_html(options.picture, include_plotlyjs=True)
        print(f"drawn in {options.picture}")
    else:
        print(markdown(measured["points"]))
    return 0


def study(names: Sequence[str], console: Console) -> None:
    """Measure all cases of these studies; those of others stay as they were measured before."""
    cases = [case for case in CASES if case.study in names]
    kept = [point for point in read()["points"] if point["study"] not in names] if RESULTS.exists() else []
    points = list(kept)
    for number, case in enumerate(cases, start=1):
        console.print(f"{number}/{len(cases)} {case.study} {case.x}, {case.where} ...", style="dim", highlight=False)
        points.append(measured_apart(case))
        write(points)


def measured_apart(case: Case) -> dict[str, Any]:
    """Measure one case in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale_point"], input=json.dumps(case.to_dict()), cwd=REPOSITORY,
        capture_output=True, text=True, check=False, timeout=POINT_LIMIT_SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{case} could not be measured:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def read() -> dict[str, Any]:
    """What was measured last."""
    if not RESULTS.exists():
        raise SystemExit("Nothing was measured yet: run `make scale`.")
    return json.loads(RESULTS.read_text())


def write(points: Sequence[dict[str, Any]]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "load": os.getloadavg(), "python": platform.python_version()}
    result = {"when": datetime.now(UTC).isoformat(), "machine": machine, "points": list(points)}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")


def markdown(points: Sequence[dict[str, Any]]) -> str:
    """One table for each study."""
    return "\n".join(line for name in TITLES for line in _table(name, [p for p in points if p["study"] == name]))


def _table(name: str, points: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not points:
        return
    yield f"### {TITLES[name]}\n"
    yield (
        f"| {HEADS[name]} | where | round, median | p95 | rounds/s | out, MB | back, MB | CPU link, ms "
        "| CPU parties, ms | link's peak, MB |"
    )
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for one in points:
        x = one["x"] / 1e6 if name == "bytes" else one["x"]
        parties = "in the link's" if one["party_cpu_seconds"] is None else _number(1e3 * one["party_cpu_seconds"])
        yield (
            f"| {_number(x)} | {one['where']} | {_milliseconds(one['median_seconds'])} | "
            f"{_milliseconds(one['p95_seconds'])} | {_number(one['rounds_per_second'])} | "
            f"{_number(one['bytes_out'] / 1e6)} | {_number(one['bytes_in'] / 1e6)} | "
            f"{_number(1e3 * one['link_cpu_seconds'])} | {parties} | {_number(one['peak_bytes'] / 2**20)} |"
        )
    yield ""


def _milliseconds(seconds: float) -> str:
    return f"{_number(1e3 * seconds)} ms"


def _number(value: float) -> str:
    """Three significant digits."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
