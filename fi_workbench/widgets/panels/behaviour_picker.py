"""How a party behaves: honestly, or in one of the ways of the registry."""

from __future__ import annotations

from typing import Any

from fi_workbench.parties.behaviours import behaviours
from fi_workbench.session.linked import RemoteParty
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.method_picker import MethodPicker, Shown
from fi_workbench.widgets.panels.parts import Quietly, column, hint, named, shown
from fi_workbench.widgets.running.members import Member

HONEST = "honest"

HELPER = "helper"
"""What stands for the model of a member that has none, and so no answer to change."""

OWNERS = "set_by_its_owner"
"""Stands for how a party elsewhere behaves: nobody here knows."""

_LEAKS = {
    "": "It needs no leak.",
    "wire": "It reads the peers' answers off the wire: a leak that commit-reveal closes.",
    "labels": "It knows the true labels, and reads the peers' answers off the wire.",
}


class BehaviourPicker:
    """Sets one party, from the next round on.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._quietly = desk, Quietly()
        self._number: int | None = None
        self.picker = MethodPicker(
            "behaviour",
            _names(),
            _look_up,
            self._choose,
            self._configure,
            "Simulation: how this party behaves from the next round on; nobody else is told",
        )
        self._left_out = hint("Only a party that is asked can be set to misbehave.")
        self.box = column(
            named(hint("Behaviour (simulation)"), "fi-sub-head"),
            self.picker.box,
            self._left_out,
            css="fi-behaviour-box",
        )

    def show(self, member: Member | None) -> None:
        """Show how a party is set to behave; nothing for none, or where no simulation is shown."""
        has_model = member is not None and member.party.model != HELPER
        shown(self.box, has_model and self._desk.state.simulation)
        if member is None:
            return
        self._number = member.number
        now = self._desk.driver.behaving.of(member)
        options = {} if now is None else dict(now.options)
        remote = isinstance(member.party, RemoteParty)
        if remote:
            self.picker.show(OWNERS, {}, (OWNERS,))
        else:
            self.picker.show(HONEST if now is None else now.name, options, _names())
        self.picker.list.disabled = remote or not member.enabled
        shown(self._left_out, not remote and not member.enabled)

    def _choose(self, name: str) -> None:
        self._behave(name, {})

    def _configure(self, options: dict[str, Any]) -> None:
        self._behave(str(self.picker.list.value), options)

    def _behave(self, name: str, options: dict[str, Any]) -> None:
        if self._number is not None:
            self._desk.cohort.behave(self._number, None if name == HONEST else name, **options)


def _names() -> tuple[str, ...]:
    return (HONEST, *behaviours)


def _look_up(name: str) -> Shown:
    if name == HONEST:
        return Shown("It answers as its own model does.")
    if name == OWNERS:
        return Shown("How it behaves is set where it runs (fi-workbench join --behave), and nobody here is told.")
    found = behaviours[name]
    return Shown(f"{found.explanation} {_LEAKS[found.leak]}", found.formula, found.source, found.options)
