"""Where the parties are: in this process, or at the other end of a link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from fi_workbench.core.messages import PartyCard
from fi_workbench.core.records import RoundRecord
from fi_workbench.parties.behaviours import Dishonest
from fi_workbench.parties.leak import Leak
from fi_workbench.parties.party import Party
from fi_workbench.privacy.event import Event
from fi_workbench.protocol.account import Account
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.policy import Policy
from fi_workbench.protocol.ports import Link


class Venue(Protocol):
    """What the rest of the session asks of it; it cannot tell which one it has."""

    @property
    def leak(self) -> Leak | None:
        """What dishonest parties overhear; None where nobody can."""

    @property
    def standing(self) -> dict[str, float]:
        """What each party was openly credited with so far."""

    def knows(self, party: Party) -> bool:
        """Whether the party was taken in."""

    def side(self, party: Party, policy: Policy | None = None) -> PartySide:
        """The party's side, taken in at its first use.

        Raises
        ------
        DoesNotFit
            It is on another host.
        """

    def card(self, party: Party) -> PartyCard:
        """What the party announces; it is taken in at its first use, where that is possible."""

    def behave(self, party: Party, behaviour: Dishonest | None) -> None:
        """Have a party behave so from its next question on; None is honest.

        Raises
        ------
        DoesNotFit
            It is on another host.
        """

    def behaviour(self, party: Party) -> Dishonest | None:
        """How a party is set to behave, as far as this side may know; None is honest."""

    def teach(self, phases: Iterable[str]) -> None:
        """Have every party answer these phases: those of a mechanism that was registered after it was taken in."""

    def retire(self, party: Party) -> None:
        """Let a party go."""

    def link(self, parties: Sequence[Party]) -> Link:
        """The way to a cohort."""

    def meet(self, n_parties: int) -> None:
        """Have so many parties be able to answer at once: they will wait for one another."""

    def account(self, party: Party, client: str) -> tuple[Account, Policy | None]:
        """What a party granted to the client with this key, and what it agrees to; None where that is not known here.

        The party's own account where it is in this process; elsewhere what was counted by :meth:`booked`.
        """

    def booked(self, party: Party, events: Mapping[Event, int], n_queries: int) -> None:
        """A round cost a party this; counted where the party's own account is out of reach."""

    def told(self, record: RoundRecord, about: dict[str, Any]) -> None:
        """A round has ended; for whoever watches."""

    def close(self) -> None:
        """Let all parties go; rounds under way end with absences."""
