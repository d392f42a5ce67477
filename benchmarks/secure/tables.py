"""What was measured, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.secure.targets import REFERENCE, ratio


def case_table(case: Mapping[str, Any]) -> Table:
    """All systems on one case, each with what it trusts; the references count rounds where ours counts messages."""
    where = "70 ms round trip, 320 Mbit/s a link" if case["where"] == "wan" else "loopback"
    table = Table("system", title=f"{case['title']}, {where}")
    for head in ("median, ms", "quartiles", "CrypTen 3 takes", "MB", "messages", "CPU, ms", "error"):
        table.add_column(head, justify="right")
    table.add_column("trust")
    for name, one in case["systems"].items():
        if one["refused"] or not one["samples"]:
            table.add_row(name, *["-"] * 7, one["refused"])
            continue
        low, high = one["quartile_seconds"]
        times, counted = ratio(case, REFERENCE, name), one["counted"]
        n_bytes = counted.get("wire_bytes", counted.get("n_bytes"))
        table.add_row(
            name, number(1e3 * one["median_seconds"]), f"{number(1e3 * low)}-{number(1e3 * high)}",
            "-" if times is None else f"{number(times)}x", "-" if n_bytes is None else number(n_bytes / 1e6),
            str(counted.get("n_messages", counted.get("n_rounds", counted.get("critical_messages", "-")))),
            number(1e3 * one["cpu_seconds"]), f"{one['error']:.1e}",
            one["trust"].partition(":")[0],
        )  # fmt: skip
    return table


def figure_table(figures: Sequence[Figure]) -> Table:
    """Targets, and whether they are met."""
    table = Table("figure", "value", "unit", "target", "met", "measured on", title="Secure inference beside CrypTen")
    for one in figures:
        bound = ">=" if one.at_least else "<="
        met = "yes" if one.met else "[bold red]no"
        table.add_row(one.name, number(one.value), one.unit, f"{bound} {one.target:.3g}", met, one.detail)
    return table


def owners_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What more owners cost."""
    heads = ("owners", "messages one behind another", "MB an owner, offline", "MB an owner, online")
    table = Table(*heads, title="LeNet, more owners")
    for row in rows:
        each = row["bytes_per_owner"]
        table.add_row(
            str(row["n_models"]), str(row["critical_messages"]), number(each["offline"] / 1e6),
            number(each["online"] / 1e6),
        )  # fmt: skip
    return table


def number(value: float) -> str:
    """Three significant digits, but all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
