"""What the parties have granted this client, as the workbench shows it: how full each budget is, and in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fi_workbench.core.records import RoundRecord
from fi_workbench.session.budget import PartyBudget
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.running.members import Member

Kind = Literal["open", "refused", "spent", "unlimited", "unprotected", "untold"]


@dataclass(frozen=True)
class Budget:
    """One party's budget for this client.

    Parameters
    ----------
    row : PartyBudget
    number : int or None
        The party's colour; None for one that is not on the list any more.
    refused : str
        Why it refused the last round, where that was for its budget: in its own words.
    """

    row: PartyBudget
    number: int | None
    refused: str = ""

    @property
    def kind(self) -> Kind:
        """How it stands; see :data:`fi_workbench.widgets.views.budget_gauges.KINDS`."""
        row = self.row
        if row.left is not None and row.left <= 0:
            return "spent"
        if self.refused:
            return "refused"
        if row.limit is not None:
            return "open"
        if row.booked_by == "client":
            return "untold"
        return "unlimited" if row.guaranteed else "unprotected"

    @property
    def refuses(self) -> bool:
        """Whether it refused the last question, or would refuse any other."""
        return self.kind in ("refused", "spent")

    @property
    def spent(self) -> float | None:
        """Epsilon spent, where it is a number."""
        return self.row.epsilon if self.row.guaranteed else None

    @property
    def sentence(self) -> str:
        """All of it, for whoever points at it."""
        row, asked = self.row, f"{self.row.n_queries} {'query' if self.row.n_queries == 1 else 'queries'}"
        spent = f"epsilon {row.epsilon:.3g}" if math.isfinite(row.epsilon) else "more than any epsilon"
        said = f"{row.party} answered {asked}, which cost {spent}"
        if row.limit is not None:
            said += f" of {row.limit:.3g}; {row.left or 0.0:.3g} is left"
        elif self.kind == "unprotected":
            said = f"{row.party} sets no limit, and answered without a privacy guarantee"
        elif self.kind == "untold":
            said += "; its limit is known where it runs"
        elif self.kind == "unlimited":
            said += "; it sets no limit"
        return f"{said}. It refused: {self.refused}" if self.refused else f"{said}."


def budgets_of(federation: Federation, members: Sequence[Member], record: RoundRecord | None) -> tuple[Budget, ...]:
    """One budget for each party that is asked, after the last round."""
    refused = refusals(record)
    numbers = {one.party.name: one.number for one in members}
    return tuple(Budget(row, numbers.get(row.party), refused.get(row.party, "")) for row in federation.budget)


def refusals(record: RoundRecord | None) -> Mapping[str, str]:
    """Who refused a round because of its privacy budget, and why, in the party's own words."""
    absent = () if record is None else record.absent
    return {one.party: one.reason for one in absent if one.kind == "refused" and "privacy budget" in one.reason}
