"""The ledger under kills and under several processes at once: sums stay whole."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fi_workbench.incentives.ledger import Ledger
from tests.incentives.ledger_toys import BUDGET, CLIENT_KEY, KEYS, new_round, settlement

ROOT = Path(__file__).parents[2]
DEPOSIT = 100 * BUDGET

# Forks one child for each statement that a round makes, and has it killed just before that statement.
AT_EACH_STATEMENT = """
import json, os, shutil, signal, sys
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.ledger.receipts import Settlement

folder, settlement = sys.argv[1], Settlement.from_dict(json.load(sys.stdin))
died = 0
while True:
    path = f"{folder}/{died}.ledger"
    shutil.copy(f"{folder}/begun.ledger", path)
    child = os.fork()
    if child == 0:
        left = died
        def before(statement):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        ledger = Ledger(path, clock=lambda: 1000.0)
        ledger._journal._connection.set_trace_callback(before)
        ledger.hold(settlement.round_id, settlement.client_key, settlement.budget, 60)
        with open(path + ".held", "w"):
            pass
        ledger.settle(settlement)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    died += 1
print(died)
"""

# Holds and settles the rounds that it is given, and says when each hold is committed.
ROUNDS = """
import json, sys
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.ledger.receipts import Settlement

with Ledger(sys.argv[1]) as ledger:
    for line in sys.stdin:
        settlement = Settlement.from_dict(json.loads(line))
        ledger.hold(settlement.round_id, settlement.client_key, settlement.budget, 60)
        print(settlement.round_id, flush=True)
        ledger.settle(settlement)
"""


def python(program, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def begun(path):
    with Ledger(path) as ledger:
        ledger.deposit(CLIENT_KEY, DEPOSIT)


def lines(n):
    return "".join(json.dumps(settlement(new_round()).to_dict()) + "\n" for _ in range(n))


def whole(ledger):
    """Nothing is lost or made, and everything follows from the journal."""
    found = ledger.verify()
    assert found.ok, found.problems
    accounts = ledger.accounts()
    assert sum(one.balance + one.held for one in accounts) == 0
    assert sum(one.balance + one.held for one in accounts if one.key != "outside") == DEPOSIT


def test_a_kill_before_any_statement_loses_nothing(tmp_path):
    begun(tmp_path / "begun.ledger")
    program = python(AT_EACH_STATEMENT, tmp_path)
    died, _ = program.communicate(json.dumps(settlement(new_round()).to_dict()), timeout=100)
    assert program.returncode == 0
    assert int(died) > 20, "begin, reads, journal, postings, round, commit; for the hold and for the settlement"
    outcomes = set()
    for n in range(int(died)):
        with Ledger(tmp_path / f"{n}.ledger") as ledger:
            whole(ledger)
            held, paid = ledger.held(CLIENT_KEY), ledger.balance(KEYS[0])
            outcomes.add((held, paid))
            if (tmp_path / f"{n}.ledger.held").exists():
                assert held == BUDGET or paid, "once hold() has returned, it is committed"
            assert len(ledger.recover(1060.0)) == (1 if held else 0)
            assert (ledger.held(CLIENT_KEY), ledger.balance(KEYS[0])) == (0, paid)
            whole(ledger)
    assert outcomes == {(0, 0), (BUDGET, 0)}, "killed before COMMIT, so never paid; and all states were seen"
    with Ledger(tmp_path / f"{died.strip()}.ledger") as ledger:
        assert ledger.balance(KEYS[0]) == 500
        whole(ledger)


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_any_time_loses_nothing(tmp_path, seed):
    path = tmp_path / "of.ledger"
    begun(path)
    program = python(ROUNDS, path)
    program.stdin.write(lines(60))
    program.stdin.flush()
    assert program.stdout.readline()
    time.sleep(random.Random(seed).uniform(0, 0.06))
    program.send_signal(signal.SIGKILL)
    announced = program.communicate()[0].split()
    assert program.returncode == -signal.SIGKILL
    with Ledger(path) as ledger:
        whole(ledger)
        booked = {entry.round_id for entry in ledger.entries(last=1000) if entry.kind == "hold"}
        assert set(announced) <= booked, "an announced hold was committed"
        expired = ledger.recover(time.time() + 61)
        assert len(expired) <= 1
        assert ledger.held(CLIENT_KEY) == 0
        whole(ledger)


def test_processes_take_turns(tmp_path):
    path = tmp_path / "of.ledger"
    programs = [python(ROUNDS, path) for _ in range(3)]  # the file is not there yet: one of four makes it
    begun(path)
    for program in programs:
        program.stdin.write(lines(10))
        program.stdin.close()
    for program in programs:
        assert len(program.stdout.read().split()) == 10
        assert program.wait(60) == 0
        program.stdout.close()
    with Ledger(path) as ledger:
        whole(ledger)
        assert ledger.height == 2 + 3 * 10 * 2
        assert [ledger.balance(key) for key in KEYS] == [30 * 500, 30 * 300, 0]


def test_processes_that_make_one_ledger_make_one(tmp_path):
    program = (
        "import sys; from fi_workbench.incentives.ledger import Ledger; input(); print(Ledger(sys.argv[1]).ledger_id)"
    )
    programs = [python(program, tmp_path / "of.ledger") for _ in range(4)]
    time.sleep(0.5)
    for one in programs:
        one.stdin.write("\n")
        one.stdin.flush()
    assert len({one.communicate(timeout=60)[0] for one in programs}) == 1
    assert {one.returncode for one in programs} == {0}
    with Ledger(tmp_path / "of.ledger") as ledger:
        assert ledger.height == 1
        assert ledger.verify().ok
