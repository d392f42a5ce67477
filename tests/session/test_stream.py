"""Streams: which batches, how fast, until when, and through which troubles; blocking and for `await`."""

import asyncio
import threading
import time
from itertools import chain

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.messages import Question
from fi_workbench.session import streaming
from tests.harness import HANG, SOON, linear_party, queries


def taken(stream):
    return [record.n_queries for record in stream]


def asked_rows(n=20, **options):
    """The row numbers of each batch."""
    column = np.arange(n)[:, None]
    options = {"batch_size": 8, "n_rounds": None, "shuffle": False, "seed": 0} | options
    return [one.queries[:, 0].tolist() for one in streaming.batches(column, None, **options)]


def test_one_pass_asks_every_query_once(make):
    assert asked_rows() == [list(range(8)), list(range(8, 16)), list(range(16, 20))]
    assert asked_rows(batch_size=100) == [list(range(20))]
    assert asked_rows(batch_size=20) == [list(range(20))]
    assert taken(make().stream(queries(20), batch_size=8)) == [8, 8, 4]


def test_a_number_of_rounds_takes_as_many_passes_as_that_needs(make):
    assert asked_rows(n=5, batch_size=2, n_rounds=7) == [[0, 1], [2, 3], [4], [0, 1], [2, 3], [4], [0, 1]]
    assert asked_rows(n_rounds=0) == []
    assert asked_rows(n_rounds=2) == [list(range(8)), list(range(8, 16))]
    assert taken(make().stream(queries(5), batch_size=2, n_rounds=4)) == [2, 2, 1, 2]


def test_shuffling_is_drawn_from_the_seed_and_another_in_each_pass():
    once = asked_rows(shuffle=True, n_rounds=6)
    assert asked_rows(shuffle=True, n_rounds=6) == once
    assert asked_rows(shuffle=True, n_rounds=6, seed=1) != once
    first, second = list(chain(*once[:3])), list(chain(*once[3:]))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert first != list(range(20))


def test_labels_go_with_their_queries(make):
    column = np.arange(20)
    for one in streaming.batches(column[:, None], column * 10, 6, 9, True, 0):
        assert isinstance(one, Question)
        assert (one.queries[:, 0] * 10 == one.labels).all()
    records = list(make().stream(queries(9), np.arange(9) % 3, batch_size=4))
    assert [record.truth.tolist() for record in records] == [[0, 1, 2, 0], [1, 2, 0, 1], [2]]
    assert all(record.accuracy is not None for record in records)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of queries, at least 1, not 0"),
        ({"batch_size": 2.0}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"batch_size": None}, "batch_size"),
        ({"n_rounds": -1}, "n_rounds must be a whole number, at least 0"),
        ({"n_rounds": 1.5}, "n_rounds"),
        ({"n_rounds": "3"}, "n_rounds"),
        ({"rate": 0}, "rate must be a positive number"),
        ({"rate": -1}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"rate": float("inf")}, "rate"),
        ({"rate": 1e-300}, "rate"),
        ({"rate": "fast"}, "rate"),
        ({"rate": True}, "rate"),
    ],
    ids=str,
)
def test_what_a_stream_cannot_do_is_refused_at_once(make, options, says):
    federation = make()
    with pytest.raises(InvalidOption, match=says):
        federation.stream(queries(), **options)
    with pytest.raises(InvalidOption, match=says):
        federation.astream(queries(), **options)


def test_numpy_numbers_will_do(make):
    assert taken(make().stream(queries(6), batch_size=np.int64(4), n_rounds=np.int32(2), rate=np.float64(1000))) == [
        4,
        2,
    ]


class Clock:
    """Time that passes only where the stream waits; rounds take what the test says."""

    def __init__(self, monkeypatch, round_seconds):
        self.now, self.waits, self.round_seconds = 100.0, [], iter(round_seconds)
        monkeypatch.setattr(streaming.time, "monotonic", lambda: self.now)

    def is_set(self):
        return False

    def wait(self, seconds):
        self.waits.append(round(seconds, 6))
        self.now += seconds
        return False

    def ask(self, question, cancelled):
        self.now += next(self.round_seconds)
        return type("Record", (), {"present": ("Ada",)})()


def begun(clock, n, rate):
    starts = []
    questions = (starts.append(clock.now) or Question(np.zeros(1)) for _ in range(n))
    for _ in streaming.stream(clock.ask, questions, rate, clock):
        pass
    return np.round(np.array(starts) - 100.0, 6).tolist()


def test_the_rate_is_kept_exactly_where_rounds_are_quick(monkeypatch):
    clock = Clock(monkeypatch, [0.01] * 6)
    assert begun(clock, 5, rate=10.0) == [0.0, 0.1, 0.2, 0.3, 0.4]


def test_a_slow_round_is_caught_up_by_one_and_not_by_a_burst(monkeypatch):
    clock = Clock(monkeypatch, [0.01, 0.55, 0.01, 0.01, 0.01, 0.01])
    starts = begun(clock, 6, rate=10.0)
    assert starts[:2] == [0.0, 0.1]
    assert starts[2] == 0.65, "at once, it is late already"
    gaps = np.diff(starts[2:])
    assert gaps[0] < 0.1
    assert gaps[1:] == pytest.approx([0.1, 0.1], abs=0.02)


def test_without_a_rate_nobody_waits(monkeypatch):
    clock = Clock(monkeypatch, [0.01] * 6)
    begun(clock, 5, rate=None)
    assert clock.waits == []


def test_a_rate_holds_in_earnest(make):
    federation = make()
    federation.ask(queries())
    started = time.monotonic()
    assert len(list(federation.stream(queries(6), batch_size=1, rate=25.0))) == 6
    assert time.monotonic() - started > 0.19


# troubles


def test_a_stream_survives_whatever_one_party_does_in_any_round(make, troubled):
    moods = {2: "raises", 3: "garbage", 4: "nan", 5: "hangs"}
    troubled.mood = lambda n: moods.get(n, "well")
    federation = make(parties=[linear_party("Ada"), troubled.party, linear_party("Cy")], deadline_seconds=2.0)
    kinds = []
    for record in federation.stream(queries(8), batch_size=1):
        assert record.scores is not None
        assert {"Ada", "Cy"} <= set(record.present)
        kinds.append(record.absent[0].kind if record.absent else "present")
        if kinds[-1] == "late":
            troubled.go_on.set()
    assert kinds == ["present", "raised", "invalid", "invalid", "late", "present", "present", "present"]
    table = federation.history.table().query("party == 'Bo'")
    assert table.status.tolist() == kinds
    assert table.latency_seconds.notna().sum() == 7


def test_a_round_that_nobody_answered_is_a_record_without_scores(make, troubled):
    troubled.mood = lambda n: "raises" if n == 2 else "well"
    federation = make(parties=[troubled.party])
    records = list(federation.stream(queries(4), batch_size=1))
    assert [record.scores is None for record in records] == [False, True, False, False]
    assert [record.round for record in records] == [1, 2, 3, 4]
    assert records[1].absent[0].reason
    assert len(federation.history) == 4


def test_a_stream_stops_from_another_thread_between_rounds_and_within_one(make, troubled):
    federation, stop = make(), threading.Event()
    seen = []
    for record in federation.stream(queries(100), batch_size=1, rate=1 / HANG, cancelled=stop):
        seen.append(record)
        threading.Timer(0.1, stop.set).start()
        started = time.monotonic()
    assert len(seen) == 1
    assert time.monotonic() - started < SOON, "it does not wait for the rate"
    assert list(federation.stream(queries(10), cancelled=stop)) == []

    slow, stop = make(parties=[linear_party("Ada"), troubled.party], deadline_seconds=HANG), threading.Event()
    troubled.mood = lambda n: stop.set() or "hangs"
    started = time.monotonic()
    assert list(slow.stream(queries(10), batch_size=1, cancelled=stop)) == []
    assert time.monotonic() - started < SOON
    assert slow.history[0]["absent"][0]["kind"] == "cancelled"


def test_several_streams_over_copies_run_at_once(make):
    federation = make()
    copies = [federation.with_(rule=rule) for rule in ("soft_vote", "hard_vote", "mean_logit")]
    found = {}

    def run(copy):
        found[copy] = list(copy.stream(queries(20), batch_size=2))

    threads = [threading.Thread(target=run, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for copy in copies:
        assert [record.settings["rule"] for record in found[copy]] == [copy.settings.rule] * 10
    assert sorted(record.round for records in found.values() for record in records) == list(range(1, 31))
    assert len(federation.history) == 30


# for await


def test_ask_for_await_gives_the_same_record(make):
    events = []
    record = asyncio.run(make().ask_async(queries(), [0, 1, 2, 0, 1, 2], on_event=events.append))
    assert record.digest == make().ask(queries()).digest
    assert len(events) == 3
    with pytest.raises(ValueError, match="empty"):
        asyncio.run(make().ask_async(queries(0)))


def test_the_event_loop_goes_on_while_parties_think(make, troubled):
    troubled.mood = "hangs"
    federation = make(parties=[troubled.party, linear_party("Ada")], deadline_seconds=SOON)

    async def main():
        task = asyncio.create_task(federation.ask_async(queries()))
        while not troubled.n_asked:
            await asyncio.sleep(0.005)
        for _ in range(10):
            await asyncio.sleep(0.005)
        troubled.go_on.set()  # nobody does where the loop stands still
        return await task

    assert asyncio.run(main()).present == ("Bo", "Ada")


def test_cancelling_the_task_gives_the_round_up_at_once(make, troubled):
    troubled.mood = "hangs"
    federation = make(parties=[troubled.party, linear_party("Ada")], deadline_seconds=HANG)

    async def main():
        task = asyncio.create_task(federation.ask_async(queries()))
        while not troubled.n_asked:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = time.monotonic()
    asyncio.run(main())  # waits for its threads at the end
    assert time.monotonic() - started < SOON
    assert federation.history[0]["absent"][0]["kind"] == "cancelled"


def test_a_stream_for_await_ends_by_itself(make):
    async def main():
        return [record.n_queries async for record in make().astream(queries(10), batch_size=4)]

    assert asyncio.run(main()) == [4, 4, 2]


def test_a_stream_that_ended_by_itself_does_not_set_the_callers_event(make):
    stop = threading.Event()

    async def main():
        return [record.round async for record in make().astream(queries(4), batch_size=2, cancelled=stop)]

    assert asyncio.run(main()) == [1, 2]
    assert not stop.is_set(), "it may be used for the next stream"


def test_leaving_or_closing_an_async_stream_stops_it(make):
    federation = make()

    async def leave():
        async for record in federation.astream(queries(100), batch_size=1):
            if record.round == 3:
                break

    async def close():
        stream = federation.astream(queries(100), batch_size=1)
        await anext(stream)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    asyncio.run(leave())
    n = federation.runtime.n_rounds
    time.sleep(0.05)
    assert federation.runtime.n_rounds == n == 3
    asyncio.run(close())
    assert federation.runtime.n_rounds == 4


def test_cancelling_an_async_stream_ends_the_round_under_way(make, troubled):
    troubled.mood = lambda n: "hangs" if n > 2 else "well"
    federation = make(parties=[troubled.party, linear_party("Ada")], deadline_seconds=HANG)
    seen = []

    async def main():
        async def watch():
            async for record in federation.astream(queries(100), batch_size=1):
                seen.append(record.round)  # noqa: PERF401 - what was seen is kept when the task is cancelled

        task = asyncio.create_task(watch())
        while troubled.n_asked < 3:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - started < SOON
    assert seen == [1, 2]


def test_an_async_stream_shows_rounds_that_nobody_answered_too(make, troubled):
    troubled.mood = lambda n: "raises" if n == 1 else "well"

    async def main():
        federation = make(parties=[troubled.party])
        return [record.scores is None async for record in federation.astream(queries(2), batch_size=1)]

    assert asyncio.run(main()) == [True, False]
    assert isinstance(fi.NoAnswer("x"), fi.FederationError)
