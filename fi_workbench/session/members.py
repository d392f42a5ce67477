"""Who may be in a federation together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fi_workbench.core.errors import InvalidParty, UnknownName
from fi_workbench.parties.party import Party


def check_alike(parties: Sequence[Party]) -> None:
    """Nothing, if the parties can answer the same questions.

    Raises
    ------
    InvalidParty
        Naming the first that differs, and in what.
    """
    if not parties:
        raise InvalidParty("A federation needs at least one party; make one with fi.Party.from_torch(...).")
    for party in parties:
        if not isinstance(party, Party):
            raise InvalidParty(f"{party!r} is no party; make one with fi.Party.from_torch(...) or another of its ways.")
    first, names = parties[0], set[str]()
    for party in parties:
        if party.name in names:
            raise InvalidParty(f"Two parties are called {party.name!r}; give each its own name.")
        names.add(party.name)
        if set(party.classes) == set(first.classes) and party.classes != first.classes:
            raise InvalidParty(
                f"Party {party.name!r} lists the classes of {first.name!r} in another order; "
                "the order is that of the class axis, so list them alike."
            )
        if party.classes != first.classes:
            raise InvalidParty(
                f"Party {party.name!r} knows {_few(party.classes)}, {first.name!r} knows {_few(first.classes)}; "
                "all parties of a federation answer over the same classes."
            )
        if party.input_shape != first.input_shape:
            raise InvalidParty(
                f"Party {party.name!r} takes queries of shape {party.input_shape}, "
                f"{first.name!r} of {first.input_shape}; they must be the same."
            )


def _few(classes: tuple[str, ...]) -> str:
    shown = ", ".join(classes[:4]) + (", ..." if len(classes) > 4 else "")
    return f"{len(classes)} classes ({shown})"


def taken(parties: Any) -> tuple[Any, ...]:
    """The parties as a tuple, whatever they came in.

    Raises
    ------
    InvalidParty
        They are no collection: most likely one party was given.
    """
    if not isinstance(parties, Iterable):
        raise InvalidParty(f"parties is a sequence of parties, not {parties!r}; give [party] for one.")
    return tuple(parties)


def named(parties: Sequence[Party | str], present: Sequence[Party]) -> tuple[Party, ...]:
    """Parties given as such or by the name of one that is present.

    Raises
    ------
    InvalidParty, UnknownName
        Something else than a sequence, or a name that nobody present has.
    """
    if isinstance(parties, str):
        raise InvalidParty(f"parties is a sequence of parties or names, not the text {parties!r}.")
    parties, mine = taken(parties), {party.name: party for party in present}
    for party in parties:
        if isinstance(party, str) and party not in mine:
            raise UnknownName("party", party, mine)
    return tuple(mine[party] if isinstance(party, str) else party for party in parties)
