"""The grid of an attached process: messages go to the host's desk, which sends them on as its own grid's are."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from flwr.app import Message

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.transport.flower_internals.link import PullAppMessagesRequest
from fi_workbench.transport.hosted.desk_client import Desk, DeskGone
from fi_workbench.transport.remote_grid import RemoteGrid

_log = logging.getLogger(__name__)

_HOLD_SECONDS = 20.0
_PAUSE_SECONDS = 0.2


class AttachedGrid(RemoteGrid):
    """Speaks to a host's desk; a thread waits for replies while any are open.

    Parameters
    ----------
    desk : callable
        Gives the desk as it is now; None while the host is away.
    nodes : callable
        Gives the node ids of those who are there.
    """

    def __init__(self, desk: Callable[[], Desk | None], nodes: Callable[[], list[int]]) -> None:
        super().__init__()
        self._desk, self._nodes = desk, nodes
        self._some = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="fi-attached-grid", daemon=True)
        self._thread.start()

    def get_node_ids(self) -> list[int]:
        """Nodes that are there."""
        return self._nodes()

    def fail_all(self, reason: str) -> None:
        """Answer everything that is open: the host that carried it is gone."""
        for message in self.waiting:
            self.fail(message, reason)

    def close(self) -> None:
        """Send nothing more; what somebody waits for fails now."""
        super().close()
        self._some.set()

    def _send(self, messages: Sequence[Message]) -> None:
        desk = self._desk()
        try:
            if desk is None:
                raise DeskGone("The federation's host is away.")
            desk.push(list(messages))
        except (DeskGone, DoesNotFit) as error:
            for message in messages:
                self.fail(message, str(error))
            return
        self._some.set()

    def _recall(self, messages: Iterable[Message]) -> None:
        desk = self._desk()
        if desk is None:
            return
        ids = [message.metadata.message_id for message in messages]
        try:
            desk.discard(PullAppMessagesRequest(message_ids=ids).SerializeToString())
        except (DeskGone, DoesNotFit) as error:
            _log.info("messages were not taken back: %s", error)

    def _collect(self) -> None:
        while not self._closed:
            self._some.wait()
            self._some.clear()
            while self.waiting and not self._closed:
                desk = self._desk()
                try:
                    if desk is None:
                        raise DeskGone("The federation's host is away.")
                    for reply in desk.pull(_HOLD_SECONDS):
                        self.deliver(reply)
                except (DeskGone, DoesNotFit) as error:
                    if not self._closed:
                        self.fail_all(str(error))
                        self._some.wait(_PAUSE_SECONDS)
