"""The privacy budget: what booking adds at a party, and how long a million recorded spends take to total."""

from __future__ import annotations

import secrets
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, interleaved, median
from fi_workbench.core.identity import Identity
from fi_workbench.privacy.accountant import epsilon_of
from fi_workbench.privacy.event import Event
from fi_workbench.protocol.header import RoundHeader
from fi_workbench.protocol.journal import FileJournal
from fi_workbench.protocol.policy import Policy

DELTA = 1e-5
N_SPENDS = 1_000_000
N_PER_QUESTION = 500
N_KINDS = 50
CLIENT = Identity("client").public.verify_key.hex()


def kinds() -> list[Event]:
    """Releases so weak that a million of them stay below an epsilon of ten, where both accountants have to work."""
    gaussian = [Event("gaussian", 2000.0 + 40 * k) for k in range(N_KINDS // 2)]
    return gaussian + [Event("laplace", 2000.0 + 40 * k) for k in range(N_KINDS - len(gaussian))]


def question(n_queries: int = N_PER_QUESTION) -> RoundHeader:
    """A header as a party has it once it is checked."""
    return RoundHeader(
        round_id=secrets.token_hex(16), kind="answer", issued_at=time.time(), deadline_seconds=10.0, client=CLIENT,
        rule="soft_vote", rule_options={}, mechanism=[{"name": "gaussian"}], on_absence="renormalise",
        n_queries=n_queries, seed=0, cohort=[], payloads={},
    )  # fmt: skip


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def booking(folder: Path, n: int = 300) -> tuple[float, float, float]:
    """Median seconds of a booking with and without a budget, and of a bare SQLite transaction of two rows."""
    bare = sqlite3.connect(folder / "bare.sqlite", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("PRAGMA synchronous=NORMAL")
    bare.execute("CREATE TABLE t(a BLOB)")
    limited, free = Policy(epsilon=8.0, delta=DELTA), Policy()
    # one kind, as a client has that asks under one mechanism
    event = Event("gaussian", 5000.0)

    def written() -> None:
        bare.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            bare.execute("INSERT INTO t VALUES (zeroblob(120))")
        bare.execute("COMMIT")

    journal, other = FileJournal(folder / "limited.journal"), FileJournal(folder / "free.journal")
    with_budget, beside = interleaved(lambda: journal.book(question(64), limited, {event: 64}), written, n)
    without, _ = interleaved(lambda: other.book(question(64), free, {event: 64}), written, n)
    for one in (journal, other):
        assert one.spent(CLIENT) == 64 * (n + 1), "all were booked"
        one.close()
    bare.close()
    return median(with_budget), median(without), median(beside)


def recorded(folder: Path) -> tuple[Path, float]:
    """A journal of a million spends of fifty kinds, booked question by question; and its seconds."""
    path, policy, events = folder / "million.journal", Policy(), kinds()
    journal = FileJournal(path)
    started = time.perf_counter()
    for turn in range(N_SPENDS // N_PER_QUESTION):
        journal.book(question(), policy, {events[turn % N_KINDS]: N_PER_QUESTION})
    journal.close()
    return path, time.perf_counter() - started


def total_of(path: Path, accounting: str) -> tuple[float, Counter[Event]]:
    """Epsilon of all that a journal holds for the client, from the file on."""
    journal = FileJournal(path)
    events = journal.account(CLIENT).events
    journal.close()
    return epsilon_of(events, DELTA, accounting), Counter(events)


def one_by_one() -> float:
    """Epsilon of a million spends that stand in a list each by itself, as text: grouped first, then totalled."""
    texts = [event.text() for event in kinds()]
    spends = [texts[k % N_KINDS] for k in range(N_SPENDS)]
    counted = {Event.of_text(text): count for text, count in Counter(spends).items()}
    return epsilon_of(counted, DELTA)


def run() -> list[Figure]:
    """Booking in milliseconds; a million spends in seconds, by either accountant."""
    epsilon_of({Event("gaussian", 3.0): 1}, DELTA)  # dp-accounting takes a second to import, once for each process
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limited, free, bare = booking(folder)
        path, building = recorded(folder)
        rdp_seconds, (rdp, events) = seconds_of(lambda: total_of(path, "rdp"))
        assert sum(events.values()) == N_SPENDS
        assert len(events) == N_KINDS
        # what was reckoned before is remembered: other spends
        pld_seconds, (pld, _) = seconds_of(lambda: total_of(path, "pld"))
        apart_seconds, apart = seconds_of(one_by_one)
    assert abs(apart - rdp) < 1e-9 * rdp, "the same spends"
    assert pld <= rdp
    on = f"{N_SPENDS:,} spends of {N_KINDS} kinds, booked in {building:.1f} s"
    return [
        Figure("booking a question within a budget", limited * 1e3, "ms", 2.0,
               f"without a budget {free * 1e3:.2f} ms, a bare SQLite transaction {bare * 1e3:.2f} ms"),
        Figure("a million spends totalled, RDP", rdp_seconds, "s", 10.0, f"{on}; epsilon {rdp:.3f} at {DELTA:g}"),
        Figure("a million spends totalled, PLD", pld_seconds, "s", 10.0, f"{on}; epsilon {pld:.3f} at {DELTA:g}"),
        Figure("a million single spends grouped and totalled", apart_seconds, "s", 10.0, "from a list of texts, RDP"),
    ]  # fmt: skip
