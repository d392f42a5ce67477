"""The board on which a round's answers can be read before it ends."""

import threading
import time

import numpy as np
import pytest

from fi_workbench.parties.leak import Leak

ONE = np.full((2, 3), 1 / 3)
LONG = 60.0


@pytest.fixture
def leak():
    board = Leak(keep_rounds=2)
    yield board
    board.close()


def in_thread(function):
    result = []
    thread = threading.Thread(target=lambda: result.append(function()), daemon=True)
    thread.start()

    def joined():
        thread.join(20)
        assert not thread.is_alive()
        return result[0]

    return joined


def test_one_hears_the_others_of_its_own_round(leak):
    leak.heard("r1", "Ada", ONE)
    leak.heard("r1", "Bo", ONE * 0.5)
    leak.heard("r2", "Cy", ONE)
    assert list(leak.answers("r1", but="Ada", wait_seconds=0)) == ["Bo"]
    np.testing.assert_array_equal(leak.answers("r1", but="Ada", wait_seconds=0)["Bo"], ONE * 0.5)
    assert leak.answers("r3", but="Ada", wait_seconds=0) == {}


def test_what_was_said_first_stands_and_cannot_be_changed(leak):
    said = ONE.copy()
    leak.heard("r", "Bo", said)
    said[:] = 7
    leak.heard("r", "Bo", said)
    heard = leak.answers("r", but="Ada", wait_seconds=0)["Bo"]
    np.testing.assert_array_equal(heard, ONE)
    with pytest.raises(ValueError, match="read-only"):
        heard[0, 0] = 1


def test_it_waits_for_all_peers_and_no_longer(leak):
    joined = in_thread(lambda: leak.answers("r", but="Ada", peers=("Ada", "Bo", "Cy"), wait_seconds=LONG))
    leak.heard("r", "Bo", ONE)
    time.sleep(0.05)
    leak.heard("r", "Cy", ONE)
    assert set(joined()) == {"Bo", "Cy"}


def test_without_names_it_waits_for_the_first(leak):
    joined = in_thread(lambda: leak.answers("r", but="Ada", wait_seconds=LONG))
    leak.heard("r", "Ada", ONE)
    leak.heard("r", "Bo", ONE)
    assert set(joined()) == {"Bo"}


def test_after_its_patience_it_returns_what_there_is(leak):
    leak.heard("r", "Bo", ONE)
    started = time.monotonic()
    assert set(leak.answers("r", but="Ada", peers=("Bo", "Cy"), wait_seconds=0.1)) == {"Bo"}
    assert 0.1 <= time.monotonic() - started < 20


def test_a_round_given_up_or_a_closed_board_lets_go(leak):
    stopped = threading.Event()
    joined = in_thread(lambda: leak.answers("r", but="Ada", wait_seconds=LONG, stopped=stopped))
    stopped.set()
    assert joined() == {}
    joined = in_thread(lambda: leak.answers("r", but="Ada", wait_seconds=LONG))
    leak.close()
    assert joined() == {}
    leak.heard("r", "Bo", ONE)
    assert leak.answers("r", but="Ada") == {}


def test_old_rounds_are_dropped(leak):
    for number in range(5):
        leak.heard(f"r{number}", "Bo", ONE)
        leak.tell(f"r{number}", [0, 1])
    assert [number for number in range(5) if leak.answers(f"r{number}", but="Ada", wait_seconds=0)] == [3, 4]
    assert [number for number in range(5) if leak.labels(f"r{number}") is not None] == [3, 4]


def test_labels_are_those_of_the_round(leak):
    assert leak.labels("r") is None
    leak.tell("r", [2, 0])
    np.testing.assert_array_equal(leak.labels("r"), [2, 0])
