"""The command line: ``fi-workbench demo`` runs the main job in a terminal, ``ledger`` shows and verifies payments."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

import fi_workbench
from fi_workbench.core.errors import FederationError, LedgerError

if TYPE_CHECKING:
    from fi_workbench.core.progress import OnProgress
    from fi_workbench.core.progress import Progress as Step
    from fi_workbench.incentives.ledger import Ledger
    from fi_workbench.incentives.ledger.checking import Since
    from fi_workbench.session.federation import Federation
    from fi_workbench.session.summary import Summary


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for a ledger that is not in order, or 2 for what could not be done."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        return int(options.run(options, console))
    except FederationError as error:
        console.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        console.print(str(error), markup=False)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped; what was answered so far is in the history.")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fi-workbench", description="Federated inference: private models answer together."
    )
    parser.add_argument("--version", action="version", version=fi_workbench.__version__)
    commands = parser.add_subparsers(required=True, metavar="command")
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
    _add_ledger(commands.add_parser("ledger", help="show, verify and export who was paid for what"))
    return parser


def _add_ledger(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="command")
    verify = commands.add_parser("verify", help="derive everything anew; exit status 1 when something is wrong")
    verify.add_argument("file", help="a ledger, or its export to .jsonl or .csv")
    verify.add_argument("--since-checkpoint", action="store_true", help="begin at the last one signed by --key")
    verify.add_argument("--key", metavar="HEX", help="Ed25519 key that must have signed a checkpoint")
    verify.add_argument("--no-signatures", action="store_true", help="only hashes, balances and rules")
    verify.set_defaults(run=_verify_ledger)
    show = commands.add_parser("show", help="accounts, open holds and the last transactions")
    show.add_argument("file")
    show.add_argument("--last", type=int, default=10, metavar="N", help="how many transactions (10)")
    show.set_defaults(run=_show_ledger)
    export = commands.add_parser("export", help="write all that a third person needs to verify it")
    export.add_argument("file")
    export.add_argument("out", help="ends in .jsonl or .csv")
    export.set_defaults(run=_export_ledger)
    deposit = commands.add_parser("deposit", help="bring units into an account; makes the ledger if there is none")
    deposit.add_argument("file")
    deposit.add_argument("key", help="the account: an Ed25519 key in hexadecimal")
    deposit.add_argument("amount", help="units, with up to six decimals")
    deposit.add_argument("--name", default="", help="what people call the account")
    deposit.add_argument("--memo", default="")
    deposit.set_defaults(run=_deposit)


def _demo(options: argparse.Namespace, console: Console) -> int:
    from fi_workbench.session.federation import Federation  # torch and Flower take seconds: --help answers at once
    from fi_workbench.session.summary import summarise

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        federation = Federation.demo(
            options.dataset, options.parties, options.alpha, options.seed, options.model,
            rule=options.rule, contribution=options.contribution, on_progress=_shown_in(bars),
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


def _verify_ledger(options: argparse.Namespace, console: Console) -> int:
    from fi_workbench.incentives.ledger.checking import verify_export
    from fi_workbench.incentives.ledger.exporting import FORMATS

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    signatures = not options.no_signatures
    with Progress(*columns, console=console, transient=True) as bars:
        if _existing(options.file).suffix in FORMATS:
            if options.since_checkpoint:
                raise LedgerError("An export is verified from its beginning; leave out --since-checkpoint.")
            found = verify_export(options.file, options.key, signatures, _shown_in(bars))
        else:
            with _ledger(options.file) as ledger:
                since: Since = "checkpoint" if options.since_checkpoint else "beginning"
                found = ledger.verify(since, options.key, signatures, _shown_in(bars))
    for problem in found.problems:
        console.print(problem, style="red", markup=False, soft_wrap=True)
    checked = f"{found.n_transactions} transactions and {found.n_signatures} signatures in {found.seconds:.1f} s"
    verdict = "In order" if found.ok else f"NOT in order (problems: {len(found.problems)})"
    Console().print(f"{verdict}: {checked}.", soft_wrap=True, highlight=False)
    return 0 if found.ok else 1


def _show_ledger(options: argparse.Namespace, _console: Console) -> int:
    from fi_workbench.incentives.ledger.amounts import units

    with _ledger(options.file) as ledger:
        accounts, holds, entries = ledger.accounts(), ledger.holds(), ledger.entries(last=options.last)
    names = {account.key: account.name or account.key[:16] for account in accounts}
    tables = (
        ("Accounts", ("name", "key", ">units", ">held"),
         [(one.name, one.key[:16], units(one.balance), units(one.held)) for one in accounts]),
        ("Open holds", ("round", "client", ">units", "expires"),
         [(one.round_id, names.get(one.client_key, one.client_key[:16]), units(one.amount), _time(one.expires_at))
          for one in holds]),
        ("Last transactions", (">height", "time", "kind", "round", "postings"),
         [(str(one.height), _time(one.at), one.kind, (one.round_id or "")[:8],
           "\n".join(f"{names.get(key, 'escrow')} {units(amount)}" for key, _, amount in one.postings))
          for one in entries]),
    )  # fmt: skip
    for title, heads, rows in tables:
        table = Table(title=f"{title}: {len(rows)}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for head in heads:
            table.add_column(head.lstrip(">"), justify="right" if head.startswith(">") else "left")
        for row in rows:
            table.add_row(*map(escape, row))
        Console().print(table)
    return 0


def _export_ledger(options: argparse.Namespace, console: Console) -> int:
    with _ledger(options.file) as ledger:
        console.print(f"written to {ledger.export(options.out)}", soft_wrap=True, markup=False)
    return 0


def _deposit(options: argparse.Namespace, console: Console) -> int:
    from fi_workbench.incentives.ledger import Ledger
    from fi_workbench.incentives.ledger.amounts import parse_units, units

    amount = parse_units(options.amount)
    with Ledger(options.file) as ledger:
        ledger.deposit(options.key, amount, options.memo, options.name)
        console.print(f"{units(amount)} deposited; {options.key[:16]} has {units(ledger.balance(options.key))}.")
    return 0


def _ledger(file: str) -> Ledger:
    from fi_workbench.incentives.ledger import Ledger

    return Ledger(_existing(file))  # looking at a ledger makes none


def _existing(file: str) -> Path:
    if not Path(file).is_file():
        raise LedgerError(f"There is no ledger {file}. `fi-workbench ledger deposit` makes one.")
    return Path(file)


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}Z"


def _shown_in(bars: Progress) -> OnProgress:
    """Progress of long work as one bar for each task."""
    tasks: dict[str, TaskID] = {}

    def show(progress: Step) -> None:
        if progress.task not in tasks:
            tasks[progress.task] = bars.add_task(progress.task, total=progress.total or None)
        bars.update(tasks[progress.task], completed=progress.done, total=progress.total or None)

    return show


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
