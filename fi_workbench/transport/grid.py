"""Grids that can be waited on: what every transport of ours adds to Flower's ``Grid``."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection, Iterable
from uuid import uuid4

from flwr.app import DEFAULT_TTL, Message, RecordDict
from flwr.serverapp import Grid

from fi_workbench.transport.flower_internals import Run, new_message, new_run


class WaitingGrid(Grid):
    """A Flower ``Grid`` of one run that tells when a reply is there, so that nobody polls.

    ``push_messages`` returns at once; ``wait`` blocks until a reply can be pulled; ``discard`` gives messages up.
    """

    def __init__(self) -> None:
        self._run = new_run()

    def set_run(self, run: Run) -> None:
        """Take the run that messages belong to."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run that messages belong to."""
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message of this run with a fresh id."""
        ttl = DEFAULT_TTL if ttl is None else ttl
        return new_message(content, message_type, self._run.run_id, dst_node_id, group_id, ttl, uuid4().hex)

    @abstractmethod
    def wait(self, message_ids: Collection[str], timeout: float, n: int = 1) -> None:
        """Block until ``n`` of the replies can be pulled, ``timeout`` seconds pass, or the grid is closed."""

    @abstractmethod
    def pull_arrived(self, message_ids: Iterable[str]) -> list[tuple[Message, float]]:
        """Replies that are there and when each arrived, in monotonic seconds; each is given out once."""

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies that are there, each given out once."""
        return [message for message, _ in self.pull_arrived(message_ids)]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Push, wait and pull: replies that came within ``timeout`` seconds."""
        pending = list(self.push_messages(messages))
        self.wait(pending, math.inf if timeout is None else timeout, n=len(pending))
        replies = self.pull_messages(pending)
        self.discard(pending)
        return replies

    @abstractmethod
    def discard(self, message_ids: Iterable[str]) -> None:
        """Give messages up: those not begun are not begun, and replies that still come are dropped."""

    @abstractmethod
    def close(self) -> None:
        """Stop taking messages."""
