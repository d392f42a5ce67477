"""The coordinator's end of a transport: bodies out and replies in, over any grid that can be waited on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping

from flwr.app import Message

from fi_workbench.core.errors import Closed
from fi_workbench.core.messages import Body, PartyCard, Reply
from fi_workbench.core.plain_text import clean
from fi_workbench.core.records import Absence
from fi_workbench.protocol.ports import Sent
from fi_workbench.transport.grid import WaitingGrid
from fi_workbench.transport.wire import decode, encode, size

_LOOK_SECONDS = 0.02
"""How often replies are handed on, and a cancellation is looked for, while some party is still to answer."""


class FlowerLink:
    """A :class:`~fi_workbench.protocol.ports.Link` over a grid.

    Parameters
    ----------
    grid : WaitingGrid
    members : mapping of str to (int, PartyCard)
        Node id and card of each party, in the order of the party axis.
    is_busy : callable, optional
        ``(node_id) -> bool``; tells a party that never began from one that was too slow.
    """

    def __init__(
        self,
        grid: WaitingGrid,
        members: Mapping[str, tuple[int, PartyCard]],
        is_busy: Callable[[int], bool] | None = None,
    ) -> None:
        self._grid, self._members, self._is_busy = grid, members, is_busy

    @property
    def cards(self) -> Mapping[str, PartyCard]:
        """What each party announced, by name."""
        return {name: card for name, (_, card) in self._members.items()}

    def exchange(
        self, phase: str, messages: Mapping[str, Body], *, round_id: str, seconds: float, cancelled: threading.Event
    ) -> Iterator[Sent | Reply | Absence]:
        """One message to each party; one reply or absence for each, as they come."""
        bodies = {id(body): body for body in messages.values()}  # one that all share is encoded once
        records = {key: encode(body) for key, body in bodies.items()}
        sizes = {key: size(record) for key, record in records.items()}
        started = time.monotonic()
        sent = {
            party: self._grid.create_message(
                records[id(body)], f"query.{phase}", self._members[party][0], round_id, ttl=seconds + 1.0
            )
            for party, body in messages.items()
        }
        yield Sent(len(messages), sum(sizes[id(body)] for body in messages.values()))
        try:
            parties = dict(zip(self._grid.push_messages(sent.values()), sent, strict=True))
        except Closed as error:
            yield from (Absence(party, phase, "unreachable", str(error)) for party in sent)
            return
        try:
            while parties and not cancelled.is_set():
                left = started + seconds - time.monotonic()
                if left <= 0:
                    break
                # all at once where nobody is slow: to be woken for each reply costs more than many models do
                self._grid.wait(parties.keys(), min(left, _LOOK_SECONDS), n=len(parties))
                for message, arrived in self._grid.pull_arrived(list(parties)):
                    party = parties.pop(message.metadata.reply_to_message_id, None)
                    if party is not None:
                        yield _arrival(party, phase, message, arrived - started)
            for party in parties.values():
                yield self._missing(party, phase, time.monotonic() - started, cancelled.is_set())
        finally:
            self._grid.discard(parties)

    def _missing(self, party: str, phase: str, seconds: float, stopped: bool) -> Absence:
        if stopped:
            return Absence(party, phase, "cancelled", "the round was stopped before it answered.", seconds)
        busy = self._is_busy is not None and self._is_busy(self._members[party][0])
        doing = "still at work" if busy else "not begun"
        return Absence(party, phase, "late", f"no answer within {seconds:.3g} s ({doing}).", seconds)


def _arrival(party: str, phase: str, message: Message, seconds: float) -> Reply | Absence:
    if message.has_error():
        return Absence(party, phase, "unreachable", f"its node failed: {clean(message.error.reason, 500)}", seconds)
    try:
        return Reply(party, decode(message.content), seconds, size(message.content))
    except Exception as error:  # noqa: BLE001 - whatever a party sends must not stop the round
        return Absence(party, phase, "invalid", f"its reply cannot be read: {type(error).__name__}", seconds)
