"""Rounds that pay under kills, in two processes over one ledger: money is neither lost nor made."""

import os
import subprocess
import sys
import time
from pathlib import Path

from fi_workbench.incentives.ledger import Ledger
from fi_workbench.session.paying import GRACE_SECONDS

ROOT = Path(__file__).parents[2]

# Forks two children at a time, each of which asks rounds over the same ledger until it is killed.
KILLED = """
import os, random, signal, sys, time, warnings
import fi_workbench as fi
from tests.harness import linear_party, queries

warnings.simplefilter("ignore", DeprecationWarning)
path, n_kills = sys.argv[1], int(sys.argv[2])
draw = random.Random(1)
for kill in range(n_kills):
    read, write = os.pipe()
    children = []
    while len(children) < 2 and (child := os.fork()):
        children.append(child)
    if len(children) < 2:
        parties = [linear_party(name) for name in ("Ada", "Bo", "Cy")]
        federation = fi.Federation(parties, history=None, ledger=path, budget_micro=1000, deadline_seconds=600)
        federation.deposit(10**6)
        for record in federation.stream(queries(600), batch_size=1):
            os.write(write, (record.round_id + "\\n").encode())
        os._exit(1)
    os.close(write)
    heard = os.read(read, 33)
    time.sleep(draw.uniform(0, 0.1))
    for child in children:
        os.kill(child, signal.SIGKILL)
    for child in children:
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), "it was killed, and had not failed"
    while more := os.read(read, 2**16):
        heard += more
    print(heard.decode(), end="", flush=True)
"""


def whole(ledger, deposited):
    """Nothing was lost or made, and everything follows from the journal."""
    found = ledger.verify()
    assert found.ok, found.problems
    accounts = ledger.accounts()
    assert sum(one.balance + one.held for one in accounts) == 0
    assert sum(one.balance + one.held for one in accounts if one.key != "outside") == deposited


def test_a_kill_in_the_middle_of_rounds_loses_no_money(tmp_path):
    path, n_kills = tmp_path / "of.ledger", 8
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), str(n_kills)], capture_output=True, text=True, env=environment,
        timeout=120, check=False,
    )  # fmt: skip
    assert program.returncode == 0, program.stderr
    announced = program.stdout.split()
    assert len(announced) >= n_kills
    with Ledger(path) as ledger:
        entries = ledger.entries(last=10**6)
        deposited = 10**6 * sum(entry.kind == "deposit" for entry in entries)
        assert n_kills * 10**6 <= deposited <= 2 * n_kills * 10**6, "one of two may be killed before it begins"
        whole(ledger, deposited)
        settled = {entry.round_id for entry in entries if entry.kind == "settle"}
        assert set(announced) <= settled, "a record that says settled is settled"
        n_open = len(ledger.holds())
        assert n_open <= 2 * n_kills
        assert ledger.recover() == (), "their deadlines have not passed"
        assert len(ledger.recover(time.time() + 600 + GRACE_SECONDS)) == n_open
        assert sum(account.held for account in ledger.accounts()) == 0
        whole(ledger, deposited)
        paid = sum(account.balance for account in ledger.accounts() if account.name)
        assert paid == 1000 * len(settled)
