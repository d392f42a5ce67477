"""`python -m benchmarks [name ...]`: run benchmarks, print a table, write `benchmarks/results/latest.json`."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

ALL = (
    "ask", "memory", "demo", "rules", "shapley", "paying", "ledger", "secure_sum", "budget", "first_paint", "live_view",
    "network", "joining",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(ALL)}; all by default")
    names = parser.parse_args().names or ALL
    if unknown := sorted(set(names) - set(ALL)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}")
    console, figures, failed = Console(), [], []
    table = Table("benchmark", "figure", "unit", "target", "met", "measured on", title="Benchmarks")
    for name in names:
        console.print(f"measuring {name} ...", style="dim")
        try:
            measured = importlib.import_module(f"benchmarks.{name}").run()
        except Exception:  # noqa: BLE001 - it is shown, and the others are still worth their time
            console.print_exception()
            failed.append(name)
            continue
        for figure in measured:
            figures.append(figure.to_dict())
            bound = ">=" if figure.at_least else "<="
            table.add_row(
                figure.name, f"{figure.value:.3g}", figure.unit, f"{bound} {figure.target:.3g}",
                "yes" if figure.met else "[bold red]no", figure.detail,
            )  # fmt: skip
    console.print(table)
    machine = {"cores": os.cpu_count(), "load": os.getloadavg(), "python": platform.python_version()}
    RESULTS.parent.mkdir(exist_ok=True)
    result = {"when": datetime.now(UTC).isoformat(), "machine": machine, "figures": figures, "failed": failed}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
