"""Asks round after round in a thread of its own, and tells the state what came of it.

A button never waits for a round: it says what is wished, and the thread acts on it before its next round. Settings are
read anew for each round, so that a change takes effect from the next one on without stopping anything.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import traitlets

from fi_workbench.core.errors import FederationError, InsufficientFunds, NoAnswer
from fi_workbench.core.messages import Question
from fi_workbench.core.records import RoundRecord
from fi_workbench.protocol.engine import PartyEvent
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.running.absences import Absences, first_batches, nobody_left, nothing_to_ask
from fi_workbench.widgets.running.batches import Batches
from fi_workbench.widgets.running.behaving import Behaving
from fi_workbench.widgets.running.choosing import bring_into_force
from fi_workbench.widgets.running.following import Following
from fi_workbench.widgets.running.frames import Frame
from fi_workbench.widgets.running.funding import failure
from fi_workbench.widgets.running.link_view import cohort_on
from fi_workbench.widgets.running.members import Member, members_of
from fi_workbench.widgets.running.state import Choice, WorkbenchState
from fi_workbench.widgets.running.stream import Pace, Stream, wait_for

FRAME_SECONDS = 0.05
"""At most twenty frames a second."""

PATIENCE_SECONDS = 0.5
"""After so long, a party that has not answered yet is shown as awaited."""


class Driver:
    """Runs the rounds of one workbench.

    Parameters
    ----------
    state : WorkbenchState
    """

    def __init__(self, state: WorkbenchState) -> None:
        self.state = state
        self.following: Following | None = None
        self._batches: Batches | None = None
        self._given: tuple[Any, Any] = None, None  # queries and labels, for those who come first
        self.lock = threading.RLock()
        self._stream: Stream | None = None
        self._old: list[Stream] = []  # streams that may not have ended yet
        self._wake = threading.Event()  # something changed while the thread waits for its next round
        self._goes_on = False
        self._absences, self.behaving = Absences(state), Behaving(state)
        state.observe(self._chosen, "chosen")
        state.observe(lambda _change: self._wake.set(), ["rate", "batch_size"])
        state.observe(lambda _change: self._begin_counts(), "window")

    # what is asked, and how

    def take(self, federation: Federation, queries: Any = None, labels: Any = None) -> None:
        """Work on another federation.

        Parameters
        ----------
        federation : Federation
        queries, labels : array, optional
            What is asked; the test set of the federation's data set where not given.

        Raises
        ------
        InvalidQuery
            Queries or labels that do not fit the federation.
        """
        if queries is None and federation.dataset is not None:
            queries, labels = federation.dataset.test_images, federation.dataset.test_labels
        if federation.link is None:
            members = members_of(federation)
        else:
            federation, members = cohort_on(federation, None)
        batches = Batches.of(federation, queries, labels)
        self.stop()
        with self.lock:
            self._batches, self._given = batches, (queries, labels)
            self.state.members = members
            self.state.federation = federation
            self.state.chosen = Choice.of(federation)
            self.state.notice = None
            self.behaving.forget()
            self._begin_counts()
            self.state.status = "ready" if members else "empty"

    @property
    def can_ask(self) -> bool:
        """Whether there is a federation, something to ask, and somebody who is asked."""
        return self.state.federation is not None and self._batches is not None and bool(self.state.enabled)

    @property
    def n_labelled(self) -> int:
        """Queries whose true label is known."""
        return 0 if self._batches is None else self._batches.n_labelled

    def sample(self, n_queries: int, *, last: bool = False) -> Question:
        """So many queries, always the same, beside the stream: from the beginning of its first pass, or the end."""
        if self._batches is None:
            raise FederationError("There is nothing to ask.")
        return self._batches.sample(n_queries, last=last)

    def bring_in(self, federation: Federation, members: tuple[Member, ...]) -> None:
        """Go on with other parties from the next round on; without any, wait for some."""
        with self.lock:
            if self.following is not None:
                self.following.adopt(members)
            self.state.members = members
            self.state.federation = federation
            self._absences.forget()
            if self._batches is None:
                self._batches = first_batches(self.state, federation, *self._given)
            if self.following is None:
                self._begin_counts()
            if not any(member.asked for member in members):
                nobody_left(self.state)
                self.stop()
                self.state.status = self.state.status if members else "empty"
            elif self.state.status == "empty":
                self.state.status = "ready"
        self._publish()

    # run, pause, stop

    def run(self, n_rounds: int | None = None) -> None:
        """Ask round after round, or ``n_rounds`` of them; begins anew after a stop, goes on after a pause."""
        with self.lock:
            if not self.can_ask:
                self.state.notice = nothing_to_ask(self.state)
                return
            if self.state.notice is not None and self.state.notice.level == "error":
                self.state.notice = None  # it was about what went before; the log keeps it
            if self.state.status == "stopped" and n_rounds is None:
                self._begin_counts()
            self._goes_on = True
            self.state.status = "running"
            if self._stream is not None:  # it has not come to its pause yet
                self._stream.left = n_rounds
                return
            self._stream = Stream(n_rounds)
            self._old = [old for old in self._old if not old.ended.is_set()] + [self._stream]
            self._stream.start(self._work, self._watch)

    def pause(self) -> None:
        """Finish the round under way and wait."""
        with self.lock:
            if self.state.status == "running":
                self._goes_on = False
                self.state.status = "paused"
                self._wake.set()

    def toggle(self) -> None:
        """Run, or pause."""
        if self.state.status == "running":
            self.pause()
        else:
            self.run()

    def stop(self) -> None:
        """Give up the round under way; the pictures stay, and the next run begins anew."""
        with self.lock:
            self._goes_on = False
            if self._stream is not None:
                self._stream.stop.set()
                self._stream = None  # it ends by itself and touches nothing more
            self._wake.set()
            if self.state.status in ("running", "paused", "spent"):
                self.state.status = "stopped"

    def wait(self, seconds: float) -> bool:
        """Wait until no thread of a paused or stopped workbench is left; whether that is so."""
        return wait_for(self._old, seconds)

    # the threads

    def _work(self, stream: Stream) -> None:
        try:
            self._rounds(stream)
            self._publish(stream)
        finally:
            stream.ended.set()

    def _rounds(self, stream: Stream) -> None:
        pace, shown = Pace(), 0.0
        while self._shall_go_on(stream):
            self._wake.clear()
            try:
                self._one_round(stream)
            except Exception as error:  # noqa: BLE001 (a rule or a contribution method may be a stranger's plug-in)
                self._failed(error, stream)
                return
            now, rate, last = time.monotonic(), self.state.rate, stream.left == 0
            if last or now - shown >= FRAME_SECONDS or (rate is not None and rate * FRAME_SECONDS <= 1):
                self._publish(stream)
                shown = now
            if rate is not None and not last and self._goes_on:
                self._wake.wait(pace.seconds_left(rate))

    def _shall_go_on(self, stream: Stream) -> bool:
        with self.lock:
            if stream.stop.is_set():
                return False
            if stream.left == 0 or not self._goes_on:
                self._stream = None
                self._goes_on = False
                if self.state.status == "running":
                    self.state.status = "paused"
                return False
            stream.left = None if stream.left is None else stream.left - 1
            return True

    def _one_round(self, stream: Stream) -> None:
        federation, batches = self.state.federation, self._batches
        if federation is None or batches is None:
            raise FederationError("The federation was taken away.")
        question = batches.next(self.state.batch_size)
        heard = set[str]()

        def on_event(event: PartyEvent) -> None:
            heard.add(event.party)

        stream.in_round = time.monotonic(), federation, heard
        try:
            record = federation.ask(question.queries, question.labels, cancelled=stream.stop, on_event=on_event)
        except NoAnswer as silence:
            if not isinstance(silence.record, RoundRecord):
                raise
            record = silence.record
        finally:
            stream.in_round = None
        self._book(record, question, stream)

    def _book(self, record: RoundRecord, question: Question, stream: Stream) -> None:
        with self.lock:
            if stream.stop.is_set():
                return
            if self.following is not None:
                self.following.book(record, question)
            if not self._absences.heard(record):
                self._goes_on, self.state.status = False, "spent"
        self.state.record = record

    def _failed(self, error: Exception, stream: Stream) -> None:
        notice = failure(self.state, error)
        with self.lock:
            if stream.stop.is_set():
                return
            self._stream = None
            self._goes_on = False
            self.state.status = "spent" if isinstance(error, InsufficientFunds) else "stopped"
        self.state.tell(notice.text, "error")
        self.state.notice = notice

    def _watch(self, stream: Stream) -> None:
        """While a round takes long, show who has not answered yet."""
        while not stream.ended.wait(PATIENCE_SECONDS):
            current = stream.in_round
            if current is None or stream.stop.is_set():
                continue
            began, federation, heard = current
            waited = time.monotonic() - began
            if waited >= PATIENCE_SECONDS:
                late = [party.name for party in federation.parties if party.name not in heard]
                self._publish(stream, dict.fromkeys(late, f"no answer for {waited:.0f} s yet"))

    def _publish(self, stream: Stream | None = None, waiting: dict[str, str] | None = None) -> None:
        with self.lock:
            if self.following is None or (stream is not None and stream.stop.is_set()):
                return
            frame = self.following.frame(waiting)
        self.state.frame = frame

    # settings

    def _begin_counts(self) -> None:
        with self.lock:
            federation = self.state.federation
            if federation is None or not federation.parties:
                self.following, self.state.frame = None, None
                return
            self.following = Following(self.state.members, len(federation.classes), self.state.window)
            self._absences.forget()
            frame: Frame = self.following.frame()
        self.state.frame = frame

    def _chosen(self, change: traitlets.Bunch) -> None:
        with self.lock:
            before = self.state.members
            bring_into_force(self.state, change["new"], begun=bool(self.following and self.following.n_rounds))
            if self.following is not None and self.state.members is not before:
                self.following.adopt(self.state.members)
