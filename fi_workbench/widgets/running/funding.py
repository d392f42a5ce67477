"""Money for the rounds: deposits into the ledger, and what to say when there is too little."""

from __future__ import annotations

from fi_workbench.core.errors import FederationError, InsufficientFunds
from fi_workbench.incentives.ledger.amounts import MAX_AMOUNT
from fi_workbench.widgets.running.state import Notice, Way, WorkbenchState
from fi_workbench.widgets.wording import amount, brief_units, title

ROUNDS_AHEAD = 100
"""A deposit that is offered pays for so many rounds."""


def deposit(state: WorkbenchState, amount_micro: int) -> bool:
    """Put money into the client's account; whether that was possible. Rounds can then be asked again.

    Parameters
    ----------
    state : WorkbenchState
    amount_micro : int
        Micro-units.
    """
    federation = state.federation
    if federation is None:
        return False
    try:
        federation.deposit(amount_micro)
    except FederationError as error:
        text = f"Nothing was deposited. {error}"
        state.tell(text, "error")
        state.notice = Notice("error", text)
        return False
    state.tell(f"Deposited {amount(amount_micro)}.")
    if state.status == "spent":
        state.status = "paused"
        state.notice = None
    state.revision += 1
    return True


def failure(state: WorkbenchState, error: Exception) -> Notice:
    """Why a round was not asked or came to nothing, what was kept, and what to do."""
    if isinstance(error, InsufficientFunds):
        return _broke(state, error)
    why = str(error) if isinstance(error, FederationError) else f"{type(error).__name__}: {error}"
    return Notice(
        "error",
        f"A round under {title(state.chosen.rule).lower()} failed: {why} "
        "The rounds before it are kept. Change the setting that it names, then press Run.",
    )


def _broke(state: WorkbenchState, error: InsufficientFunds) -> Notice:
    offered = min(max(error.needed, 1) * ROUNDS_AHEAD, MAX_AMOUNT)
    return Notice(
        "error",
        f"The next round was not asked: it pays {amount(error.needed)}, and {brief_units(error.available)} are in "
        "the ledger. The rounds before it are kept. Deposit some, then press Run.",
        (
            Way(f"Deposit {amount(offered)}", state.chosen, offered),
            Way("Pay nothing for the rounds", state.chosen.with_(budget_micro=0)),
        ),
    )
