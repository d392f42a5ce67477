"""Disclosure as data: who sees what in a round, and what a method must see.

A mechanism states a :class:`Disclosure`; a rule, a contribution method, a panel states a :data:`Need`. Both are
compared when a federation is made, and the tests hold what each role received against the statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import pandas as pd

Need = Literal["nothing", "sum", "votes", "each"]
"""What a method must see: nothing, a sum over the parties, each party's vote, or each party's answer."""

Role = Literal["client", "coordinator", "other_parties", "owner", "wire"]
"""Who can see: the asker, the one who runs the round, the other parties, the party itself, and the network."""

Item = Literal["query", "answers", "votes", "sum", "label", "class_counts", "model"]
"""What can be seen: the query, each answer, each vote, their sum, the released label, private counts, the model."""

ROLES: tuple[Role, ...] = get_args(Role)
ITEMS: tuple[Item, ...] = get_args(Item)
NEEDS: tuple[Need, ...] = get_args(Need)


def satisfies(offers: Need, need: Need) -> bool:
    """Whether a mechanism that lets the coordinator see ``offers`` serves a method that needs ``need``.

    >>> satisfies("each", "sum"), satisfies("sum", "votes")
    (True, False)
    """
    return NEEDS.index(need) <= NEEDS.index(offers)


@dataclass(frozen=True)
class Disclosure:
    """Who sees what, and under which assumptions this holds.

    Parameters
    ----------
    sees : mapping of role to set of items
        A role that is not listed sees nothing.
    assumptions : tuple of str
        In words: semi-honest parties, no collusion of more than t, (epsilon, delta) and the neighbouring relation.
    needs : mapping of str to {"nothing", "sum", "votes", "each"}
        What the methods in force must see of the answers, by what they are and their names: ``"rule soft_vote"``.
        Empty in the statement of a mechanism alone.

    Examples
    --------
    >>> print(Disclosure({"client": frozenset({"label"})}, ("None.",), {"rule hard_vote": "sum"}))
                  client  coordinator  other_parties  owner  wire
    query         -       -            -              -      -
    answers       -       -            -              -      -
    votes         -       -            -              -      -
    sum           -       -            -              -      -
    label         yes     -            -              -      -
    class_counts  -       -            -              -      -
    model         -       -            -              -      -
    Needs: rule hard_vote: sum
    Assumptions:
    - None.
    """

    sees: Mapping[Role, frozenset[Item]]
    assumptions: tuple[str, ...] = field(default=())
    needs: Mapping[str, Need] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role, items in self.sees.items():
            if role not in ROLES:
                raise ValueError(f"Unknown role {role!r}; known: {', '.join(ROLES)}.")
            if unknown := set(items) - set(ITEMS):
                raise ValueError(f"Unknown items {sorted(unknown)}; known: {', '.join(ITEMS)}.")
        for method, need in self.needs.items():
            if need not in NEEDS:
                raise ValueError(f"Unknown need {need!r} of {method}; known: {', '.join(NEEDS)}.")

    def allows(self, role: Role, item: Item) -> bool:
        """Whether ``role`` may see ``item``."""
        return item in self.sees.get(role, frozenset())

    def without(self, item: Item) -> Disclosure:
        """The same where ``item`` is not there to be seen by anybody."""
        return replace(self, sees={role: items - {item} for role, items in self.sees.items()})

    def table(self) -> list[tuple[Item, tuple[bool, ...]]]:
        """One row an item: whether each role (in the order of :data:`ROLES`) sees it."""
        return [(item, tuple(self.allows(role, item) for role in ROLES)) for item in ITEMS]

    def to_frame(self) -> pd.DataFrame:
        """The table as a frame: whether each role (column) sees each item (row)."""
        import pandas as pd  # noqa: PLC0415 (parties elsewhere import this module and draw no tables)

        rows = self.table()
        return pd.DataFrame([seen for _, seen in rows], index=[item for item, _ in rows], columns=list(ROLES))

    def __str__(self) -> str:
        """The table, needs and assumptions, for a terminal."""
        first = max(map(len, ITEMS)) + 2
        lines = [" " * first + "  ".join(ROLES)]
        for item, seen in self.table():
            marks = [("yes" if one else "-").ljust(len(role)) for role, one in zip(ROLES, seen, strict=True)]
            lines.append((item.ljust(first) + "  ".join(marks)).rstrip())
        if self.needs:
            lines.append("Needs: " + "; ".join(f"{method}: {need}" for method, need in self.needs.items()))
        if self.assumptions:
            lines += ["Assumptions:", *(f"- {text}" for text in self.assumptions)]
        return "\n".join(lines)
