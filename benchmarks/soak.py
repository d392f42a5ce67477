"""Rounds at a steady rate on a hosted link while its parties are killed and restarted, one after another. `make soak`.

The rounds overlap: none waits for the one before, so that a party that has just died delays only those it was asked in.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console

import fi_workbench as fi
from benchmarks.processes import Usage
from benchmarks.sites import Site, hosted
from benchmarks.soak_checks import Judge, Outage, Soaked
from benchmarks.toy_parties import party_name, toy_queries

RESULTS = Path(__file__).parent / "results" / "soak.json"
N_PARTIES = 5
N_QUERIES = 16

DOWN_SECONDS = 2.0
"""A party that was killed is left dead for so long after the link noticed."""

NOTICE_SECONDS, BACK_SECONDS = 30.0, 60.0
SETTLE_SECONDS, WINDOW_SECONDS, SAMPLE_SECONDS = 3.0, 3.0, 0.1


@dataclass(frozen=True)
class Plan:
    """How long, how fast, and how often a party dies."""

    seconds: float = 1800.0
    rate: float = 10.0
    kill_every_seconds: float = 60.0
    deadline_seconds: float = 2.0

    @property
    def n_in_flight(self) -> int:
        """Rounds that may be under way at once: those of two deadlines."""
        return math.ceil(2 * self.rate * self.deadline_seconds)


class Asker:
    """Asks at a steady rate, whether or not the rounds before have ended; a context manager that waits for the last."""

    def __init__(self, federation: fi.Federation, plan: Plan, judge: Judge) -> None:
        self._federation, self._rate, self._judge = federation, plan.rate, judge
        self._n_workers = plan.n_in_flight
        self._pool = ThreadPoolExecutor(self._n_workers, thread_name_prefix="soak")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="soak-pace", daemon=True)
        self.asked = 0
        self.latest_seconds = 0.0

    def __enter__(self) -> Asker:
        # all workers now: a pool that grows as rounds overlap would look like threads that leak
        everybody = threading.Barrier(self._n_workers)
        list(self._pool.map(lambda _: everybody.wait(), range(self._n_workers)))
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._pool.shutdown(wait=True)

    def _run(self) -> None:
        for number in itertools.count():
            due = self._began + number / self._rate
            if self._stopping.wait(max(due - time.monotonic(), 0.0)):
                return
            self.asked += 1
            self.latest_seconds = max(self.latest_seconds, time.monotonic() - due)
            self._pool.submit(self._ask, number)

    def _ask(self, number: int) -> None:
        try:
            queries = toy_queries(number, N_QUERIES)
            began = time.monotonic()
            record = self._federation.ask(queries)
            self._judge.judge(record, queries, began, time.monotonic())
        except Exception as error:  # noqa: BLE001 - whatever it was, a round was lost
            self._judge.lost(number, error)


def soak(plan: Plan, tell: Callable[[str], None] = lambda _text: None) -> Soaked:
    """Ask, and kill a party each `plan.kill_every_seconds`; growth is measured from the first one's return on."""
    # the rounds are kept in memory, as they are in a notebook
    with hosted(N_PARTIES, deadline_seconds=plan.deadline_seconds, history=None) as site:
        judge = Judge([party.name for party in site.federation.parties])
        began, resident = time.monotonic(), []
        with Asker(site.federation, plan, judge) as asker:
            before = None
            for n_kills in itertools.count():
                if not wait_until(began + (n_kills + 0.5) * plan.kill_every_seconds, began + plan.seconds):
                    break
                outage = kill_and_restart(site, 1 + n_kills % (N_PARTIES - 1), judge)
                tell(
                    f"{time.monotonic() - began:6.0f} s: {judge.counts['rounds']} rounds; {outage.party} was killed, "
                    f"noticed after {outage.noticed_at - outage.killed_at:.1f} s, back after "
                    f"{outage.back_at - outage.killed_at:.1f} s; {judge.n_faults} faults"
                )
                resident.append(
                    (time.monotonic() - began, Usage.of(site.link_pid).rss_bytes, site.processes[0].usage.rss_bytes)
                )
                if before is None:
                    time.sleep(SETTLE_SECONDS)
                    before = measured(site)
            if before is None:
                raise ValueError("so short a soak kills nobody: give it more seconds, or kill more often")
            after = measured(site)
            asked_seconds = time.monotonic() - began
    return Soaked(
        asker.asked, judge.counts["rounds"] / asked_seconds, dict(judge.counts), dict(judge.reasons),
        {
            "median": statistics.median(judge.seconds),
            "p95": float(np.percentile(judge.seconds, 95)),
            "max": max(judge.seconds),
            "asked late, max": asker.latest_seconds,  # how long the machine had no time for us
        },
        [one.noticed_at - one.killed_at for one in judge.outages],
        [one.back_at - one.killed_at for one in judge.outages],
        (before[0], after[0]), (before[1], after[1]), resident, list(judge.faults),
    )  # fmt: skip


def wait_until(moment: float, end: float) -> bool:
    """Sleep until then; or until the end, if that comes first, and then False."""
    time.sleep(max(min(moment, end) - time.monotonic(), 0.0))
    return moment < end


def kill_and_restart(site: Site, index: int, judge: Judge) -> Outage:
    """SIGKILL one party's process; once the link has noticed, start it again with its key; wait until it is back."""
    assert site.federation.link is not None
    roster = site.federation.link.roster
    outage = Outage(party_name(index), time.monotonic())
    judge.outages.append(outage)
    site.processes[index].kill()
    if not roster.wait_for(lambda: roster_state(site, outage.party) == "offline", NOTICE_SECONDS):
        raise RuntimeError(f"the link did not notice in {NOTICE_SECONDS:g} s that {outage.party} is dead")
    outage.noticed_at = time.monotonic()
    time.sleep(DOWN_SECONDS)
    site.processes[index] = site.processes[index].again()
    if not roster.wait_for(lambda: roster_state(site, outage.party) == "online", BACK_SECONDS):
        raise RuntimeError(f"{outage.party} did not come back: {site.processes[index].said()}")
    outage.back_at = time.monotonic()
    return outage


def roster_state(site: Site, name: str) -> str:
    assert site.federation.link is not None
    return site.federation.link.roster.entry(name).state


def measured(site: Site) -> tuple[Usage, Usage]:
    """The hosting process and the party that is never killed: medians over a few seconds, under way as they are."""
    samples: tuple[list[Usage], list[Usage]] = ([], [])
    end = time.monotonic() + WINDOW_SECONDS
    while time.monotonic() < end:
        samples[0].append(Usage.of(site.link_pid))
        samples[1].append(site.processes[0].usage)
        time.sleep(SAMPLE_SECONDS)
    link, survivor = map(middle, samples)
    return link, survivor


def middle(samples: Sequence[Usage]) -> Usage:
    cpu_seconds, *counts = (statistics.median(column) for column in zip(*map(astuple, samples), strict=True))
    return Usage(cpu_seconds, *map(int, counts))


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    usual = Plan()
    parser.add_argument("--seconds", type=float, default=usual.seconds)
    parser.add_argument("--rate", type=float, default=usual.rate, help="rounds a second")
    parser.add_argument("--kill-every", type=float, default=usual.kill_every_seconds, metavar="SECONDS")
    parser.add_argument("--deadline", type=float, default=usual.deadline_seconds, metavar="SECONDS", help="of a round")
    options = parser.parse_args()
    console = Console()
    plan = Plan(options.seconds, options.rate, options.kill_every, options.deadline)
    result = soak(plan, lambda text: console.print(text, highlight=False))
    RESULTS.parent.mkdir(exist_ok=True)
    when = datetime.now(UTC).isoformat()
    RESULTS.write_text(json.dumps({"when": when, "plan": asdict(plan), **result.to_dict()}, indent=2) + "\n")
    console.print_json(json.dumps(result.to_dict()))
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
