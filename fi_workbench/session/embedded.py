"""Parties in this process: their sides, their nodes on the embedded grid, and what the dishonest overhear."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fi_workbench.core.errors import Closed
from fi_workbench.core.messages import PartyCard
from fi_workbench.core.records import RoundRecord
from fi_workbench.parties.behaviours import Dishonest
from fi_workbench.parties.leak import Leak
from fi_workbench.parties.party import Party
from fi_workbench.privacy.event import Event
from fi_workbench.privacy.mechanism import phases_of_all
from fi_workbench.protocol.account import Account
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.policy import Policy
from fi_workbench.protocol.ports import ANNOUNCE, RELEASED
from fi_workbench.transport.client_app import PartyApp, client_app
from fi_workbench.transport.link import FlowerLink
from fi_workbench.transport.local import LocalGrid
from fi_workbench.transport.peers.in_process import InProcessNetwork, Switchboard


class Embedded:
    """A :class:`~fi_workbench.session.venue.Venue` in this process.

    Parameters
    ----------
    grid : LocalGrid, optional
        A fresh one when None.
    """

    def __init__(self, grid: LocalGrid | None = None) -> None:
        self.leak: Leak | None = None
        self.standing: dict[str, float] = {}
        self.grid = grid or LocalGrid()
        self._members: dict[int, tuple[PartySide, int]] = {}  # by id of the party, which the side keeps alive
        self._apps: dict[int, PartyApp] = {}  # by node
        self._switchboard = Switchboard()
        self._phases = {ANNOUNCE, RELEASED, *phases_of_all()}
        self._lock = threading.RLock()
        self._closed = False

    def knows(self, party: Party) -> bool:
        """Whether the party was taken in."""
        with self._lock:
            return id(party) in self._members

    def side(self, party: Party, policy: Policy | None = None) -> PartySide:
        """The party's side, taken in at its first use. A party keeps its keys, policy and budget until it retires."""
        with self._lock:
            if self._closed:
                raise Closed("This federation was closed; make a new one.")
            if id(party) not in self._members:
                side = PartySide(party, policy=policy, network=InProcessNetwork(self._switchboard, party.name))
                side.leak, side.standing = self.leak, self.standing
                app = client_app(side.handle, self._phases)
                node = self.grid.add(app)
                self._members[id(party)], self._apps[node] = (side, node), app
            return self._members[id(party)][0]

    def card(self, party: Party) -> PartyCard:
        """What the party announces."""
        return self.side(party).card

    def behave(self, party: Party, behaviour: Dishonest | None) -> None:
        """Have a party behave so from its next question on; None is honest. What leaks is heard from now on."""
        with self._lock:
            side = self.side(party)
            if behaviour is not None and self.leak is None:
                self.leak = Leak()
                for other, _ in self._members.values():
                    other.leak = self.leak
            side.behave(behaviour)

    def behaviour(self, party: Party) -> Dishonest | None:
        """How a party is set to behave; None is honest."""
        return self.side(party).behaviour

    def teach(self, phases: Iterable[str]) -> None:
        """Have every party answer these phases too."""
        with self._lock:
            if new := set(phases) - self._phases:
                self._phases |= new
                for app in self._apps.values():
                    app.learn(new)

    def retire(self, party: Party) -> None:
        """Let a party go: its keys, its budget and its model are dropped."""
        with self._lock:
            side, node = self._members.pop(id(party), (None, None))
            if side is not None and node is not None:
                self.grid.remove(node)
                self._apps.pop(node)
                side.stop()

    def link(self, parties: Sequence[Party]) -> FlowerLink:
        """The way to a cohort."""
        with self._lock:
            members: dict[str, tuple[int, PartyCard]] = {}
            for party in parties:
                side = self.side(party)
                members[party.name] = (self._members[id(party)][1], side.card)
        return FlowerLink(self.grid, members, self.grid.is_busy)

    def meet(self, n_parties: int) -> None:
        """As many workers as parties: each of them waits for the others within its step."""
        self.grid.at_least(n_parties)

    def account(self, party: Party, client: str) -> tuple[Account, Policy]:
        """From the party's own journal."""
        side = self.side(party)
        return side.journal.account(client), side.policy

    def booked(self, party: Party, events: Mapping[Event, int], n_queries: int) -> None:
        """The party's own journal has it."""

    def told(self, record: RoundRecord, about: dict[str, Any]) -> None:
        """Nobody else watches."""

    def close(self) -> None:
        """Stop all parties and the transport; rounds under way end with absences."""
        with self._lock:
            self._closed = True
            for side, _ in self._members.values():
                side.stop()
            self._members.clear()
            if self.leak is not None:
                self.leak.close()
            self.grid.close()
