"""The ways to ask: one batch or a stream, each blocking or for ``await``."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fi_workbench.core.arrays import check_labels, check_queries
from fi_workbench.core.errors import NoAnswer
from fi_workbench.core.messages import Question
from fi_workbench.core.records import RoundRecord
from fi_workbench.parties import Party
from fi_workbench.protocol.engine import OnEvent
from fi_workbench.session import streaming
from fi_workbench.session.asking import ask
from fi_workbench.session.runtime import Runtime
from fi_workbench.session.settings import Settings


class Askable(ABC):
    """What has parties, settings and a runtime, and can therefore be asked."""

    _runtime: Runtime
    _settings: Settings

    @property
    @abstractmethod
    def parties(self) -> tuple[Party, ...]:
        """The cohort, in the order of every party axis."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of every class axis."""
        return self._first().classes

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one query, without the batch axis."""
        return self._first().input_shape

    def ask(
        self,
        queries: Any,
        labels: Any = None,
        *,
        cancelled: threading.Event | None = None,
        on_event: OnEvent | None = None,
    ) -> RoundRecord:
        """Ask one batch of queries.

        Parameters
        ----------
        queries : array (query, *input_shape)
        labels : array (query,), optional
            True class indices; they stay with the client and value the contributions.
        cancelled : Event, optional
            Set it from another thread to give up.
        on_event : callable, optional
            Told of each party's reply or absence as it comes.

        Raises
        ------
        InvalidQuery
            Wrong shape or dtype, NaN, an empty batch, labels that do not fit.
        NoAnswer
            If no party answered by the deadline; its ``record`` says why.
        """
        question = self._question(queries, labels)
        return ask(self._runtime, self._settings, self.parties, question, cancelled=cancelled, on_event=on_event)

    async def ask_async(self, queries: Any, labels: Any = None, *, on_event: OnEvent | None = None) -> RoundRecord:
        """:meth:`ask` for ``await``; cancelling the task gives the round up."""
        cancelled = threading.Event()
        return await streaming.to_thread(
            lambda: self.ask(queries, labels, cancelled=cancelled, on_event=on_event), cancelled
        )

    def stream(
        self,
        queries: Any,
        labels: Any = None,
        *,
        batch_size: int = 32,
        n_rounds: int | None = None,
        rate: float | None = None,
        shuffle: bool = False,
        cancelled: threading.Event | None = None,
    ) -> Iterator[RoundRecord]:
        """Ask batch after batch and yield each record; a round that nobody answered is a record without scores.

        Parameters
        ----------
        queries, labels
            As for :meth:`ask`.
        batch_size : int
        n_rounds : int, optional
            Rounds in all; None for one pass over the queries.
        rate : float, optional
            At most this many rounds a second.
        shuffle : bool
            Draw the batches in an order that the seed determines, another one in each pass.
        cancelled : Event, optional
            Set it from another thread to stop.

        Raises
        ------
        InvalidQuery, InvalidOption
            At once, not at the first round.
        """
        streaming.check_pace(batch_size, n_rounds, rate)
        question = self._question(queries, labels)
        stop = cancelled or threading.Event()
        questions = streaming.batches(
            question.queries, question.labels, batch_size, n_rounds, shuffle, self._settings.seed
        )

        def ask_one(one: Question, stopped: threading.Event) -> RoundRecord:
            return ask(self._runtime, self._settings, self.parties, one, cancelled=stopped)

        return streaming.stream(ask_one, questions, rate, stop)

    def astream(self, queries: Any, labels: Any = None, **options: Any) -> AsyncIterator[RoundRecord]:
        """:meth:`stream` for ``async for``; leaving the loop stops it."""
        stop = options.setdefault("cancelled", threading.Event())
        return streaming.astream(self.stream(queries, labels, **options), stop)

    def _question(self, queries: Any, labels: Any) -> Question:
        checked = check_queries(queries, self.input_shape)
        truth = None if labels is None else check_labels(labels, len(checked), len(self.classes))
        return Question(checked, truth)

    def _first(self) -> Party:
        """One of the parties: they are alike.

        Raises
        ------
        NoAnswer
            There is none as yet.
        """
        if not (parties := self.parties):
            raise NoAnswer(self._why_nobody())
        return parties[0]

    def _why_nobody(self) -> str:
        return "Nobody has joined this federation yet; federation.invite() says how a party does."
