"""The list of parties of one workbench, asked or not, each with its colour."""

from __future__ import annotations

from dataclasses import dataclass

from fi_workbench.parties import Party
from fi_workbench.session.federation import Federation


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
    """

    party: Party
    number: int
    enabled: bool = True


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
