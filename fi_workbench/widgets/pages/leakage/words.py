"""Measurements of leakage side by side: rows, sentences, a tidy table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fi_workbench.privacy.meters import meters
from fi_workbench.session.federation import Federation
from fi_workbench.session.leaking.result import Leakage, LeakageRow
from fi_workbench.session.trading_off.result import Setting
from fi_workbench.widgets.pages.tradeoff.words import full_title
from fi_workbench.widgets.running.state import Choice
from fi_workbench.widgets.wording import in_sentence, listed, title

ROLES = {
    "coordinator": "the coordinator",
    "client": "the client",
    "other_parties": "the other parties",
    "wire": "who reads the wire",
}
"""Whose eyes the attacker has."""

COLUMNS = (
    {"name": "meter"},
    {"name": "figure"},
    {"name": "before", "kind": "number"},
    {"name": "now", "kind": "number"},
    {"name": "95 % interval", "kind": "number"},
    {"name": "without a leak", "kind": "number"},
    {"name": "samples", "kind": "count"},
    {"name": "note"},
)

_RARE = "TPR at 0.1 %"
"""Shown beside each meter's first figure: a few members told for sure are a leak that an average hides."""


@dataclass(frozen=True, eq=False)
class Run:
    """One measurement that the page keeps.

    Parameters
    ----------
    number : int
        From 1, on this page.
    setting : Setting
        Rule and mechanism that it was measured under.
    leakage : Leakage
    """

    number: int
    setting: Setting
    leakage: Leakage

    @property
    def under(self) -> str:
        """The mechanism and the rule."""
        return f"{full_title(self.setting)}, {in_sentence(self.setting.rule)}"

    @property
    def title(self) -> str:
        """Which of all runs it is."""
        found = self.leakage
        return f"{self.number}: {self.under}; {ROLES[found.role]} on {found.target}"

    @property
    def unprotected(self) -> bool:
        """Whether nothing stood between the answers and the coordinator."""
        return self.setting.mechanism == "plain" and not self.setting.noise


def setting_in_force(federation: Federation) -> Setting:
    """Rule and mechanism of a federation, with the options that differ from the defaults."""
    now = Choice.of(federation)
    return Setting(now.rule, now.mechanism, now.mechanism_options, now.noise, now.rule_options)


def looks(role: str) -> str:
    """A role, as the beginning of what it sees.

    >>> looks("coordinator"), looks("other_parties")
    ('the coordinator sees', 'the other parties see')
    """
    return f"{ROLES[role]} {'see' if role == 'other_parties' else 'sees'}"


def to_compare(runs: Sequence[Run], run: Run) -> Run | None:
    """What a run is held against: the last one without protection, else the one before it; of the same eyes."""
    same = [
        other
        for other in runs
        if other is not run and (other.leakage.role, other.leakage.target) == (run.leakage.role, run.leakage.target)
    ]
    plain = [] if run.unprotected else [other for other in same if other.unprotected]
    earlier = [other for other in same if other.number < run.number]
    held = plain or earlier
    return held[-1] if held else None


def shown_rows(run: Run, everything: bool) -> list[LeakageRow]:
    """The figures that are drawn: all, or each meter's first and how many members are told for sure."""
    first = {row.meter: row for row in reversed(run.leakage.rows)}
    return [row for row in run.leakage.rows if everything or row is first[row.meter] or row.figure.startswith(_RARE)]


def drawn(run: Run, before: Run | None, everything: bool) -> dict[str, Any]:
    """Traits of the picture."""
    rows = shown_rows(run, everything)
    others = [_same(before, row) for row in rows]
    return {
        "names": [f"{meter_title(row.meter)}: {row.figure}" for row in rows],
        "values": [row.value for row in rows],
        "lows": [row.low for row in rows],
        "highs": [row.high for row in rows],
        "chances": [row.baseline for row in rows],
        "before_values": [None if other is None else other.value for other in others],
        "before_lows": [None if other is None else other.low for other in others],
        "before_highs": [None if other is None else other.high for other in others],
        "now_name": run.under,
        "before_name": "" if before is None else before.under,
        "sentences": [sentence(row, other) for row, other in zip(rows, others, strict=True)],
    }


def sentence(row: LeakageRow, before: LeakageRow | None) -> str:
    """One figure in words."""
    about = f"{meter_title(row.meter)}, {row.figure}"
    if not row.n:
        told = f"{row.value:.3g}: it {row.note or 'sees nothing'}"
    else:
        verdict = "clear of" if row.leaks else "not told from"
        told = (
            f"{row.value:.3g} ({row.low:.3g} to {row.high:.3g}, {row.n} samples), {verdict} {row.baseline:.3g}, which "
            f"it would be without a leak; {f'it sees {row.seen}'}"
        )
        told += f"; {row.note}" if row.note else ""
    was = f" Before: {before.value:.3g} ({before.low:.3g} to {before.high:.3g})." if before is not None else ""
    return f"{about}: {told}.{was} {_explained(row.meter)}".strip()


def table_rows(run: Run, before: Run | None) -> list[tuple[str | float | None, ...]]:
    """Every figure, with :data:`COLUMNS`."""
    return [
        (
            meter_title(row.meter),
            row.figure,
            None if (other := _same(before, row)) is None else other.value,
            row.value,
            f"{row.low:.3g} to {row.high:.3g}".replace("-", "\u2212"),
            row.baseline,
            row.n,
            row.note,
        )
        for row in run.leakage.rows
    ]


def verdict(run: Run, before: Run | None) -> str:
    """What a run found, in a few sentences."""
    found = run.leakage
    who = looks(found.role)
    said = [f"{who[:1].upper()}{who[1:]} {found.seen}."]
    leaking = _leaking(run)
    if found.sees == "nothing":
        said.append("Every figure is that of chance.")
    elif leaking:
        said.append(f"Found something about {found.target}: {listed([_inside(name) for name in leaking])}.")
    else:
        said.append(f"No figure is clear of what it would be without a leak: they found nothing of {found.target}.")
    if before is not None and (ended := [name for name in _leaking(before) if name not in leaking]):
        were = listed([_inside(name) for name in ended])
        said.append(f"No longer found, as it was in run {before.number} ({before.under}): {were}.")
    if not found.complete:
        said.append("Stopped: what was measured is kept.")
    if found.left_out:
        reasons = "; ".join(f"{_inside(name)}: {why}" for name, why in found.left_out.items())
        said.append(f"Left out: {reasons}")
    return " ".join(said)


def tidy(runs: Sequence[Run]) -> pd.DataFrame:
    """All runs, one row for each figure."""
    tables = [
        run.leakage.table().assign(
            run=run.number, role=run.leakage.role, target=run.leakage.target, rule=run.setting.rule,
            mechanism=full_title(run.setting),
        )
        for run in runs
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def _leaking(run: Run) -> list[str]:
    """Meters whose first figure is clear of chance: of many figures, a few are by accident."""
    first = {row.meter: row for row in reversed(run.leakage.rows)}
    return [name for name in dict.fromkeys(row.meter for row in run.leakage.rows) if first[name].leaks]


def _same(run: Run | None, row: LeakageRow) -> LeakageRow | None:
    """The same figure of another run."""
    held = () if run is None else run.leakage.rows
    return next((other for other in held if (other.meter, other.figure) == (row.meter, row.figure)), None)


def meter_title(name: str) -> str:
    """A meter as it is said.

    >>> meter_title("confidence_attack"), meter_title("no_longer_there")
    ('Membership by confidence', 'No longer there')
    """
    return meters[name].title.rstrip(".") if name in meters else title(name)


def _inside(name: str) -> str:
    """Inside a sentence; an abbreviation keeps its capitals."""
    said = meter_title(name)
    return said if said[1:2].isupper() else said[:1].lower() + said[1:]


def _explained(name: str) -> str:
    return meters[name].explanation if name in meters else ""
