"""``fi-workbench join --dry-run``: what was found, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from fi_workbench.session.dry_run import DryRun, Shown

_ROLES = ("client", "coordinator", "other_parties", "owner", "wire")
_SHOWN_CLASSES = 12
_SHOWN_CLIENTS = 12


def show(found: DryRun, key_exists: bool) -> None:
    """Print a dry run; ``key_exists`` says whether its key is the one that would be announced."""
    from fi_workbench.protocol.policy import Policy

    out = Console(soft_wrap=True, highlight=False)
    _announced(out, found, key_exists)
    _asked(out, found)
    for shown in found.shown:
        _disclosed(out, shown)
    out.print("The wire is whoever is on the way, where the link has no TLS.")
    for name, why in found.unserved.items():
        out.print(f"{name}: {why}.", markup=False)
    usual, budgeted = Policy().to_dict(), found.limits["epsilon"] is not None
    limits = [
        f"{name} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in found.limits.items()
        if value != usual[name] or (budgeted and name in ("delta", "accounting"))
    ]
    out.print(f"Limits: {'; '.join(limits) or 'none, everybody may ask anything'}.", markup=False)
    if budgeted:
        _affordable(out, found)
    if found.accounts:
        _accounts(out, found)
    if found.behaviour:
        out.print(f"Dishonest: it would behave as {found.behaviour}.", style="yellow", markup=False)
    out.print("Nothing was sent.")


def _table(title: str, *heads: str) -> Table:
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for head in heads:
        table.add_column(head)
    return table


def _announced(out: Console, found: DryRun, key_exists: bool) -> None:
    card = found.card
    classes = card["classes"]
    few = ", ".join(classes[:_SHOWN_CLASSES]) + (", ..." if len(classes) > _SHOWN_CLASSES else "")
    table = _table("It would announce", "what", "")
    rows = {
        "name": card["name"],
        "model": card["model"],
        "input shape": " x ".join(map(str, card["input_shape"])),
        "outputs": card["outputs"],
        "classes": f"{len(classes)}: {few}",
        "private facts held (not their values)": ", ".join(card["facts"]) or "none",
        "capabilities": ", ".join(card["capabilities"]),
        "key": card["key"] if key_exists else "none yet; one is made when it joins",
    }
    for name, value in rows.items():
        table.add_row(name, escape(str(value)))
    out.print(table)


def _asked(out: Console, found: DryRun) -> None:
    table = _table(f"Its model on {found.sample}", "queries at once", "ms per query")
    for latency in found.latencies:
        table.add_row(str(latency.n_queries), f"{latency.milliseconds_per_query:.3g}")
    out.print(table)
    ranked = sorted(zip(found.label_counts, found.card["classes"], strict=True), reverse=True)[:_SHOWN_CLASSES]
    named = ", ".join(f"{name} ({count} times)" for count, name in ranked if count)
    out.print(f"It named {named}; mean confidence {found.mean_confidence:.2f}.", markup=False)


def _affordable(out: Console, found: DryRun) -> None:
    table = _table("What its privacy budget allows one client, in all", "mechanism, with its usual options", "queries")
    for name, n_queries in found.affordable.items():
        table.add_row(name, f"{n_queries:,}" if n_queries else "none")
    out.print(table)


def _accounts(out: Console, found: DryRun) -> None:
    table = _table("What its clients were told so far", "client", "queries", "epsilon", "left", "last")
    for row in found.accounts[:_SHOWN_CLIENTS]:
        spent = f"{row.epsilon:.3g}" if row.guaranteed else "no guarantee"
        left = "no limit" if row.left is None else f"{row.left:.3g}"
        table.add_row(row.client[:16], f"{row.n_queries:,}", spent, left, row.last)
    out.print(table)
    if (n_more := len(found.accounts) - _SHOWN_CLIENTS) > 0:
        out.print(f"  and {n_more:,} clients more, who were told less.")


def _disclosed(out: Console, shown: Shown) -> None:
    table = _table(f"Who would see what under {shown.mechanism}", "", *(role.replace("_", " ") for role in _ROLES))
    for item, roles in shown.sees.items():
        table.add_row(item.replace("_", " "), *("sees" if role in roles else "-" for role in _ROLES))
    out.print(table)
    for text in (shown.explanation, *shown.assumptions):
        out.print(f"  {text}", markup=False)
