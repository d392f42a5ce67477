"""Parties at the other end of a link: what this side knows of each is its card."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from fi_workbench.core.errors import DoesNotFit, NotDisclosed
from fi_workbench.core.messages import PartyCard
from fi_workbench.core.records import RoundRecord
from fi_workbench.parties.behaviours import Dishonest
from fi_workbench.parties.party import Party
from fi_workbench.privacy.event import Event
from fi_workbench.protocol.account import Account
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.policy import Policy
from fi_workbench.transport.link import FlowerLink
from fi_workbench.transport.roster import RemoteLink, RosterEntry

_TELL_SECONDS = 0.5
"""Whoever watches a link is told of rounds at most so often."""

_NOWHERE = 0
"""No node of Flower's has this id: what is sent there fails at once, and says so."""


@dataclass(frozen=True, eq=False, repr=False)
class RemoteParty(Party):
    """A party on another host, or in another process: its model and its facts are its owner's.

    Parameters
    ----------
    card : PartyCard
        What it announced.
    """

    card: PartyCard = field(kw_only=True)

    @classmethod
    def of(cls, card: PartyCard) -> RemoteParty:
        """The party that announced this card."""

        def elsewhere(_queries: NDArray[Any]) -> NDArray[Any]:
            raise NotDisclosed(f"{card.name}'s model is on its owner's host; ask the federation instead.")

        return cls(card.name, card.classes, card.input_shape, card.outputs, elsewhere, model=card.model, card=card)

    @property
    def key(self) -> str:
        """Its Ed25519 key in hexadecimal."""
        return self.card.identity.verify_key.hex()


class Linked:
    """A :class:`~fi_workbench.session.venue.Venue` at the other end of a link.

    Parameters
    ----------
    remote : RemoteLink
    """

    leak = None
    """What travels to and from other hosts is not overheard by other parties."""

    def __init__(self, remote: RemoteLink) -> None:
        self.remote = remote
        self.standing: dict[str, float] = {}
        self._known: dict[str, RemoteParty] = {}  # by key
        self._accounts: dict[str, Account] = {}  # what was asked of each party over this link, by key
        self._lock = threading.Lock()
        self._told = 0.0

    def parties(self) -> tuple[RemoteParty, ...]:
        """All members, present or not, by name: the order does not hang on who joined first."""
        with self._lock:
            members = [self._party(entry) for entry in self.remote.roster.members]
        return tuple(sorted(members, key=lambda party: party.name))

    def knows(self, party: Party) -> bool:
        """Whether it is one of this link's parties, as it is or as it was."""
        return isinstance(party, RemoteParty) and self.remote.roster.of_key(party.key) is not None

    def side(self, party: Party, policy: Policy | None = None) -> PartySide:
        """Nothing: it is on another host.

        Raises
        ------
        DoesNotFit
        """
        raise DoesNotFit(f"{party.name} is on its owner's host: limits, keys and behaviour are set there.")

    def card(self, party: Party) -> PartyCard:
        """What the party announces.

        Raises
        ------
        DoesNotFit
            A party of this process: over a link it joins by itself.
        """
        if not isinstance(party, RemoteParty):
            raise DoesNotFit(f"{party.name} is in this process; it joins this federation with fi.join(party, ...).")
        return party.card

    def behave(self, party: Party, behaviour: Dishonest | None) -> None:
        """Nothing: it is its owner's to decide.

        Raises
        ------
        DoesNotFit
        """
        raise DoesNotFit(
            f"How {party.name} behaves is set where it runs: fi-workbench join --behave NAME, or fi.join(behave=...)."
        )

    def behaviour(self, party: Party) -> None:
        """Nobody here knows."""
        return

    def teach(self, phases: Iterable[str]) -> None:
        """Nobody: each party knows the mechanisms of its own installation."""

    def retire(self, party: Party) -> None:
        """Nothing is held for it here."""

    def link(self, parties: Sequence[Party]) -> FlowerLink:
        """The way to a cohort: each party where it is now."""
        members: dict[str, tuple[int, PartyCard]] = {}
        for party in parties:
            card = self.card(party)
            entry = self.remote.roster.of_key(card.identity.verify_key.hex())
            node = entry.node if entry is not None and entry.member else None
            members[party.name] = (_NOWHERE if node is None else node, card)
        return FlowerLink(self.remote.grid, members)

    def meet(self, n_parties: int) -> None:
        """Each has a process of its own."""

    def account(self, party: Party, client: str) -> tuple[Account, None]:
        """What was asked of the party over this link, by the one client that it has; its limits are its owner's."""
        with self._lock:
            return self._accounts.get(self.card(party).identity.verify_key.hex(), Account()), None

    def booked(self, party: Party, events: Mapping[Event, int], n_queries: int) -> None:
        """Count what a round cost a party, as far as it can be known here."""
        key = self.card(party).identity.verify_key.hex()
        with self._lock:
            before = self._accounts.get(key, Account())
            self._accounts[key] = Account(before.n_queries + n_queries, before.after(events), time.time())

    def told(self, record: RoundRecord, about: dict[str, Any]) -> None:
        """Tell whoever watches the link what is asked on it, not faster than anybody reads."""
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            self.remote.told(about)

    def close(self) -> None:
        """Leave the link."""
        self.remote.close()

    def _party(self, entry: RosterEntry) -> RemoteParty:
        """The same object for as long as a party announces the same."""
        known = self._known.get(entry.key)
        if entry.card is not None and (known is None or known.card != entry.card):
            known = self._known[entry.key] = RemoteParty.of(entry.card)
        return known or self._known[entry.key]
