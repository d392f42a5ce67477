"""``fi-workbench ledger``: shows, verifies and exports payments."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fi_workbench.cli.bars import bars_on, shown_in
from fi_workbench.core.errors import LedgerError

if TYPE_CHECKING:
    from fi_workbench.incentives.ledger import Ledger
    from fi_workbench.incentives.ledger.checking import Since


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("ledger", help="show, verify and export who was paid for what")
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


def _verify_ledger(options: argparse.Namespace, console: Console) -> int:
    from fi_workbench.incentives.ledger.checking import verify_export
    from fi_workbench.incentives.ledger.exporting import FORMATS

    signatures = not options.no_signatures
    with bars_on(console) as bars:
        if _existing(options.file).suffix in FORMATS:
            if options.since_checkpoint:
                raise LedgerError("An export is verified from its beginning; leave out --since-checkpoint.")
            found = verify_export(options.file, options.key, signatures, shown_in(bars))
        else:
            with _ledger(options.file) as ledger:
                since: Since = "checkpoint" if options.since_checkpoint else "beginning"
                found = ledger.verify(since, options.key, signatures, shown_in(bars))
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
