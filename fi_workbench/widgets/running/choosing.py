"""Bringing a choice into force, or saying what does not fit and what would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fi_workbench.core.disclosure import Need, satisfies
from fi_workbench.core.errors import DoesNotFit, FederationError
from fi_workbench.privacy.mechanism import Mechanism, mechanisms
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.running.state import METHODS, Choice, Notice, Way
from fi_workbench.widgets.wording import amount, in_sentence, per_cent, title

MOST_WAYS = 3


def in_force(federation: Federation, choice: Choice) -> Federation:
    """A copy of the federation under ``choice``; itself where nothing differs.

    Raises
    ------
    FederationError
        What does not fit, does not exist or is out of range.
    """
    now = Choice.of(federation)
    if choice == now:
        return federation
    changes: dict[str, Any] = {
        name: getattr(choice, name) for name in Choice.__dataclass_fields__ if not name.startswith("mechanism")
    }
    if (choice.mechanism, choice.mechanism_options) != (now.mechanism, now.mechanism_options):
        changes |= {"mechanism": choice.mechanism, "mechanism_options": choice.mechanism_options}
    return federation.with_(**changes)


def refusal(federation: Federation, choice: Choice, error: FederationError) -> Notice:
    """What does not fit, that the former settings stay in force, and ways out that were tried."""
    now = Choice.of(federation)
    ways: list[Way] = []
    for way in _ways(choice, now, error):
        if len(ways) == MOST_WAYS:
            break
        try:
            in_force(federation, way.choice)
        except FederationError:
            continue
        ways.append(way)
    kept = f"{title(now.rule)} under {title(now.mechanism).lower()} stays in force."
    return Notice("refused", f"{error} {kept}", (*ways, Way("Back to what is in force", now)))


def way_to_show(federation: Federation, choice: Choice, need: Need) -> Way | None:
    """The first mechanism that shows what a panel needs and fits the other settings."""
    for name, kind in carriers():
        wished = choice.with_(mechanism=name)
        try:
            changed = in_force(federation, wished)
        except FederationError:
            continue
        if _shows(kind, need) and changed is not federation:
            return Way(f"Use {title(name).lower()}", wished)
    return None


def carriers() -> list[tuple[str, type[Mechanism]]]:
    """The registered mechanisms that carry a round."""
    return [(name, kind) for name, kind in mechanisms.items() if issubclass(kind, Mechanism)]


def mechanisms_that_show(need: Need) -> list[str]:
    """Names of the mechanisms under which a panel with this need can be drawn."""
    return [name for name, kind in carriers() if _shows(kind, need)]


def _shows(kind: type[Mechanism], need: Need) -> bool:
    return satisfies(kind.offers, need)


def _ways(choice: Choice, now: Choice, error: FederationError) -> Iterator[Way]:
    """Choices near the refused one, the nearest first; each still to be tried."""
    fits = error.fits if isinstance(error, DoesNotFit) else ()
    if choice.calibration != now.calibration:
        yield Way("Leave the calibration as it is", choice.with_(calibration=now.calibration))
    if choice.contribution not in (now.contribution, "auto") or choice.mechanism != now.mechanism:
        yield Way("Choose the contribution by what is shown", choice.with_(contribution="auto"))
    for name in fits:
        yield Way(f"Use {title(name).lower()} instead", choice.with_(rule=name))
        yield Way(f"Use {title(name).lower()} instead", choice.with_(contribution=name))
    for name, _ in carriers():
        if name != choice.mechanism:
            yield Way(f"Use {title(name).lower()} as mechanism", choice.with_(mechanism=name))


def difference(before: Choice, after: Choice) -> str:
    """What a choice changes, for the log."""
    said: list[str] = []
    for name in METHODS:
        method, options = getattr(after, name), getattr(after, f"{name}_options")
        if getattr(before, name) != method:
            said.append(f"{name}: {in_sentence(method)}")
        elif getattr(before, f"{name}_options") != options:
            listed = ", ".join(f"{key} {value}" for key, value in options.items()) or "as by default"
            said.append(f"options of the {name}: {listed}")
    if before.calibration != after.calibration:
        said.append(f"calibration: {'each by its temperature' if after.calibration == 'temperature' else 'none'}")
    if before.abstain_below != after.abstain_below:
        below = after.abstain_below
        said.append(f"answers: {f'only when at least {per_cent(below)} sure' if below > 0 else 'always'}")
    if before.budget_micro != after.budget_micro:
        said.append(f"budget of a round: {amount(after.budget_micro)}")
    if before.deadline_seconds != after.deadline_seconds:
        said.append(f"deadline: {after.deadline_seconds:g} s")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}, from the next round on."
