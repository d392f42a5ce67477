"""What one peer sent and nobody has taken yet; whoever waits for a message fetches it from the channel himself."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Protocol

from fi_workbench.core.peers import BadPeerMessage, PeerFault, PeerLate, PeerLost

LARGEST_BYTES = 2**30
"""Of one message."""

LARGEST_HELD_BYTES = 2**29
"""Of the messages of one peer that arrived and for which nobody waits yet."""

LONGEST_TAG_BYTES = 100

_REMEMBERED_TAGS = 65_536
_OVERHEAD_BYTES = 256  # that an empty message costs at least
_SLICE_SECONDS = 0.25  # after which whoever reads a socket looks at what came another way


class Source(Protocol):
    """Where messages of a peer are fetched from, by one thread at a time."""

    def read(self, inbox: Inbox, end: float) -> None:
        """Wait for bytes until ``end`` at most, and put what they complete into ``inbox``.

        Raises
        ------
        PeerFault
            The channel has ended.
        """


class Inbox:
    """The messages of one peer, by tag, each taken once.

    With a ``source``, one of those who wait reads it for all (and wakes the others), so that a message needs no
    hand-over between threads as a rule; without one, messages are put in from outside.

    Parameters
    ----------
    me, peer : str
    """

    def __init__(self, me: str, peer: str) -> None:
        self.me, self.peer = me, peer
        self._changed = threading.Condition()
        self._held: dict[str, memoryview] = {}
        self._n_held_bytes = 0
        self._wanted: dict[str, int] = {}
        self._past: set[str] = set()
        self._order: deque[str] = deque()
        self._ended: PeerFault | None = None
        self._aborted: PeerFault | None = None
        self._source: Source | None = None
        self._reading = False

    def read_from(self, source: Source) -> None:
        """Fetch messages from there from now on."""
        with self._changed:
            self._source = source
            self._changed.notify_all()

    def check(self, tag: str, n_bytes: int) -> None:
        """Whether a message of that tag and length may come, before any of its bytes are read.

        Raises
        ------
        BadPeerMessage
        """
        with self._changed:
            self._check(tag, n_bytes)

    def put(self, tag: str, payload: bytes | bytearray | memoryview) -> None:
        """A message that arrived whole.

        Raises
        ------
        BadPeerMessage
        """
        with self._changed:
            self._check(tag, len(payload))
            self._remember(tag)
            self._held[tag] = memoryview(payload).toreadonly()
            self._n_held_bytes += len(payload) + _OVERHEAD_BYTES
            self._changed.notify_all()

    def end(self, fault: PeerFault) -> None:
        """Nothing more comes: who waits for what is not here yet raises the first such fault."""
        with self._changed:
            self._ended = self._ended or fault
            self._changed.notify_all()

    def abort(self, fault: PeerFault) -> None:
        """Whoever waits, for whatever, raises the first such fault."""
        with self._changed:
            self._aborted = self._aborted or fault
            self._held.clear()
            self._n_held_bytes = 0
            self._changed.notify_all()

    def wait_unread(self, seconds: float) -> None:
        """Wait until nobody reads the source, which was ended before, so that it can be closed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reading, seconds)

    def take(self, tag: str, n_bytes: int, end: float) -> memoryview:
        """The message of that tag, read-only; waits for it until ``end``, in monotonic seconds.

        Raises
        ------
        PeerLate, PeerLost, BadPeerMessage
        """
        with self._changed:
            if tag in self._wanted:
                raise BadPeerMessage(self.peer, f"{self.me} waits for {tag!r} of {self.peer} twice; it comes once.")
            self._wanted[tag] = n_bytes
            try:
                while True:
                    if self._aborted is not None:
                        raise self._aborted.with_traceback(None)
                    if tag in self._held:
                        return self._release(tag, n_bytes)
                    if self._ended is not None:
                        raise self._ended.with_traceback(None)
                    left = end - time.monotonic()
                    if left <= 0:
                        raise PeerLate(self.peer, f"{self.peer} has not sent {tag!r} to {self.me} in time.")
                    if self._source is None or self._reading:
                        self._changed.wait(min(left, threading.TIMEOUT_MAX))
                    else:
                        self._read(self._source, min(end, time.monotonic() + _SLICE_SECONDS))
            finally:
                del self._wanted[tag]
                if self._source is not None:
                    self._changed.notify_all()  # one of those who still wait has to read now

    def _read(self, source: Source, end: float) -> None:
        self._reading = True
        self._changed.release()
        fault: PeerFault | None = None
        try:
            source.read(self, end)
        except PeerFault as error:
            fault = error
        except Exception as error:  # noqa: BLE001 (or those who wait beside would never know)
            fault = PeerLost(self.peer, f"The channel from {self.peer} cannot be read: {error!r}.")
        finally:
            self._changed.acquire()
            self._reading = False
        if fault is not None:
            self._ended = self._ended or fault
            self._changed.notify_all()

    def _release(self, tag: str, n_bytes: int) -> memoryview:
        payload = self._held.pop(tag)
        self._n_held_bytes -= len(payload) + _OVERHEAD_BYTES
        if len(payload) != n_bytes:
            self._ended = self._ended or self._wrong_length(tag, len(payload), n_bytes)
            raise self._wrong_length(tag, len(payload), n_bytes)
        return payload

    def _check(self, tag: str, n_bytes: int) -> None:
        if not 1 <= len(tag.encode()) <= LONGEST_TAG_BYTES:
            raise BadPeerMessage(self.peer, f"{self.peer} sent a tag of 0 or more than {LONGEST_TAG_BYTES} bytes.")
        if tag in self._past or tag in self._held:
            raise BadPeerMessage(self.peer, f"{self.peer} sent {tag!r} twice.")
        if n_bytes > LARGEST_BYTES:
            raise BadPeerMessage(
                self.peer, f"{self.peer} sends {tag!r} with {n_bytes} bytes; {LARGEST_BYTES} is the most."
            )
        wanted = self._wanted.get(tag)
        if wanted is not None and wanted != n_bytes:
            raise self._wrong_length(tag, n_bytes, wanted)
        if wanted is None and self._n_held_bytes + n_bytes + _OVERHEAD_BYTES > LARGEST_HELD_BYTES:
            raise BadPeerMessage(
                self.peer,
                f"{self.peer} sent more than {LARGEST_HELD_BYTES} bytes for which {self.me} does not wait yet.",
            )

    def _wrong_length(self, tag: str, n_bytes: int, wanted: int) -> BadPeerMessage:
        return BadPeerMessage(self.peer, f"{self.peer} sent {tag!r} with {n_bytes} bytes; {wanted} are right.")

    def _remember(self, tag: str) -> None:
        """Old tags are forgotten: a channel is authenticated and in order, so only its peer itself could repeat one."""
        self._past.add(tag)
        self._order.append(tag)
        if len(self._order) > _REMEMBERED_TAGS:
            self._past.discard(self._order.popleft())
