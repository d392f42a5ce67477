"""Money for the rounds: deposits into the ledger, and what to say when there is too little."""

from __future__ import annotations

import re
from decimal import Decimal

from fi_workbench.core.errors import FederationError, InsufficientFunds, InvalidAmount
from fi_workbench.incentives.ledger.amounts import MAX_AMOUNT, MICRO, parse_units
from fi_workbench.widgets.running.state import Notice, Way, WorkbenchState
from fi_workbench.widgets.wording import amount, brief_units, in_sentence

_PLAIN = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,3})?", re.ASCII)

ROUNDS_AHEAD = 100
"""A deposit that is offered pays for so many rounds."""


def amount_of(text: str, least: int = 0) -> int:
    """Micro-units of an amount as people write it, in units.

    Parameters
    ----------
    text : str
    least : int
        Micro-units that it must be at least.

    Raises
    ------
    InvalidAmount
        It is no amount, has more than six decimals, or is out of range; said in units.

    >>> amount_of("0.000001"), amount_of("2.5"), amount_of("0.00")
    (1, 2500000, 0)
    """
    written = text.strip()
    if not written:
        raise InvalidAmount("Write an amount in units, such as 1.5.")
    if _PLAIN.fullmatch(written):
        micro = Decimal(written) * MICRO
        if not least <= micro <= MAX_AMOUNT:
            raise InvalidAmount(
                f"An amount goes from {brief_units(least)} to {brief_units(MAX_AMOUNT)} units, not {written:.40}."
            )
        if micro == 0:
            return 0
    return parse_units(written)


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
        f"A round under {in_sentence(state.chosen.rule)} failed: {why} "
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
