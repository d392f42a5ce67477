"""What leaks to one role about one party, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import pandas as pd

from fi_workbench.privacy.meters.contract import Curve

AttackerRole: TypeAlias = Literal["coordinator", "client", "other_parties", "wire"]
"""Whose eyes the attacker has; the party itself knows its own model."""

Sees: TypeAlias = Literal["answers", "votes", "scores", "label", "nothing"]
"""What a role is shown of a round's outcome, the richest first."""


@dataclass(frozen=True)
class LeakageRow:
    """One figure of one meter.

    Parameters
    ----------
    meter, figure : str
        ``"confidence_attack"``, ``"AUC"``; the first figure of a meter is its main one.
    value, low, high : float
        With its 95 % confidence interval.
    n : int
        Samples that it rests on; 0 where there was nothing to look at.
    baseline : float
        What it would be without a leak, or for who does not look.
    seen : str
        What the attacker saw, in words.
    note : str
        What must be known to read it.
    leaks_below : bool
        Whether it is what lies below the baseline that leaks: of a distance to the truth.
    """

    meter: str
    figure: str
    value: float
    low: float
    high: float
    n: int
    baseline: float
    seen: str
    note: str = ""
    leaks_below: bool = False

    @property
    def leaks(self) -> bool:
        """Whether the interval lies clear of the baseline on the side that harms: no accident of the sample."""
        return self.high < self.baseline if self.leaks_below else self.low > self.baseline


@dataclass(frozen=True, eq=False)
class Leakage:
    """What one role can find out about one party under the present settings, measured.

    Parameters
    ----------
    role, target, rule, mechanism : str
        Who looks, at whom, under which settings.
    sees : {"answers", "votes", "scores", "label", "nothing"}
    seen : str
        The same in words.
    rows : tuple of LeakageRow
    curves : mapping of str to Curve
        Per meter, where it has one: the ROC, or agreement against queries spent.
    left_out : mapping of str to str
        Meters that were not asked for by name and could not be run, with the reason.
    n_members, n_non_members, n_reference, n_probes : int
        Samples that were answered, by use.
    n_rounds, n_queries : int
        What was asked for it, and counts against budgets.
    seconds : float
    complete : bool
        False where the work was stopped, or the target stopped answering.
    """

    role: AttackerRole
    target: str
    rule: str
    mechanism: str
    sees: Sees
    seen: str
    rows: tuple[LeakageRow, ...]
    curves: Mapping[str, Curve]
    left_out: Mapping[str, str]
    n_members: int
    n_non_members: int
    n_reference: int
    n_probes: int
    n_rounds: int
    n_queries: int
    seconds: float
    complete: bool

    def row(self, meter: str, figure: str | None = None) -> LeakageRow:
        """One figure of a meter; its main one when None.

        Raises
        ------
        LookupError
            It was not measured.
        """
        for row in self.rows:
            if row.meter == meter and figure in (None, row.figure):
                return row
        known = ", ".join(f"{row.meter}: {row.figure}" for row in self.rows) or "nothing"
        raise LookupError(f"{meter}{f': {figure}' if figure else ''} was not measured; there is {known}.")

    def table(self) -> pd.DataFrame:
        """One row a figure."""
        columns = [*LeakageRow.__dataclass_fields__]
        return pd.DataFrame([asdict(row) for row in self.rows], columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes; None where a number is missing."""
        names = (name for name in type(self).__dataclass_fields__ if name not in ("rows", "curves"))
        plain = {name: getattr(self, name) for name in names}
        return plain | {
            "left_out": dict(self.left_out),
            "rows": [{name: _plain(value) for name, value in asdict(row).items()} for row in self.rows],
            "curves": {
                meter: {
                    "x_name": curve.x_name,
                    "y_name": curve.y_name,
                    **{axis: [_plain(x) for x in getattr(curve, axis).tolist()] for axis in ("x", "y", "low", "high")},
                }
                for meter, curve in self.curves.items()
            },
        }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
