"""The list of parties of one workbench, asked or not, each with its colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fi_workbench.parties import Party
from fi_workbench.session.federation import Federation

Away = Literal["", "offline", "left out"]
"""``offline``: asked, but its process is not there; ``left out``: it cannot answer under these settings."""


@dataclass(frozen=True, eq=False)
class Member:
    """A party on the list, asked or not.

    Parameters
    ----------
    party : Party
    number : int
        Its colour everywhere; stays the same when others go.
    enabled : bool
        Whether it is asked.
    away, reason : str
        Of a party elsewhere: why it does not answer, in a word and in a sentence; empty where it is there.
    """

    party: Party
    number: int
    enabled: bool = True
    away: Away = ""
    reason: str = ""

    @property
    def asked(self) -> bool:
        """Whether rounds are put to it; who is offline is asked, and absent."""
        return self.enabled and self.away != "left out"

    @property
    def answers(self) -> bool:
        """Whether an answer can be hoped for."""
        return self.enabled and not self.away


def members_of(federation: Federation) -> tuple[Member, ...]:
    """The federation's parties as a list, coloured by their place in the demo that made them."""
    demo = federation.made_from
    places = {} if demo is None else {name: place for place, name in enumerate(demo.party_names)}
    members, free = [], len(places)
    for party in federation.parties:
        number = places.get(party.name) if party.made_here else None
        if number is None:
            number, free = free, free + 1
        members.append(Member(party, number))
    return tuple(members)
