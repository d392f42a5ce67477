"""How parties are set to behave: changed here or by anybody else who works on the same federation, and said once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fi_workbench.core.errors import FederationError
from fi_workbench.core.records import RoundRecord
from fi_workbench.parties.behaviours import Dishonest
from fi_workbench.widgets.running.members import Member
from fi_workbench.widgets.running.state import Notice, WorkbenchState
from fi_workbench.widgets.wording import in_sentence


class Behaving:
    """Sets the parties of one workbench, and hears from the records what others set.

    The runtime holds how a party behaves, so that all workbenches over one federation see the same.

    Parameters
    ----------
    state : WorkbenchState
    """

    def __init__(self, state: WorkbenchState) -> None:
        self._state = state
        self._said: dict[str, str] = {}
        state.observe(lambda change: self._heard(change["new"]), "record")

    def of(self, member: Member) -> Dishonest | None:
        """How a party on the list is set to behave; None is honest."""
        federation = self._state.federation
        if federation is None or federation.runtime.closed:
            return None
        return federation.runtime.venue.behaviour(member.party)

    def set(self, name: str, behaviour: str | None, options: Mapping[str, Any]) -> bool:
        """Have a party of the cohort behave so from its next question on; whether that was possible."""
        federation = self._state.federation
        if federation is None:
            return False
        try:
            federation.behave(name, behaviour, **options)
        except FederationError as error:
            text = f"{error} {name} behaves as before."
            self._state.notice = Notice("error", text)
            self._state.tell(text, "warning")
            self._state.revision += 1
            return False
        self._tell(name, behaviour or "", options)
        self._state.revision += 1
        return True

    def _heard(self, record: RoundRecord) -> None:
        """Take in one more round: somebody else may have changed how a party behaves."""
        now = {name: record.behaviours.get(name, "") for name in record.parties}
        changed = {name: how for name, how in now.items() if self._said.get(name, "") != how}
        for name, how in changed.items():
            self._tell(name, how, {}, f"in round {record.round}")
        if changed:
            self._state.revision += 1

    def forget(self) -> None:
        """Begin anew with what is so: only what changes from here on is said."""
        federation = self._state.federation
        self._said = {}
        if federation is not None and not federation.runtime.closed:
            self._said = {name: how.name for name, how in federation.behaviours.items()}

    def _tell(self, name: str, how: str, options: Mapping[str, Any], when: str = "from the next round on") -> None:
        self._said[name] = how
        if not self._state.simulation:
            return
        set_to = "".join(f", {key.replace('_', ' ')} {value}" for key, value in options.items())
        what = f"misbehaves ({in_sentence(how)}{set_to})" if how else "is honest"
        self._state.tell(f"Simulation: {name} {what} {when}.", "warning" if how else "info")
