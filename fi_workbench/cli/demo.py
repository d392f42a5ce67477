"""``fi-workbench demo``: the main job in a terminal."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from fi_workbench.cli.bars import bars_on, shown_in

if TYPE_CHECKING:
    from fi_workbench.session.federation import Federation
    from fi_workbench.session.summary import Summary


def add(commands: Any) -> None:
    """Add the command."""
    demo = commands.add_parser(
        "demo", help="train demo parties and let them answer a test set together",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )  # fmt: skip
    demo.add_argument("--dataset", default="digits", help="digits, fashionmnist, pneumoniamnist, or an .npz file")
    demo.add_argument("--parties", type=int, default=5, metavar="N", help="how many parties")
    demo.add_argument("--alpha", type=float, default=0.3, help="label skew between the parties; small is more skewed")
    demo.add_argument("--model", default="mlp", help="logistic_regression, mlp, lenet or resnet")
    demo.add_argument("--rule", default="soft_vote", help="how the answers are combined")
    demo.add_argument("--contribution", default="auto", help="how contributions are valued")
    demo.add_argument(
        "--rounds", type=int, default=None, metavar="N", help="rounds; by default one pass over the test set"
    )
    demo.add_argument("--batch-size", type=int, default=32, metavar="N", help="queries in one round")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument("--json", action="store_true", help="print the result as JSON instead of a table")
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace, console: Console) -> int:
    from fi_workbench.session.federation import Federation  # torch and Flower take seconds: --help answers at once
    from fi_workbench.session.summary import summarise

    with bars_on(console) as bars:
        federation = Federation.demo(
            options.dataset, options.parties, options.alpha, options.seed, options.model,
            rule=options.rule, contribution=options.contribution, on_progress=shown_in(bars),
        )  # fmt: skip
        with federation:
            images, labels = federation.test_set
            rounds = bars.add_task("answering together", total=options.rounds or -(-len(labels) // options.batch_size))
            records = []
            for record in federation.stream(images, labels, batch_size=options.batch_size, n_rounds=options.rounds):
                records.append(record)
                bars.advance(rounds)
    summary = summarise(records, federation.parties)
    if options.json:
        sys.stdout.write(json.dumps({"federation": federation.to_dict(), "result": summary.to_dict()}, indent=2) + "\n")
        return 0
    _print(Console(), federation, summary, records[-1].digest)
    return 0


def _print(console: Console, federation: Federation, summary: Summary, digest: str) -> None:
    settings = federation.settings
    demo = federation.made_from
    about = f"{demo.dataset}, alpha {demo.alpha:g}" if demo is not None else "own data"
    title = f"{len(summary.parties)} parties answer together: {settings.rule} on {about}"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("party\n", no_wrap=True, overflow="ellipsis", max_width=16)
    table.add_column("model\n", no_wrap=True, overflow="ellipsis")
    heads = ("alone\n%", "all\n%", "gain\npoints", "on own\nmix", "share\n%", "latency\nms", "missed")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in summary.parties:
        table.add_row(
            row.party, row.model, _number(row.accuracy, 100), _number(row.consensus_accuracy, 100),
            _signed(row.gain_points), _signed(row.own_distribution_gain_points) + (" ▼" if row.loses else "  "),
            _number(row.share, 100), _number(row.latency_seconds, 1000), str(row.n_absent or "-"),
        )  # fmt: skip
    table.add_section()
    table.add_row("consensus", settings.rule, "", _number(summary.accuracy, 100), style="bold")
    table.add_row("oracle", "any right", "", _number(summary.oracle_accuracy, 100), style="dim")
    console.print(table)
    if any(row.loses for row in summary.parties):
        console.print("▼ loses by joining: alone it answers better on the mix of classes that it was trained on.")
    rate = summary.n_rounds / summary.seconds if summary.seconds else 0.0
    console.print(
        f"{summary.n_queries} queries in {summary.n_rounds} rounds, {rate:.0f} rounds/s; contribution by "
        f"{summary.contribution}; the best single party is {summary.best_party}."
    )
    console.print(f"Privacy: mechanism {settings.mechanism.name}. {settings.mechanism.carrier.explanation}")
    if federation.history.path is not None:
        console.print(f"Every round is in {federation.history.path}", soft_wrap=True)
    console.print(f"Digest of the last round: {digest}", soft_wrap=True)


def _number(value: float | None, scale: float) -> str:
    return "-" if value is None else f"{value * scale:.1f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f}"
