"""What a payout and a ledger entry add to a round."""

from __future__ import annotations

import tempfile
from pathlib import Path

import fi_workbench as fi
from benchmarks.figures import Figure, interleaved, median

N = 60


def run() -> list[Figure]:
    """Rounds of five parties, paid through a ledger and only promised, in turns over the same parties."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = fi.Ledger(Path(folder) / "ledger.sqlite")
        common = {"contribution": "equal", "history": None}
        with fi.Federation.demo("digits", 5, 0.3, ledger=ledger, **common) as paid:
            images, labels = (one[:32] for one in paid.test_set)
            paid.deposit(10 * N * 1_000_000)
            promised = paid.with_(budget_micro=0)
            with_ledger, without = interleaved(
                lambda: paid.ask(images, labels), lambda: promised.ask(images, labels), N
            )
            assert ledger.verify().ok
        ledger.close()
    added = 1e3 * (median(with_ledger) - median(without))
    detail = f"5 parties x 32 digits: {1e3 * median(with_ledger):.1f} ms paid, {1e3 * median(without):.1f} ms not"
    return [Figure("payout and ledger entry, added to a round", added, "ms", 5.0, detail)]
