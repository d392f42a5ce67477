"""How many rounds a link carries, counted by what passes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence

from flwr.app import Message

from fi_workbench.protocol.ports import ANNOUNCE

_WINDOW_SECONDS = 5.0
_REMEMBERED = 4096


class RoundMeter:
    """Counts the groups of messages that ask queries; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, None] = OrderedDict()  # a round of several phases is one
        self._times: deque[float] = deque(maxlen=_REMEMBERED)
        self._n = 0

    def count(self, messages: Sequence[Message]) -> None:
        """These messages were sent."""
        with self._lock:
            for message in messages:
                metadata = message.metadata
                group = metadata.group_id
                asks = metadata.message_type.startswith("query.") and metadata.message_type != f"query.{ANNOUNCE}"
                if not asks or group in self._recent:
                    continue
                self._recent[group] = None
                if len(self._recent) > _REMEMBERED:
                    self._recent.popitem(last=False)
                self._times.append(time.monotonic())
                self._n += 1

    @property
    def n_rounds(self) -> int:
        """Rounds so far."""
        return self._n

    @property
    def per_second(self) -> float:
        """Rounds a second over the last five."""
        with self._lock:
            now = time.monotonic()
            while self._times and now - self._times[0] > _WINDOW_SECONDS:
                self._times.popleft()
            if not self._times:
                return 0.0
            return len(self._times) / max(min(_WINDOW_SECONDS, now - self._times[0]), 1.0)
