"""A party's runtime: state that dies at its deadline, replays remembered, background work, stop."""

import subprocess
import sys
import threading
import time

import pytest

from fi_workbench.core.errors import Closed, Refused
from fi_workbench.protocol import runtime as module
from fi_workbench.protocol.runtime import PartyRuntime
from tests.harness import until


def test_state_is_dropped_at_its_own_deadline_by_itself():
    runtime = PartyRuntime()
    runtime.begin("long", 600.0, "facts", stays=True)
    runtime.begin("short", 1.0, "facts", stays=True)
    assert runtime.open_rounds == ("long", "short")
    assert until(lambda: "short" not in runtime._rounds)
    assert "long" in runtime._rounds
    with pytest.raises(Refused, match="past its deadline"):
        runtime.resume("short")
    assert runtime.resume("long").facts == "facts"
    runtime.stop()


def test_nothing_keeps_watching_after_the_last_deadline():
    runtime = PartyRuntime()
    for seconds in (0.1, 0.4, 0.2):
        runtime.begin(str(seconds), seconds, "facts", stays=True)
    assert until(lambda: not runtime._rounds)
    assert until(lambda: runtime._janitor is None)


def test_a_round_of_one_phase_is_not_kept():
    runtime = PartyRuntime()
    runtime.begin("once", 5.0, None, stays=False)
    assert runtime.open_rounds == ()
    assert runtime._janitor is None


def test_what_was_begun_is_never_begun_again_even_after_it_ended():
    runtime = PartyRuntime()
    runtime.begin("x" * 32, 5.0, None, stays=True)
    runtime.end("x" * 32)
    with pytest.raises(Refused, match="asked before"):
        runtime.begin("x" * 32, 5.0, None, stays=True)


def test_replays_are_forgotten_only_when_their_signature_is_too_old(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    runtime = PartyRuntime()
    for number in range(50):
        runtime.begin(f"{number:032}", 1.0, None, stays=False)
        now[0] += 1.0
    now[0] = 1000.0 + 2 * module.MAX_AGE_SECONDS - 1
    with pytest.raises(Refused):
        runtime.begin(f"{0:032}", 1.0, None, stays=False)
    now[0] += 26
    runtime.begin("new", 1.0, None, stays=False)
    assert f"{0:032}" not in runtime._seen
    assert f"{49:032}" in runtime._seen
    assert len(runtime._seen) < 51


class Watched(dict):
    """Counts the entries that are looked at one after the other."""

    n_looks = 0

    def _each(self, entries):
        for entry in entries:
            self.n_looks += 1
            yield entry

    def __iter__(self):
        return self._each(super().__iter__())

    def keys(self):
        return self._each(super().keys())

    def values(self):
        return self._each(super().values())

    def items(self):
        return self._each(super().items())


def test_remembering_many_rounds_stays_cheap():
    runtime = PartyRuntime()
    runtime._seen = Watched()
    for number in range(2000):
        runtime.begin(str(number), 1.0, None, stays=False)
    assert len(runtime._seen) == 2000
    assert 0 < runtime._seen.n_looks <= 2 * 2000, "a look at each remembered round would be two million"


def test_a_flood_of_open_rounds_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_OPEN_ROUNDS", 3)
    runtime = PartyRuntime()
    for number in range(3):
        runtime.begin(str(number), 30.0, None, stays=True)
    with pytest.raises(Refused, match="3 rounds are open here already"):
        runtime.begin("3", 30.0, None, stays=True)
    runtime.begin("4", 30.0, None, stays=False)
    runtime.end("0")
    runtime.begin("3", 30.0, None, stays=True)
    runtime.stop()


def test_after_stop_nothing_is_kept_or_taken():
    runtime = PartyRuntime()
    runtime.begin("one", 30.0, None, stays=True)
    runtime.stop()
    assert not runtime._rounds
    with pytest.raises(Closed):
        runtime.begin("two", 1.0, None, stays=True)
    with pytest.raises(Refused):
        runtime.resume("one")
    with pytest.raises(Closed):
        runtime.background(lambda: 1)
    runtime.stop()


def test_background_work_is_done_one_at_a_time_in_order():
    runtime, order, at_work = PartyRuntime(), [], []

    def work(number):
        at_work.append(number)
        assert len(at_work) == 1
        time.sleep(0.002)
        order.append(number)
        at_work.remove(number)
        return number * 2

    futures = [runtime.background(lambda n=n: work(n)) for n in range(10)]
    assert [future.result(20) for future in futures] == [n * 2 for n in range(10)]
    assert order == list(range(10))
    assert until(lambda: not [one for one in threading.enumerate() if one.name == "fi-background"]), "no thread idles"
    assert runtime.background(lambda: "again").result(20) == "again"


def test_background_work_that_fails_tells_who_waits_for_it():
    runtime = PartyRuntime()

    def fails():
        raise SystemExit("no")

    future = runtime.background(fails)
    assert isinstance(future.exception(20), SystemExit)
    assert runtime.background(lambda: 1).result(20) == 1


def test_stop_cancels_work_that_has_not_begun():
    runtime, go_on, begun = PartyRuntime(), threading.Event(), threading.Event()
    first = runtime.background(lambda: begun.set() or go_on.wait(60))
    second = runtime.background(lambda: 1)
    assert begun.wait(20)
    runtime.stop()
    assert second.cancelled()
    go_on.set()
    assert first.result(20) is True


def test_background_work_that_hangs_does_not_hold_up_the_end_of_the_interpreter():
    code = (
        "import threading, time; from fi_workbench.protocol.runtime import PartyRuntime\n"
        "begun = threading.Event()\n"
        "PartyRuntime().background(lambda: begun.set() or time.sleep(600))\n"
        "begun.wait()"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)  # 60 s, not the 600 of the work
    assert ended.returncode == 0
