"""The embedded transport under load: parties that hang, many rounds at once, closing, and no thread left behind."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import Closed
from fi_workbench.transport import local
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.local import LocalGrid
from fi_workbench.transport.wire import decode, encode
from tests.harness import CLASSES, HANG, SHAPE, SOON, linear_party, queries, until


@pytest.fixture(autouse=True)
def workers(monkeypatch):
    """Tells which workers the test has started and that have not ended."""
    monkeypatch.setattr(local, "_IDLE_SECONDS", 0.2)

    def alive():
        return {thread for thread in threading.enumerate() if thread.name == "fi-party-worker"}

    before = alive()
    yield lambda: alive() - before
    assert until(lambda: not alive() - before), "threads are left behind"


class Gate:
    """Parties that hang until they are let go."""

    def __init__(self):
        self.open, self.entered, self._counting = threading.Event(), 0, threading.Lock()

    def __call__(self, phase, body):
        with self._counting:
            self.entered += 1
        assert self.open.wait(HANG)
        return {"late": 1}


@pytest.fixture
def gate():
    made = Gate()
    yield made
    made.open.set()


@pytest.fixture
def grids():
    made = []

    def make(*handles, n_workers=2):
        grid = LocalGrid(n_workers=n_workers)
        made.append(grid)
        return grid, [grid.add(client_app(handle, ["answer"])) for handle in handles]

    yield make
    for grid in made:
        grid.close()


def echo(phase, body):
    return {"n": body["n"]}


def messages(grid, nodes, n=1):
    return [grid.create_message(encode({"n": n}), "query.answer", node, "round") for node in nodes]


def test_those_who_hang_do_not_hold_up_the_others(grids, gate):
    grid, nodes = grids(gate, gate, gate, echo, echo, echo)
    ids = grid.push_messages(messages(grid, nodes))
    grid.wait(ids, SOON, n=3)
    assert len(grid.pull_messages(ids)) == 3, "two workers hung at once; others took over"
    assert until(lambda: gate.entered == 3)
    assert [grid.is_busy(node) for node in nodes] == [True, True, True, False, False, False]
    gate.open.set()


def test_rounds_that_wait_behind_hung_workers_are_served_while_others_keep_pushing(grids, gate, monkeypatch):
    # pushes of others must not put off the moment at which one more worker is started, however close they come
    monkeypatch.setattr(local, "_STALL_SECONDS", 0.5)
    grid, nodes = grids(gate, gate, echo, gate, n_workers=2)
    grid.push_messages(messages(grid, nodes[:2]))
    assert until(lambda: gate.entered == 2)
    ids, stop = grid.push_messages(messages(grid, nodes[2:3])), threading.Event()

    def keep_pushing():
        while not stop.wait(0.005):
            grid.push_messages(messages(grid, nodes[3:]))

    pushing = threading.Thread(target=keep_pushing)
    pushing.start()
    grid.wait(ids, SOON)
    stop.set()
    pushing.join()
    assert len(grid.pull_messages(ids)) == 1
    gate.open.set()


def test_a_party_that_hung_answers_again_afterwards(grids, gate):
    grid, (node, _) = grids(lambda phase, body: gate(phase, body) if body["n"] == 0 else echo(phase, body), echo)
    hung = grid.push_messages(messages(grid, [node], n=0))
    assert until(lambda: gate.entered == 1)
    grid.discard(hung)
    assert grid.is_busy(node)
    assert grid.send_and_receive(messages(grid, [node], n=1), timeout=0.1) == [], "its mail waits behind"
    gate.open.set()
    (reply,) = grid.send_and_receive(messages(grid, [node], n=2), timeout=20.0)
    assert decode(reply.content) == {"n": 2}


def test_mail_that_was_given_up_is_never_begun(grids, gate):
    seen = []
    grid, (node,) = grids(lambda phase, body: gate(phase, body) if body["n"] == 0 else seen.append(body["n"]) or {})
    hung = grid.push_messages(messages(grid, [node], n=0))
    assert until(lambda: gate.entered == 1)
    grid.discard(hung)
    for n in range(1, 6):
        assert grid.send_and_receive(messages(grid, [node], n=n), timeout=0.03) == []
    gate.open.set()
    grid.send_and_receive(messages(grid, [node], n=9), timeout=20.0)
    assert seen == [9]


def test_a_party_that_hangs_for_long_makes_nothing_grow(grids, gate, workers):
    grid, nodes = grids(gate, echo)
    hung = grid.push_messages(messages(grid, nodes[:1]))
    assert until(lambda: gate.entered == 1)
    grid.discard(hung)
    for _ in range(30):
        grid.send_and_receive(messages(grid, nodes), timeout=0.01)
    assert gate.entered == 1
    assert sum(map(len, grid._mail.values())) == 0
    assert not grid._box._open
    assert not grid._box._replies
    assert not grid._box._waiters
    assert len(workers()) < 10, "not one for each of thirty rounds"
    gate.open.set()
    assert until(lambda: not grid._busy)
    assert not grid._box._replies, "the late reply is dropped"


def test_a_partys_messages_are_answered_one_at_a_time_in_order(grids):
    at_work, order = [], []

    def handle(phase, body):
        at_work.append(body["n"])
        assert len(at_work) == 1
        time.sleep(0.001)
        order.append(at_work.pop())
        return {}

    grid, (node,) = grids(handle, n_workers=8)
    sent = [message for n in range(20) for message in messages(grid, [node], n=n)]
    assert len(grid.send_and_receive(sent, timeout=60.0)) == 20
    assert order == list(range(20))


def test_two_hundred_rounds_at_once_do_not_get_mixed_up(grids):
    grid, nodes = grids(*[lambda phase, body, k=k: {"n": body["n"] * 1000 + k} for k in range(5)], n_workers=4)

    def ask(n):
        replies = grid.send_and_receive(messages(grid, nodes, n=n), timeout=60.0)
        return sorted(decode(reply.content)["n"] for reply in replies)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(200)))
    assert found == [[n * 1000 + k for k in range(5)] for n in range(200)]
    assert not grid._box._open
    assert not grid._box._replies


def test_wait_returns_at_its_number_its_time_or_the_end(grids, gate):
    grid, nodes = grids(echo, gate)
    ids = grid.push_messages(messages(grid, nodes))
    started = time.monotonic()
    grid.wait(ids, HANG, n=1)
    waited = time.monotonic()
    grid.wait(ids, 0.15, n=2)
    assert time.monotonic() - waited > 0.1
    threading.Timer(0.1, grid.close).start()
    grid.wait(ids, HANG, n=2)
    grid.wait([], HANG)
    grid.wait(ids, HANG, n=5)
    assert time.monotonic() - started < SOON
    gate.open.set()


def test_close_fails_what_is_under_way_at_once(grids, gate, workers):
    grid, nodes = grids(gate, gate, gate, echo)
    replies = []
    asking = threading.Thread(target=lambda: replies.extend(grid.send_and_receive(messages(grid, nodes), timeout=HANG)))
    asking.start()
    assert until(lambda: gate.entered == 3 and len(grid._box._replies) == 1)
    grid.close()
    asking.join(SOON)
    assert not asking.is_alive()
    assert until(lambda: len(workers()) == 3), "only those who hang are left: nobody spins"
    assert sorted(reply.has_error() for reply in replies) == [False, True, True, True]
    with pytest.raises(Closed, match="closed"):
        grid.push_messages(messages(grid, nodes))
    gate.open.set()
    grid.close()


def test_a_party_that_left_is_answered_for(grids, gate):
    grid, (other, node) = grids(echo, lambda phase, body: gate(phase, body) if body["n"] == 0 else echo(phase, body))
    first = grid.push_messages(messages(grid, [node], n=0))
    assert until(lambda: gate.entered == 1)
    waiting = grid.push_messages(messages(grid, [node], n=1))
    grid.remove(node)
    grid.wait(waiting, 20.0)
    (reply,) = grid.pull_messages(waiting)
    assert "has left" in reply.error.reason
    assert grid.get_node_ids() == [other]
    (late,) = grid.send_and_receive(messages(grid, [node]), timeout=20.0)
    assert "has left" in late.error.reason

    newcomer = grid.add(client_app(echo, ["answer"]))
    assert newcomer not in (node, other), "an id that a hung call still bears is not given away"
    (reply,) = grid.send_and_receive(messages(grid, [newcomer], n=4), timeout=20.0)
    assert decode(reply.content) == {"n": 4}
    gate.open.set()
    grid.wait(first, 20.0)
    assert len(grid.pull_messages(first)) == 1, "the call that was under way ended by itself"


def test_a_thousand_messages_start_no_more_threads_than_asked_for(grids, workers, monkeypatch):
    monkeypatch.setattr(local, "_STALL_SECONDS", HANG)  # on a busy machine, those who answer may seem to hang
    grid, nodes = grids(*[echo] * 20, n_workers=3)
    for _ in range(50):
        assert len(grid.send_and_receive(messages(grid, nodes), timeout=HANG)) == 20
        assert len(workers()) <= 3
    assert until(lambda: not workers()), "idle workers end"
    assert grid._n_threads == grid._n_idle == 0
    assert len(grid.send_and_receive(messages(grid, nodes), timeout=HANG)) == 20


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, RecursionError])
def test_nothing_that_a_party_raises_costs_a_worker(grids, error):
    def fails(phase, body):
        raise error

    grid, nodes = grids(fails, echo, n_workers=1)
    for _ in range(3):
        replies = grid.send_and_receive(messages(grid, nodes), timeout=20.0)
        assert sorted(reply.has_error() for reply in replies) == [False, True]
    assert not grid._busy


# whole federations


def hanging_party(name, event):
    def model(asked):
        event.wait(HANG)
        return np.zeros((len(asked), len(CLASSES)))

    return fi.Party.from_callable(model, name=name, classes=CLASSES, input_shape=SHAPE, outputs="logits", probe=False)


def test_two_federations_over_the_same_parties_live_side_by_side():
    parties = [linear_party(name) for name in ("Ada", "Bo")]
    with fi.Federation(parties, history=None) as one, fi.Federation(parties, history=None) as other:
        assert one.runtime.venue.grid.run.run_id != other.runtime.venue.grid.run.run_id
        found = {}

        def ask(federation, seed):
            found[federation, seed] = federation.ask(queries(4, seed))

        threads = [
            threading.Thread(target=ask, args=(federation, seed)) for federation in (one, other) for seed in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for seed in range(5):
            np.testing.assert_array_equal(found[one, seed].scores, found[other, seed].scores)
        assert len(one.history) == len(other.history) == 5
        one.close()
        assert other.ask(queries()).present == ("Ada", "Bo")


def test_closing_ends_a_round_under_way_with_absences():
    event = threading.Event()
    federation = fi.Federation([linear_party("Ada"), hanging_party("Bo", event)], history=None, deadline_seconds=HANG)
    records, errors = [], []

    def ask():
        try:
            records.append(federation.ask(queries()))
        except fi.NoAnswer as silence:
            errors.append(silence)

    asking = threading.Thread(target=ask)
    asking.start()
    assert until(lambda: len(federation.runtime.venue.grid._box._open) == 1), "Ada was heard"
    federation.close()
    asking.join(SOON)
    assert not asking.is_alive()
    event.set()
    (record,) = records
    assert record.present == ("Ada",)
    assert [(one.party, one.kind) for one in record.absent] == [("Bo", "unreachable")]
    assert "closed" in record.absent[0].reason
    assert len(federation.history) == 1
    with pytest.raises(Closed):
        federation.ask(queries())


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())} | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_interpreter_ends_at_once_with_a_party_hung():
    done = run(
        """
        import time
        from tests.harness import linear_party, queries, CLASSES, SHAPE
        import fi_workbench as fi
        hung = fi.Party.from_callable(
            lambda x: time.sleep(600), name="Hung", classes=CLASSES, input_shape=SHAPE, probe=False)
        federation = fi.Federation([linear_party("Ada"), hung], history=None, deadline_seconds=2.0)
        record = federation.ask(queries())
        assert [one.kind for one in record.absent] == ["late"], record.absent
        """
    )
    assert done.returncode == 0, done.stderr


def test_an_embedded_federation_opens_no_socket():
    done = run(
        """
        import sys
        from tests.harness import linear_party, queries
        import fi_workbench as fi
        federation = fi.Federation([linear_party("Ada"), linear_party("Bo")], history=None)
        federation.ask(queries())
        seen = []
        sys.addaudithook(lambda event, args: seen.append(event) if event.startswith("socket.") else None)
        with federation:
            for record in federation.stream(queries(20), batch_size=4):
                assert record.present
            federation.with_(rule="hard_vote").ask(queries())
        fi.Federation([linear_party("Ada")], history=None).ask(queries())
        print(seen)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
