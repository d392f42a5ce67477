"""Streams of rounds over a data set: at a chosen rate, stoppable, and surviving any party's failure."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels
from fi_workbench.core.errors import InvalidOption, NoAnswer
from fi_workbench.core.messages import Question
from fi_workbench.core.randomness import generator
from fi_workbench.core.records import RoundRecord

T = TypeVar("T")
AskOne = Callable[[Question, threading.Event], RoundRecord]


def batches(
    queries: NDArray[Any], labels: Labels | None, batch_size: int, n_rounds: int | None, shuffle: bool, seed: int
) -> Iterator[Question]:
    """Questions of ``batch_size`` queries: one pass, or ``n_rounds`` with as many passes as that takes."""
    done, one_pass = 0, -(-len(queries) // batch_size)
    total = one_pass if n_rounds is None else n_rounds
    while done < total:
        order = generator(seed, "stream", done // one_pass).permutation(len(queries)) if shuffle else None
        for start in range(0, len(queries), batch_size):
            if done == total:
                return
            picked = slice(start, start + batch_size) if order is None else order[start : start + batch_size]
            yield Question(queries[picked], None if labels is None else labels[picked])
            done += 1


def check_pace(batch_size: object, n_rounds: object, rate: object) -> None:
    """Nothing, if a stream can run so; before its first round, not in it.

    Raises
    ------
    InvalidOption
        Naming what is out of its range.
    """
    if not _whole(batch_size, at_least=1):
        raise InvalidOption(f"batch_size must be a whole number of queries, at least 1, not {batch_size!r}.")
    if n_rounds is not None and not _whole(n_rounds, at_least=0):
        raise InvalidOption(f"n_rounds must be a whole number, at least 0, or None, not {n_rounds!r}.")
    number = isinstance(rate, int | float | np.number) and not isinstance(rate, bool)
    if rate is not None and not (number and 1e-6 <= float(cast(float, rate)) < math.inf):
        raise InvalidOption(f"rate must be a positive number of rounds per second or None, not {rate!r}.")


def _whole(value: object, at_least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= at_least


def stream(
    ask_one: AskOne, questions: Iterator[Question], rate: float | None, cancelled: threading.Event
) -> Iterator[RoundRecord]:
    """One record for each question, not faster than ``rate`` rounds a second.

    A round that nobody answered is a record without scores; the stream goes on.
    """
    due = time.monotonic()
    for question in questions:
        if cancelled.is_set():
            return
        try:
            record = ask_one(question, cancelled)
        except NoAnswer as silence:
            if not isinstance(silence.record, RoundRecord):
                raise
            record = silence.record
        if cancelled.is_set() and not record.present:
            return
        yield record
        if rate is not None:
            due = max(due + 1.0 / rate, time.monotonic() - 1.0 / rate)  # catch up one round at most
            if cancelled.wait(max(due - time.monotonic(), 0.0)):
                return


async def astream(records: Iterator[RoundRecord], cancelled: threading.Event) -> AsyncIterator[RoundRecord]:
    """The same for ``async for``; leaving the loop, or cancelling its task, stops the stream."""
    try:
        while (record := await to_thread(lambda: next(records, None), cancelled)) is not None:
            yield record
    except BaseException:  # left early; at its end there is nothing to stop, and the event may be the caller's
        cancelled.set()
        raise


async def to_thread(work: Callable[[], T], cancelled: threading.Event) -> T:
    """``work`` in a thread; cancelling the task sets ``cancelled``, so the round under way ends at once."""
    try:
        return await asyncio.to_thread(work)
    except asyncio.CancelledError:
        cancelled.set()
        raise
