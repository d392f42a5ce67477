"""The grid of a hosted link: messages go into the fleet's queues, replies come back from there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from flwr.app import Message

from fi_workbench.transport.hosted.fleet import Fleet
from fi_workbench.transport.hosted.round_meter import RoundMeter
from fi_workbench.transport.remote_grid import RemoteGrid


class HostedGrid(RemoteGrid):
    """One sender on a hosted link; a link has several where other processes are attached to it.

    Parameters
    ----------
    fleet : Fleet
    meter : RoundMeter
    arrived : callable, optional
        Called, from any thread, after each reply or failure.
    """

    def __init__(self, fleet: Fleet, meter: RoundMeter, arrived: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._fleet, self._meter, self._arrived = fleet, meter, arrived

    def get_node_ids(self) -> list[int]:
        """Nodes that are there."""
        return self._fleet.present

    @property
    def n_waiting(self) -> int:
        """Messages without a reply as yet."""
        return len(self.waiting)

    @property
    def n_arrived(self) -> int:
        """Replies that are there."""
        return len(self._box.answered)

    def deliver(self, reply: Message) -> bool:
        """Take in a reply; one that answers nothing open, or another party's message, is dropped."""
        taken = super().deliver(reply)
        if taken and self._arrived is not None:
            self._arrived()
        return taken

    def fail(self, message: Message, reason: str) -> None:
        """Answer a message in the place of a party that cannot."""
        super().fail(message, reason)
        if self._arrived is not None:
            self._arrived()

    def pull_all(self) -> list[Message]:
        """Every reply that is there, each given out once."""
        return [message for message, _ in self._box.pull(self._box.answered)]

    def _send(self, messages: Sequence[Message]) -> None:
        self._meter.count(messages)
        self._fleet.send(messages, self)

    def _recall(self, messages: Iterable[Message]) -> None:
        self._fleet.recall(messages)

    def close(self) -> None:
        """Send nothing more; what somebody waits for fails now."""
        self._fleet.recall(self.waiting)
        super().close()
