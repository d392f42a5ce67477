"""Lots made ahead: in order, within bounds, never in the way of an answer, and stopped at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fi_workbench.core.errors import Closed
from fi_workbench.mpc.pool import Pool
from fi_workbench.mpc.streams import Lot
from tests.mpc.session.rig import soon, wait_for


@dataclass(frozen=True)
class Stuff:
    lot: Lot
    n_bytes: int = 100


class Maker:
    """Makes lots; those of a size in ``held`` only when it is let go."""

    def __init__(self) -> None:
        self.made: list[Lot] = []
        self.held: dict[int, threading.Event] = {}
        self.failures: list[BaseException] = []
        self.error: Exception | None = None

    def __call__(self, lot: Lot, pause: Callable[[], None]) -> Stuff:
        pause()
        if lot.n_queries in self.held:
            assert self.held[lot.n_queries].wait(20)
        if self.error is not None:
            raise self.error
        self.made.append(lot)
        return Stuff(lot)

    def pool(self, max_bytes: int = 3000) -> Pool[Stuff]:
        return Pool(self, max_bytes, self.failures.append, "pool under test")


def test_lots_are_made_in_order_and_given_out_once() -> None:
    maker = Maker()
    pool = maker.pool()
    pool.owe(1, range(4), 0)
    wait_for(lambda: pool.ready == 4, "four lots")
    assert [pool.take(Lot(1, index), soon()).lot.index for index in range(3)] == [0, 1, 2]
    assert maker.made == [Lot(1, index) for index in range(4)]
    assert pool.ready == 1
    assert not pool.producing
    with pytest.raises(TimeoutError, match="Lot 2 of 1 queries was not made in time"):
        pool.take(Lot(1, 2), time.monotonic())
    pool.close()


def test_a_lot_that_is_being_made_is_waited_for() -> None:
    maker = Maker()
    maker.held[1] = threading.Event()
    pool = maker.pool()
    pool.owe(1, range(1), 0)
    wait_for(lambda: pool.producing, "the first lot begun")
    threading.Timer(0.05, maker.held[1].set).start()
    assert pool.take(Lot(1, 0), soon()).lot == Lot(1, 0)
    pool.close()


def test_no_more_is_made_than_there_is_room_for_until_it_is_asked_for() -> None:
    maker = Maker()
    pool = maker.pool(max_bytes=250)
    pool.owe(1, range(6), 0)
    wait_for(lambda: pool.ready == 2, "as many as there is room for")
    assert pool.n_bytes == 200
    assert pool.take(Lot(1, 3), soon()).lot == Lot(1, 3)  # wanted: made whatever the room
    assert pool.ready == 3
    pool.close()
    assert len(maker.made) == 4


def test_one_lot_of_each_size_is_made_ahead_however_large() -> None:
    maker = Maker()
    pool = maker.pool(max_bytes=50)
    for size in (1, 7):
        pool.owe(size, range(3), 0)
        wait_for(lambda: pool.ready == 1 and not pool.producing, "one lot")
        pool.take(Lot(size, 0), soon())
        wait_for(lambda: pool.ready == 1 and not pool.producing, "the next")
    pool.close()
    assert maker.made == [Lot(1, 0), Lot(1, 1), Lot(7, 0), Lot(7, 1)]


def test_with_no_room_at_all_only_what_is_asked_for_is_made() -> None:
    maker = Maker()
    pool = maker.pool(max_bytes=0)
    pool.owe(1, range(4), 0)
    pool.take(Lot(1, 1), soon())
    pool.close()
    assert maker.made == [Lot(1, 0), Lot(1, 1)]


def test_one_size_does_not_wait_for_another() -> None:
    maker = Maker()
    maker.held[64] = threading.Event()
    pool = maker.pool()
    pool.owe(64, range(3), 0)
    wait_for(lambda: pool.producing, "the large lot begun")
    pool.owe(1, range(2), 0)
    assert pool.take(Lot(1, 0), soon()).lot == Lot(1, 0)
    maker.held[64].set()
    pool.close()


def test_nothing_is_begun_while_an_answer_is_under_way_but_what_it_waits_for() -> None:
    maker = Maker()
    pool = maker.pool()
    with pool.answering():
        pool.owe(1, range(4), 0)
        pool.take(Lot(1, 1), soon())
        assert maker.made == [Lot(1, 0), Lot(1, 1)]
        wait_for(lambda: not pool.producing, "the pool at rest")
        assert len(maker.made) == 2
    wait_for(lambda: len(maker.made) == 4, "the rest, afterwards")
    pool.close()


def test_lots_before_the_floor_are_dropped_and_those_of_a_retired_size_too() -> None:
    maker = Maker()
    pool = maker.pool()
    pool.owe(1, range(3), 0)
    wait_for(lambda: pool.ready == 3, "three lots")
    pool.owe(1, range(3, 5), 2)
    wait_for(lambda: len(maker.made) == 5, "five lots")
    assert pool.ready == 3
    maker.held[7] = threading.Event()
    pool.owe(7, range(2), 0)
    pool.retire(7, 2)
    pool.retire(30, 2)  # unknown here: nothing to do
    maker.held[7].set()
    wait_for(lambda: Lot(7, 1) in maker.made, "what others may wait for is made all the same")
    wait_for(lambda: not pool.producing, "the pool at rest")
    assert pool.ready == 0
    assert pool.n_bytes == 300
    pool.close()


def test_what_fails_is_told_and_ends_the_line() -> None:
    maker = Maker()
    maker.error = ValueError("no")
    pool = maker.pool()
    pool.owe(1, range(2), 0)
    wait_for(lambda: bool(maker.failures), "the failure")
    assert maker.failures == [maker.error]
    pool.close()


def test_closing_wakes_who_waits_and_leaves_no_thread() -> None:
    maker = Maker()
    maker.held[1] = threading.Event()
    pool = maker.pool()
    pool.owe(1, range(3), 0)
    waiting: list[BaseException] = []

    def take() -> None:
        try:
            pool.take(Lot(1, 0), soon())
        except Closed as error:
            waiting.append(error)

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    wait_for(lambda: pool.producing, "the lot begun")
    threading.Timer(0.1, maker.held[1].set).start()
    pool.close()
    taker.join(5)
    assert len(waiting) == 1
    wait_for(lambda: not any(t.name == "pool under test" for t in threading.enumerate()), "no thread left", 5)
    assert len(maker.made) == 1
    pool.owe(1, range(3, 5), 0)  # too late: nothing is begun
    assert not any(thread.name == "pool under test" for thread in threading.enumerate())


def test_a_moment_after_an_answer_the_next_lot_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fi_workbench.mpc.pool._SETTLE_SECONDS", 0.8)
    maker = Maker()
    pool = maker.pool()
    with pool.answering():
        pool.owe(1, range(2), 0)
    assert not maker.made, "others may still be at their parts of the answer"
    wait_for(lambda: pool.ready == 2, "both lots")
    pool.close()
