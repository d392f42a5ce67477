"""What each role received in a round, message by message, under any transport of this process.

The parties' end is heard at ``PartySide.handle``, the coordinator's at the link's ``exchange``; a party in another
process is heard by the coordinator only.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from fi_workbench.core.messages import Body, Reply
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.transport.link import FlowerLink


@dataclass(frozen=True, eq=False)
class Received:
    """One message that one role received: a party from the coordinator, or the coordinator from a party."""

    role: str
    party: str
    phase: str
    body: Body


@dataclass
class Transcript:
    """Everything that was received, in order of arrival."""

    entries: list[Received] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, role: str, party: str, phase: str, body: Body) -> None:
        with self._lock:
            self.entries.append(Received(role, party, phase, dict(body)))

    def of_coordinator(self, *phases: str) -> list[Received]:
        """What parties sent, all or of these phases, by phase and party."""
        return self._of("coordinator", phases)

    def of_party(self, name: str, *phases: str) -> list[Received]:
        """What one party was sent."""
        return [entry for entry in self._of("party", phases) if entry.party == name]

    def on_the_wire(self) -> list[Received]:
        """What passed in either direction: all that anybody received."""
        return list(self.entries)

    def bytes_of_coordinator(self) -> list[bytes]:
        """The coordinator's view, one canonical string a message, in an order that does not depend on arrival."""
        phases = list(dict.fromkeys(entry.phase for entry in self.entries))
        entries = sorted(self.of_coordinator(), key=lambda entry: (phases.index(entry.phase), entry.party))
        return [f"{entry.phase} {entry.party} ".encode() + flat(entry.body) for entry in entries]

    def _of(self, role, phases):
        return [entry for entry in self.entries if entry.role == role and (not phases or entry.phase in phases)]


def flat(body: Body) -> bytes:
    """A body in bytes, by name."""
    parts = []
    for name in sorted(body):
        value = body[name]
        parts.append(f"|{name}=".encode() + (value.tobytes() if isinstance(value, np.ndarray) else _plain(value)))
    return b"".join(parts)


def _plain(value):
    if isinstance(value, bytes):
        return value
    return b",".join(map(_plain, value)) if isinstance(value, list) else str(value).encode()


@contextmanager
def recording(*links: type) -> Iterator[Transcript]:
    """Hear every party side and every link (of these classes; :class:`FlowerLink` unless named) of this process.

    To be entered before the federation is made: what holds a party's ``handle`` keeps the one it was given.
    """
    transcript = Transcript()
    handle = PartySide.handle
    exchanges = {kind: kind.exchange for kind in links or (FlowerLink,)}

    def heard(side, phase, message):
        transcript.note("party", side.party.name, phase, message)
        return handle(side, phase, message)

    def listened(exchange):
        def listening(link, phase, messages, **how):
            for arrival in exchange(link, phase, messages, **how):
                if isinstance(arrival, Reply):
                    transcript.note("coordinator", arrival.party, phase, arrival.body)
                yield arrival

        return listening

    PartySide.handle = heard
    for kind, exchange in exchanges.items():
        kind.exchange = listened(exchange)
    try:
        yield transcript
    finally:
        PartySide.handle = handle
        for kind, exchange in exchanges.items():
            kind.exchange = exchange
