"""``fi-workbench join``: a party with a model of its own answers a federation elsewhere."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fi_workbench.cli.dry_run import show
from fi_workbench.core.errors import InvalidOption

if TYPE_CHECKING:
    from fi_workbench.parties.behaviours import Dishonest
    from fi_workbench.parties.party import Party
    from fi_workbench.protocol.policy import Policy
    from fi_workbench.session.party_event import PartyEvent

_STYLES = {"connected": "green", "enrolled": "green", "lost": "yellow", "retrying": "yellow"}

_VARIABLE = "FI_WORKBENCH_TOKEN"

_SAID_AGAIN_SECONDS = 15.0
"""Of tries that fail alike one is shown in so long; the log has all."""

_LOOK_SECONDS = 0.5
"""A signal is noticed after this long at the latest, where it does not end a wait by itself."""


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("join", help="answer a federation elsewhere with a model of yours, until stopped")
    parser.add_argument("--link", metavar="HOST:PORT", help="where the federation's link listens")
    parser.add_argument(
        "--model", required=True, metavar="SPEC", help="my_party.py:party, or a .pt2, .pt, .safetensors or .joblib file"
    )
    parser.add_argument("--schema", type=Path, metavar="FILE", help="TOML that declares a model's file")
    parser.add_argument("--name", help="what the party is called, whatever its file says")
    parser.add_argument("--key", required=True, metavar="FILE", help="the party's keys; made at first use")
    parser.add_argument(
        "--token",
        help=f"from its host: enrols the key; not needed once it is. Others on this computer see it in the list of "
        f"processes; they do not in the environment's {_VARIABLE}",
    )
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--fingerprint", metavar="HEX", help="SHA-256 of the link's certificate, from its host")
    trust.add_argument("--root-certificate", type=Path, metavar="FILE", help="PEM of who vouches for the link")
    trust.add_argument("--insecure", action="store_true", help="plain HTTP, to this computer only")
    parser.add_argument(
        "--allow-plain-http", action="store_true", help="with --insecure: to another computer too, readable on the way"
    )
    parser.add_argument(
        "--peers-at", metavar="HOST[:PORT]", default="127.0.0.1",
        help="where other parties reach this one, for secure inference; else the link relays (this computer only)",
    )  # fmt: skip
    _add_limits(parser.add_argument_group("limits, which refuse by name what goes beyond them"))
    parser.add_argument("--behave", metavar="NAME", help="for a teaching lab: be dishonest in this way")
    parser.add_argument("--log", type=Path, metavar="FILE", help="where questions and refusals are written down")
    parser.add_argument(
        "--dry-run", action="store_true", help="check the model, show what would be disclosed; no network"
    )
    parser.add_argument("--sample", type=Path, metavar="FILE.npy", help="queries for --dry-run")
    parser.add_argument("--json", action="store_true", help="print JSON: one object a line, or the result of --dry-run")
    parser.set_defaults(run=_join)


def _add_limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--limits", type=Path, metavar="FILE.toml", help="limits by name; options below go before them")
    group.add_argument("--queries-per-minute", type=int, metavar="N", help="of one client")
    group.add_argument("--max-batch", type=int, metavar="N", help="queries in one question")
    group.add_argument("--query-budget", type=int, metavar="N", help="of one client, for ever")
    group.add_argument("--min-cohort", type=int, metavar="N", help="parties in a round, this one included")
    group.add_argument("--mechanism", action="append", metavar="NAME", help="accepted; give it again for more")
    group.add_argument("--rule", action="append", metavar="NAME", help="accepted; give it again for more")
    group.add_argument("--client", action="append", metavar="KEY", help="who may ask (Ed25519, hex); again for more")
    group.add_argument("--epsilon", type=float, metavar="E", help="privacy budget of one client, for ever")
    group.add_argument("--delta", type=float, metavar="D", help="at which epsilon is reckoned (1e-5)")
    group.add_argument("--accounting", choices=("rdp", "pld"), help="how epsilon is reckoned: quick, or tight")
    group.add_argument(
        "--peer", action="append", metavar="KEY", help="who may be in a cohort beside it; again for more"
    )
    group.add_argument(
        "--same-cohort", action="store_true", default=None, help="hidden answers to a query go to one cohort only"
    )


def _join(options: argparse.Namespace, console: Console) -> int:
    from fi_workbench.parties.behaviours import make_behaviour
    from fi_workbench.parties.files import PartyFileFailed, party_of
    from fi_workbench.session.limits import read_limits

    if options.link is None and not options.dry_run:
        raise InvalidOption("--link is missing: HOST:PORT of the federation. --dry-run needs none.")
    if options.sample is not None and not options.dry_run:
        raise InvalidOption("--sample is for --dry-run; a party that joins is asked by others.")
    try:
        party = party_of(options.model, options.schema, options.name)
    except PartyFileFailed as failed:
        console.print(failed.traceback, style="dim", markup=False, highlight=False)
        raise
    policy = read_limits(options.limits, _limits_of(options))
    behaviour = None if options.behave is None else make_behaviour(options.behave)
    if options.dry_run:
        return _dry_run(options, party, policy, behaviour)
    return _stay(options, console, party, policy, behaviour)


def _limits_of(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "queries_per_minute": options.queries_per_minute, "max_batch": options.max_batch,
        "query_budget": options.query_budget, "min_cohort": options.min_cohort, "mechanisms": options.mechanism,
        "rules": options.rule, "clients": options.client, "epsilon": options.epsilon, "delta": options.delta,
        "accounting": options.accounting, "peers": options.peer, "same_cohort": options.same_cohort,
    }  # fmt: skip


def _dry_run(options: argparse.Namespace, party: Party, policy: Policy, behaviour: Dishonest | None) -> int:
    from fi_workbench.core.keyfile import KeyFile
    from fi_workbench.protocol.journal import FileJournal
    from fi_workbench.session.dry_run import dry_run, read_sample
    from fi_workbench.session.joining import journal_path

    # a dry run makes no keys
    identity = KeyFile.load(options.key, party.name).identity if Path(options.key).exists() else None
    sample = None if options.sample is None else read_sample(options.sample, party)
    kept = journal_path(options.key)
    journal = FileJournal(kept) if kept.exists() else None
    try:
        found = dry_run(party, policy, identity=identity, behaviour=behaviour, sample=sample, journal=journal)
    finally:
        if journal is not None:
            journal.close()
    if options.json:
        sys.stdout.write(json.dumps(found.to_dict() | {"key_exists": identity is not None}, indent=2) + "\n")
    else:
        show(found, key_exists=identity is not None)
    return 0


def _stay(
    options: argparse.Namespace, console: Console, party: Party, policy: Policy, behaviour: Dishonest | None
) -> int:
    from fi_workbench.core.keyfile import KeyFile
    from fi_workbench.session.joining import Joined
    from fi_workbench.session.owner_log import usual_path

    if options.insecure:
        console.print(
            "Without TLS: whoever is on the way reads queries and answers, and can change them.", style="yellow"
        )
    if behaviour is not None:
        heard = " A party elsewhere overhears nobody: it answers as if nothing had been heard." * bool(
            behaviour.behaviour.leak
        )
        console.print(f"This party is dishonest: {behaviour.name}.{heard}", style="yellow", markup=False)
    fingerprint = KeyFile.load_or_create(options.key, party.name).identity.public.fingerprint
    joined = Joined(
        party, options.link, key=options.key, token=options.token or os.environ.get(_VARIABLE) or None,
        fingerprint=options.fingerprint, root_certificates=options.root_certificate, insecure=options.insecure,
        allow_plain_http=options.allow_plain_http, policy=policy, behaviour=behaviour,
        log=options.log or usual_path(party.name, fingerprint), peers_at=options.peers_at,
        on_event=_json_lines if options.json else _status_lines(Console(soft_wrap=True, highlight=False)),
    )  # fmt: skip
    console.print(f"{party.name}, key {fingerprint}; log in {joined.log_path}", soft_wrap=True, markup=False)
    with _signals() as told:
        joined.start()
        while not told and not joined.join(_LOOK_SECONDS):
            pass
        joined.stop()
    if joined.error is not None:
        raise joined.error
    return 130 if told and told[0] == signal.SIGINT else 0


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Which signals to end came; the first ends what is under way in order, a second one at once."""
    told: list[int] = []
    before: dict[int, Any] = {}

    def hear(number: int, _frame: object) -> None:
        told.append(number)
        signal.signal(number, before[number])

    if threading.current_thread() is threading.main_thread():  # others may not
        before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _json_lines(event: PartyEvent) -> None:
    sys.stdout.write(json.dumps(event.to_dict()) + "\n")
    sys.stdout.flush()


def _status_lines(out: Console) -> Callable[[PartyEvent], None]:
    from fi_workbench.core.plain_text import clean

    told: tuple[str, float] = "", 0.0

    def show_event(event: PartyEvent) -> None:
        nonlocal told
        if event.kind == "refused":
            return  # ends the command, as its error
        if event.kind == "retrying":
            why = event.text.partition(": ")[2]
            if told[0] == why and event.at - told[1] < _SAID_AGAIN_SECONDS:
                return
            told = why, event.at
        else:
            told = "", 0.0
        when = time.strftime("%H:%M:%S", time.localtime(event.at))
        dull = event.asked is not None and event.asked.outcome in ("answered", "announced")
        style = None if dull else _STYLES.get(event.kind, "yellow" if event.asked is not None else None)
        what = "" if event.asked is not None else f"{event.kind}: "
        out.print(f"{when} {what}{clean(event.text, 400)}", style=style, markup=False)

    return show_event
