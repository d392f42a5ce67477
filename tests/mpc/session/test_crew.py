"""Threads that outlive queries."""

from __future__ import annotations

import threading
import time

import pytest

from fi_workbench.mpc.crew import Crew, Unfinished
from tests.mpc.session.rig import soon, wait_for


def fail() -> int:
    raise ValueError("mine")


def test_calls_run_at_once_and_results_keep_their_order() -> None:
    crew = Crew("crew under test")
    meeting = threading.Barrier(4)  # none of them gets further alone

    def call(number: int) -> int:
        meeting.wait(10)
        return number

    calls = [lambda number=number: call(number) for number in range(4)]
    assert crew.run(calls, soon()) == [0, 1, 2, 3]
    threads = {thread for thread in threading.enumerate() if thread.name == "crew under test"}
    assert crew.run(calls, soon()) == [0, 1, 2, 3]
    assert {thread for thread in threading.enumerate() if thread.name == "crew under test"} == threads
    assert all(thread.daemon for thread in threads)
    crew.close()
    wait_for(lambda: not any(thread.is_alive() for thread in threads), "threads at an end")
    assert crew.run([], soon()) == []


def test_the_first_failure_comes_out_though_others_hang() -> None:
    crew = Crew("crew under test")
    let_go = threading.Event()
    began = time.monotonic()
    with pytest.raises(ValueError, match="mine"):
        crew.run([lambda: 1, let_go.wait, fail], soon(30))
    with pytest.raises(ValueError, match="mine"):
        crew.run([fail, let_go.wait], soon(30))
    assert time.monotonic() - began < 20, "it waited for the one that hangs"
    let_go.set()
    crew.close()


def test_what_goes_on_beyond_its_deadline_is_left() -> None:
    crew = Crew("crew under test")
    let_go = threading.Event()
    with pytest.raises(Unfinished, match="1 of 2"):
        crew.run([lambda: True, let_go.wait], time.monotonic())
    let_go.set()
    crew.close()
