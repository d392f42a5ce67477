"""The ledger: what it adds to a round, and how long a third person needs to verify it.

`python -m benchmarks.ledger --full` builds a ledger of a million rounds (4 GB in the temporary folder) instead of
100,000. Its signatures are placeholders, for a real million would take an hour to make: chain and balances are verified
on it, and signatures on a smaller ledger where all are real.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, interleaved, median
from fi_workbench.core.identity import Identity, verify
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.ledger.receipts import Payment, Receipt, Settlement

N_PARTIES = 5
BUDGET = 1_000_000
N_SIGNED_ROUNDS = 4_000
CLIENT = Identity("client")
PARTIES = [Identity(f"party {k}") for k in range(N_PARTIES)]
CLIENT_KEY = CLIENT.public.verify_key.hex()
PAYMENTS = [(party.public.verify_key.hex(), party.name, BUDGET // (N_PARTIES + 1)) for party in PARTIES]


def signed_settlement() -> Settlement:
    """A settlement of a new round, every signature real."""
    round_id, question = secrets.token_hex(16), secrets.token_hex(32)
    receipts = [Receipt.sign(party, round_id, question, secrets.token_hex(32)) for party in PARTIES]
    return Settlement.sign(
        CLIENT, round_id=round_id, record_digest=question, question_digest=question, budget=BUDGET,
        payments=PAYMENTS, receipts=receipts,
    )  # fmt: skip


def per_round(folder: Path, synchronous: Any, n: int) -> tuple[list[float], list[float]]:
    """Seconds of hold and settle, and of two bare SQLite transactions that write as many bytes."""
    settlements = iter([signed_settlement() for _ in range(n + 1)])
    bare = sqlite3.connect(folder / f"bare-{synchronous}.sqlite", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute(f"PRAGMA synchronous={synchronous}")
    bare.execute("CREATE TABLE t(a BLOB)")

    with Ledger(folder / f"rounds-{synchronous}.ledger", synchronous=synchronous) as ledger:
        ledger.deposit(CLIENT_KEY, BUDGET * (n + 1))

        def booked() -> None:
            settlement = next(settlements)
            ledger.hold(settlement.round_id, CLIENT_KEY, BUDGET, 60)
            ledger.settle(settlement)

        def written() -> None:
            for n_bytes in (250, 2900):
                bare.execute("BEGIN IMMEDIATE")
                bare.execute("INSERT INTO t VALUES (zeroblob(?))", (n_bytes,))
                bare.execute("COMMIT")

        times = interleaved(booked, written, n)
    bare.close()
    return times


def placeholder_ledger(path: Path, n_rounds: int) -> float:
    """Build a ledger whose signatures are only of the right length; gives its seconds."""
    started = time.perf_counter()
    digest, signature = "ab" * 32, "cd" * 64
    payments = tuple(Payment(*payment) for payment in PAYMENTS)
    with Ledger(path) as ledger:
        ledger.deposit(CLIENT_KEY, BUDGET * n_rounds, name=CLIENT.name)
        for first in range(0, n_rounds, 20_000):
            with ledger.bulk():
                for _ in range(first, min(first + 20_000, n_rounds)):
                    round_id = secrets.token_hex(16)
                    ledger.hold(round_id, CLIENT_KEY, BUDGET, 60)
                    receipts = tuple(
                        Receipt(round_id, digest, name, key, digest, signature) for key, name, _ in payments
                    )  # fmt: skip
                    settlement = Settlement(
                        round_id, digest, digest, CLIENT_KEY, BUDGET, payments, receipts, signature
                    )  # fmt: skip
                    ledger._pay(settlement)
        ledger.checkpoint(CLIENT)
    return time.perf_counter() - started


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def bare_hashing(path: Path) -> int:
    """The baseline of a verification: read every transaction and hash it."""
    connection = sqlite3.connect(path)
    head, n = bytes(32), 0
    for (body,) in connection.execute("SELECT body FROM journal ORDER BY height"):
        head, n = hashlib.sha256(head + body).digest(), n + 1
    connection.close()
    return n


def opened(path: Path) -> None:
    Ledger(path).close()


def large(folder: Path, n_rounds: int) -> list[Figure]:
    """Opening, verifying and continuing a large ledger."""
    path = folder / "large.ledger"
    build = placeholder_ledger(path, n_rounds)
    small = folder / "small.ledger"
    placeholder_ledger(small, 10)
    opening, opening_small = interleaved(lambda: opened(path), lambda: opened(small), 11)
    hashing, n = seconds_of(lambda: bare_hashing(path))
    with Ledger(path) as ledger:
        processor = time.process_time()
        whole = ledger.verify(signatures=False)
        processor = time.process_time() - processor
        assert whole.ok, whole.problems
        assert whole.n_transactions == n == 2 * n_rounds + 3
        ledger.deposit(CLIENT_KEY, BUDGET * 1000)
        for _ in range(1000):
            settlement = signed_settlement()
            ledger.hold(settlement.round_id, CLIENT_KEY, BUDGET, 60)
            ledger.settle(settlement)
        later = ledger.verify("checkpoint", CLIENT_KEY)
        assert later.ok, later.problems
        assert later.n_transactions == 2002
        balance, _ = seconds_of(lambda: ledger.balance(CLIENT_KEY))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    what = f"{n_rounds:,} rounds, {path.stat().st_size / 2**30:.2f} GiB, built in {build:.0f} s"
    return [
        Figure("ledger, open", median(opening) * 1e3, "ms", 20.0,
               f"{what}; one of 10 rounds {median(opening_small) * 1e3:.1f} ms; a balance {balance * 1e6:.0f} us"),
        Figure("ledger, verify chain and balances", whole.seconds, "s", 60.0 * n_rounds / 1e6,
               f"{what}; {processor:.1f} s of one core; reading and hashing alone {hashing:.1f} s; "
               f"process {memory:.0f} MB"),
        Figure("ledger, verify 1,000 rounds after a checkpoint", later.seconds, "s", 5.0,
               f"behind {n_rounds:,} rounds, {later.n_signatures} signatures"),
    ]  # fmt: skip


def signatures(folder: Path) -> Figure:
    """How many signatures a verification checks per second, beside a loop in one thread."""
    with Ledger(folder / "signed.ledger") as ledger, ledger.bulk():
        ledger.deposit(CLIENT_KEY, BUDGET * N_SIGNED_ROUNDS)
        for _ in range(N_SIGNED_ROUNDS):
            settlement = signed_settlement()
            ledger.hold(settlement.round_id, CLIENT_KEY, BUDGET, 60)
            ledger._pay(settlement)
    message, key = bytes(200), CLIENT.public.verify_key
    signature, n = CLIENT.sign(message), 4_000
    bare, _ = seconds_of(lambda: [verify(key, signature, message) for _ in range(n)])
    with Ledger(folder / "signed.ledger") as ledger:
        processor, checked = time.process_time(), ledger.verify()
        processor = time.process_time() - processor
    assert checked.ok, checked.problems
    rate = checked.n_signatures / checked.seconds
    return Figure(
        "ledger, signatures verified", rate, "1/s", 15_000.0,
        f"{checked.n_signatures} signatures, everything else verified too; one thread alone {n / bare:.0f}/s; "
        f"{checked.n_signatures / processor:.0f} per second of one core",
        at_least=True,
    )  # fmt: skip


def run(n_rounds: int = 100_000) -> list[Figure]:
    """All figures that have targets."""
    with tempfile.TemporaryDirectory() as name:
        folder, figures = Path(name), []
        for synchronous, n in (("NORMAL", 400), ("FULL", 100)):
            booked, bare = (sorted(times) for times in per_round(folder, synchronous, n))
            figures.append(
                Figure(f"ledger, hold and settle, {synchronous}", median(booked) * 1e3, "ms", 5.0,
                       f"{N_PARTIES} parties, 6 signatures checked; p95 {booked[int(0.95 * n)] * 1e3:.2f} ms; "
                       f"two bare transactions {median(bare) * 1e3:.2f} ms, p95 {bare[int(0.95 * n)] * 1e3:.2f} ms")
            )  # fmt: skip
        return [*figures, signatures(folder), *large(folder, n_rounds)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.ledger", description=__doc__)
    parser.add_argument("--full", action="store_true", help="a million rounds")
    print(json.dumps([one.to_dict() for one in run(1_000_000 if parser.parse_args().full else 100_000)], indent=2))
