"""Who plays which role for whose model.

With three owners or more the roles rotate over them, so that all models run at once and no message waits for another
model's; two helpers, parties without a model, take the roles of evaluator and dealer for all instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fi_workbench.core.errors import DoesNotFit

Role = Literal["owner", "evaluator", "dealer"]

MIN_MEMBERS = 3
"""Each model needs three different parties."""


@dataclass(frozen=True)
class Triple:
    """Who evaluates one model: the owner holds W, the evaluator M = W - A, the dealer A.

    Parameters
    ----------
    owner, evaluator, dealer : str
        Names of three different parties.
    """

    owner: str
    evaluator: str
    dealer: str

    def role_of(self, party: str) -> Role | None:
        """What a party plays for this model; None where nothing."""
        roles: dict[str, Role] = {self.owner: "owner", self.evaluator: "evaluator", self.dealer: "dealer"}
        return roles.get(party)


def triples_of(owners: Sequence[str], helpers: Sequence[str] = ()) -> tuple[Triple, ...]:
    """One triple for each owner, in their order; the same for all who know the same members.

    Raises
    ------
    DoesNotFit
        Fewer than three members in all, or no owner.
    """
    members = (*owners, *helpers)
    if not owners:
        raise DoesNotFit("Secure inference needs a party with a model; helpers have none.")
    if len(members) < MIN_MEMBERS:
        lacking = MIN_MEMBERS - len(members)
        raise DoesNotFit(
            f"Secure inference needs {MIN_MEMBERS} members, of which one owns a model; there are {len(members)}. Add "
            f"{lacking} helper{'s' if lacking > 1 else ''}: fi.helper(like=party)."
        )
    if len(helpers) >= 2:
        return tuple(Triple(owner, helpers[0], helpers[1]) for owner in owners)
    n = len(members)
    return tuple(Triple(name, members[(k + 1) % n], members[(k + 2) % n]) for k, name in enumerate(owners))


def senders_of(triples: Sequence[Triple]) -> tuple[str, ...]:
    """Who holds a share of an output, and so sends the client one vector, in order of first appearance."""
    return tuple(dict.fromkeys(name for triple in triples for name in (triple.owner, triple.evaluator)))
