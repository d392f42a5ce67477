"""Who is missing from the rounds: said once when it begins and once when it ends, not in every round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from fi_workbench.core.errors import FederationError
from fi_workbench.core.records import RoundRecord
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.running.batches import Batches
from fi_workbench.widgets.running.budgets import refusals
from fi_workbench.widgets.running.choosing import ways_to_guarantee
from fi_workbench.widgets.running.state import Notice, WorkbenchState
from fi_workbench.widgets.wording import absent

MOST_SAID = 3
"""Refusals that are told one by one."""


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

    def heard(self, record: RoundRecord) -> bool:
        """Take in one more round; whether it is worth asking again."""
        state, before = self._state, self._missing
        offline = {one.party.name for one in state.members if one.away == "offline"}  # the link has said so already
        self._missing = {absence.party: absence.kind for absence in record.absent}
        for absence in record.absent:
            if before.get(absence.party) != absence.kind and absence.party not in offline:
                state.tell(f"Round {record.round}: {absent(absence)}", "warning")
        for party in before.keys() - self._missing.keys():
            if party in record.present and (state.link is None or before[party] != "unreachable"):
                state.tell(f"Round {record.round}: {party} answers again.")
        if not record.present and (refused := _by_budget(record)):
            state.notice = _refused(state, refused)
            state.tell(state.notice.text, "error")
            return False
        if not record.present:
            reasons = " ".join(map(absent, record.absent[:3]))
            text = f"Nobody answered round {record.round}. {reasons} The stream goes on and asks them again; "
            state.notice = Notice("warning", f"{text}earlier rounds are kept.")
        elif state.notice is not None and state.notice.level == "warning":
            state.notice = None
        return True


def _by_budget(record: RoundRecord) -> Mapping[str, str]:
    """Who refused a round for its privacy budget, and why; nobody, where others were missing for another reason."""
    refused = refusals(record)
    others = {one.kind for one in record.absent if one.party not in refused}
    return {} if others - {"cancelled", "excluded"} else refused


def _refused(state: WorkbenchState, refused: Mapping[str, str]) -> Notice:
    """That asking again is of no use, and what is."""
    said = " ".join(f"{party} refuses: {reason.rstrip('.')}." for party, reason in [*refused.items()][:MOST_SAID])
    more = f" {len(refused) - MOST_SAID} more refuse too." if len(refused) > MOST_SAID else ""
    ways = ways_to_guarantee(state.chosen) if any("guarantee" in why for why in refused.values()) else ()
    text = "The rounds before it are kept, and the page Privacy shows what is left."
    return Notice("error", f"The stream has stopped, for no answer came of the last round. {said}{more} {text}", ways)


def nobody_left(state: WorkbenchState) -> None:
    """Say that a stream ends because all have gone, where one runs."""
    if state.status == "running":
        text = "Nobody is left to ask. The rounds so far are kept; press Run when somebody is there again."
        _tell(state, "warning", text)


def first_batches(state: WorkbenchState, federation: Federation, queries: Any, labels: Any) -> Batches | None:
    """What is asked of the first who have come; None, and said, where that does not fit them."""
    try:
        return Batches.of(federation, queries, labels)
    except FederationError as error:
        _tell(state, "error", f"There is nothing to ask: {error} Make the workbench with other queries.")
        return None


def _tell(state: WorkbenchState, level: Literal["warning", "error"], text: str) -> None:
    if state.notice is None or state.notice.text != text:
        state.tell(text, level)
        state.notice = Notice(level, text)


def nothing_to_ask(state: WorkbenchState) -> Notice:
    """Why Run does nothing, and what to do."""
    if state.federation is None:
        return Notice("error", "There is no federation to ask yet. Make one first.")
    if not state.members:
        return Notice("error", "Nobody has joined yet: there is nobody to ask. Invite somebody first.")
    if not state.enabled:
        return Notice("error", "Nobody of those on the list is asked: tick one of them first.")
    return Notice(
        "error",
        "There is nothing to ask: this federation came without a data set. Make the workbench with queries, and "
        "with labels where you know the truth: fi.Workbench(federation, queries=..., labels=...).",
    )
