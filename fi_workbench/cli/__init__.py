"""The command line: ``demo``, ``host`` a link, ``join`` as a party elsewhere, ``key`` for its keys, ``ledger``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console

import fi_workbench
from fi_workbench.cli import demo, host, join, key, ledger
from fi_workbench.core.errors import FederationError

Commands = Any
"""What ``argparse`` adds commands to; it has no public name."""

COMMANDS: tuple[Callable[[Commands], None], ...] = (demo.add, host.add, join.add, key.add, ledger.add)
"""Each adds one command, and says by ``set_defaults(run=...)`` what runs it."""


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
    for add in COMMANDS:
        add(commands)
    return parser
