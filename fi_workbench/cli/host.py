"""``fi-workbench host``: a link that parties join and other processes of this user attach to."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fi_workbench.cli.bars import bars_on, shown_in
from fi_workbench.core.errors import FederationError
from fi_workbench.core.plain_text import clean

if TYPE_CHECKING:
    from fi_workbench.core.progress import OnProgress, Progress
    from fi_workbench.session.hosting import Host
    from fi_workbench.transport.roster import PartyState, RosterEntry


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "host", help="host a link that parties join, until stopped",
        description="Host a link that parties join, until stopped. Python reaches it by fi.attach(NAME).",
    )  # fmt: skip
    parser.add_argument(
        "--name", default="federation", help="what it is called; its keys are kept under this name (%(default)s)"
    )
    parser.add_argument(
        "--address", default="127.0.0.1:0", metavar="HOST:PORT",
        help="where to listen; port 0 is any free one (%(default)s: this computer only)",
    )  # fmt: skip
    parser.add_argument("--approve", action="store_true", help="parties that join wait until they are approved")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="PEM chain; self-signed otherwise")
    parser.add_argument("--certificate-key", type=Path, metavar="FILE", help="its private key, PEM")
    parser.add_argument("--invite", type=int, default=1, metavar="N", help="print so many join commands (%(default)s)")
    demo = parser.add_argument_group("demo parties, trained and run by this process")
    demo.add_argument("--parties", type=int, default=0, metavar="N", help="how many (%(default)s: only others join)")
    demo.add_argument(
        "--dataset", default="digits", help="digits, fashionmnist, pneumoniamnist, or an .npz file (%(default)s)"
    )
    demo.add_argument(
        "--alpha", type=float, default=0.3, help="label skew between them; small is more skewed (%(default)s)"
    )
    demo.add_argument("--model", default="mlp", help="logistic_regression, mlp, lenet or resnet (%(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="of their data and training (%(default)s)")
    parser.add_argument("--until-eof", action="store_true", help="end when the standard input does")
    parser.add_argument("--announce-by", choices=("cli", "panel", "kernel"), default="cli", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="print one JSON object for each event")
    parser.set_defaults(run=_host)


def _host(options: argparse.Namespace, console: Console) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    ending = _Ending(until_eof=options.until_eof)  # before parties are trained: that takes long, and must end too
    if not options.json:
        with bars_on(console) as bars:
            host = _made(options, shown_in(bars))
        return _stay(host, options, console, ending)
    try:
        host = _made(options, _json_progress)
    except FederationError as error:
        _json_line(event="error", text=str(error))
        raise
    return _stay(host, options, console, ending)


def _made(options: argparse.Namespace, on_progress: OnProgress) -> Host:
    from fi_workbench.core.errors import InvalidOption
    from fi_workbench.session.demo import Demo
    from fi_workbench.session.hosting import Host

    if (options.certificate is None) != (options.certificate_key is None):
        raise InvalidOption("--certificate and --certificate-key go together.")
    if options.parties < 0:
        raise InvalidOption(f"--parties must be 0 or more, not {options.parties}.")
    demo = Demo(options.dataset, options.parties, options.alpha, options.seed, options.model)
    return Host(
        options.name, options.address, demo=demo if options.parties else None, approve=options.approve,
        certificate=None if options.certificate is None else (options.certificate, options.certificate_key),
        by=options.announce_by, on_progress=on_progress,
    )  # fmt: skip


def _stay(host: Host, options: argparse.Namespace, console: Console, ending: _Ending) -> int:
    with host:
        ending.stop = host.stop
        status = host.link.status
        if options.json:
            announced = host.link.announced
            _json_line(event="up", id=announced and announced.id, address=status.address, name=status.name)
        else:
            out = Console(soft_wrap=True, highlight=False)
            out.print(
                f"{status.name} listens on {status.address}; certificate SHA-256 {status.fingerprint}", markup=False
            )
            if host.parties:
                out.print(f"{len(host.parties)} demo parties answer: {', '.join(host.parties)}", markup=False)
            for command in host.link.invite(options.invite) if options.invite else ():
                out.print(command, markup=False)
            out.print(f'Ask it from Python: fi.attach("{status.name}"). Ctrl-C ends it.', markup=False)
            if options.approve:
                how = f'in JupyterLab\'s side panel, or from Python: fi.attach("{status.name}").approve(NAME).'
                out.print(f"Who joins waits until you approve it: {how}", markup=False)
        known = {entry.key: entry.state for entry in host.link.roster.entries if entry.name in host.parties}
        while not host.wait(0.5):
            if not options.json:
                known = _say_who(out, host.link.roster.entries, known)
    if not options.json:
        console.print("The link has ended; its name, certificate and keys are kept.")
    return ending.status


def _say_who(out: Console, entries: Sequence[RosterEntry], known: Mapping[str, str]) -> dict[str, PartyState]:
    """Print whose state is another than before; the states now, by key."""
    for entry in entries:
        if known.get(entry.key) != entry.state:
            why = f": {entry.reason}" if entry.state == "refused" else ""
            out.print(f"{time.strftime('%H:%M:%S')} {clean(entry.name, 60)} {entry.state}{clean(why)}", markup=False)
    return {entry.key: entry.state for entry in entries}


class _Ending:
    """Has signals, and the end of the standard input where wanted, end it: at once while it is being prepared."""

    def __init__(self, until_eof: bool) -> None:
        self.stop: Callable[[], None] = self._leave
        self.status = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)
        if until_eof:
            threading.Thread(target=self._read, name="fi-until-eof", daemon=True).start()

    def _hear(self, number: int, _frame: object) -> None:
        self.status = 130 if number == signal.SIGINT else 0
        self.stop()

    def _read(self) -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not sys.stdin's buffer, whose lock is wanted at the exit
            pass
        os.kill(os.getpid(), signal.SIGTERM)  # heard in the main thread

    def _leave(self) -> None:
        raise SystemExit(self.status)


def _json_progress(progress: Progress) -> None:
    _json_line(event="preparing", task=progress.task, done=progress.done, total=progress.total)


def _json_line(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
