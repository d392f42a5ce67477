"""Disclosure as data: who sees what in a round, and what a method must see.

A mechanism states a :class:`Disclosure`; a rule, a contribution method, a panel states a :data:`Need`. Both are
compared when a federation is made, and the tests hold what each role received against the statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

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
    """

    sees: Mapping[Role, frozenset[Item]]
    assumptions: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        for role, items in self.sees.items():
            if role not in ROLES:
                raise ValueError(f"Unknown role {role!r}; known: {', '.join(ROLES)}.")
            if unknown := set(items) - set(ITEMS):
                raise ValueError(f"Unknown items {sorted(unknown)}; known: {', '.join(ITEMS)}.")

    def allows(self, role: Role, item: Item) -> bool:
        """Whether ``role`` may see ``item``."""
        return item in self.sees.get(role, frozenset())

    def without(self, item: Item) -> Disclosure:
        """The same where ``item`` is not there to be seen by anybody."""
        return Disclosure({role: items - {item} for role, items in self.sees.items()}, self.assumptions)

    def table(self) -> list[tuple[Item, tuple[bool, ...]]]:
        """One row an item: whether each role (in the order of :data:`ROLES`) sees it."""
        return [(item, tuple(self.allows(role, item) for role in ROLES)) for item in ITEMS]
