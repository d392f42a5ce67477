"""Who is missing from the rounds: said once when it begins and once when it ends, not in every round."""

from __future__ import annotations

from fi_workbench.core.records import RoundRecord
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.running.state import Notice, WorkbenchState
from fi_workbench.widgets.wording import absent


class Absences:
    """Keeps the log, and the notice where nobody is left.

    Parameters
    ----------
    state : WorkbenchState
    """

    def __init__(self, state: WorkbenchState) -> None:
        self._state = state
        self._missing: dict[str, str] = {}

    def forget(self) -> None:
        """Begin anew: whoever is missing next is said again."""
        self._missing = {}

    def heard(self, record: RoundRecord) -> None:
        """Take in one more round."""
        state, before = self._state, self._missing
        self._missing = {absence.party: absence.kind for absence in record.absent}
        for absence in record.absent:
            if before.get(absence.party) != absence.kind:
                state.tell(f"Round {record.round}: {absent(absence)}", "warning")
        for party in before.keys() - self._missing.keys():
            if party in record.present:
                state.tell(f"Round {record.round}: {party} answers again.")
        if not record.present:
            reasons = " ".join(map(absent, record.absent[:3]))
            text = f"Nobody answered round {record.round}. {reasons} The stream goes on and asks them again; "
            state.notice = Notice("warning", f"{text}earlier rounds are kept.")
        elif state.notice is not None and state.notice.level == "warning":
            state.notice = None


def nothing_to_ask(federation: Federation | None) -> Notice:
    """Why Run does nothing, and what to do."""
    if federation is None:
        return Notice("error", "There is no federation to ask yet. Make one first.")
    return Notice(
        "error",
        "There is nothing to ask: this federation came without a data set. Make the workbench with queries, and "
        "with labels where you know the truth: fi.Workbench(federation, queries=..., labels=...).",
    )
