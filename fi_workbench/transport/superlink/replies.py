"""Replies as a SuperLink gives them out: inline from nodes of ours, in objects from stock SuperNodes."""

from __future__ import annotations

from collections.abc import Iterable

from flwr.app import Message

from fi_workbench.transport.flower_internals.fleet import Garbled
from fi_workbench.transport.flower_internals.runtime_api import RuntimeApi, Scattered
from fi_workbench.transport.protobuf_http import Connection
from fi_workbench.transport.superlink.grid import SuperLinkGrid
from fi_workbench.transport.superlink.run import HeldRun


class Replies:
    """Brings replies into a grid.

    Parameters
    ----------
    api : RuntimeApi
    grid : SuperLinkGrid
    """

    def __init__(self, api: RuntimeApi, grid: SuperLinkGrid) -> None:
        self._api, self._grid = api, grid
        self._sent: set[str] = set()
        self._coming: dict[str, Scattered] = {}  # by id of the message that they reply to

    def forget(self) -> None:
        """What was still coming comes no more."""
        self._sent.clear()
        self._coming.clear()

    def expect(self, message_ids: Iterable[str]) -> None:
        """These were sent. A SuperLink that is asked for a reply to what it has not got yet says that it is lost."""
        self._sent.update(message_ids)

    def collect(self, connection: Connection, held: HeldRun) -> None:
        """Take in what is there for the messages that are open."""
        self._sent &= {message.metadata.message_id for message in self._grid.waiting}
        self._coming = {asked: reply for asked, reply in self._coming.items() if asked in self._sent}
        if ids := self._sent - set(self._coming):
            for reply in self._api.pull(connection.post, held.token, ids):
                if isinstance(reply, Scattered):
                    self._coming[reply.head.metadata.reply_to_message_id] = reply
                else:
                    self._deliver(reply)
        for asked, reply in list(self._coming.items()):
            self._gather(connection, held, asked, reply)

    def _gather(self, connection: Connection, held: HeldRun, asked: str, reply: Scattered) -> None:
        """Fetch what there is of a stock SuperNode's reply; it may still be putting it there."""
        try:
            self._api.fetch(connection.post, held.token, reply)
            if reply.missing:
                return
            whole = reply.whole()
        except Garbled as error:
            self._fail(asked, str(error))
        else:
            self._grid.learn(whole.metadata.src_node_id, inline=False)
            self._grid.deliver(whole)
        del self._coming[asked]

    def _deliver(self, reply: Message) -> None:
        if reply.has_content():
            self._grid.learn(reply.metadata.src_node_id, inline=True)
        if not self._grid.deliver(reply) and reply.has_error():
            # the SuperLink's own: the message has expired, or its node is gone
            self._fail(reply.metadata.reply_to_message_id, reply.error.reason or "the SuperLink gave it up")

    def _fail(self, message_id: str, reason: str) -> None:
        for message in self._grid.waiting:
            if message.metadata.message_id == message_id:
                self._grid.fail(message, reason)
