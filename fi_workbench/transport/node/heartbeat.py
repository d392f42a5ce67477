"""The heartbeat of a node: a thread of its own, since a message may take long to answer."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Self

from fi_workbench.core.errors import FederationError
from fi_workbench.transport.flower_internals.fleet import Fleet
from fi_workbench.transport.protobuf_http import Connection

_log = logging.getLogger(__name__)


class Heartbeat:
    """Tells the link, while it is entered, that the node is there.

    Parameters
    ----------
    fleet : Fleet
    connection : Connection
        Its own; closed on leaving.
    node : int
    seconds : float
        Between beats.
    """

    def __init__(self, fleet: Fleet, connection: Connection, node: int, seconds: float) -> None:
        self._fleet, self._connection, self._node, self._seconds = fleet, connection, node, seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fi-heartbeat", daemon=True)
        self.unknown = False
        """Whether the link said that it does not know the node."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._connection.abort()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.unknown = not self._fleet.heartbeat(self._connection.post, self._node, self._seconds)
            except FederationError as error:
                # the pulls find out what is wrong, and do something about it
                if not self._stopped.is_set():
                    _log.info("a heartbeat did not arrive: %s", error)
        self._connection.close()
