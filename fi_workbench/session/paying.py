"""What a round pays whom: promised by contribution, and where there is a ledger held before and settled after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import Closed, LedgerError, RoundClosed
from fi_workbench.core.records import PaymentState
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.ledger.receipts import Settlement
from fi_workbench.incentives.payout import payments, payouts
from fi_workbench.protocol.client_side import Asked, ClientSide
from fi_workbench.protocol.engine import Outcome
from fi_workbench.protocol.header import HEADER, SIGNATURE
from fi_workbench.session.settings import Settings

GRACE_SECONDS = 60.0
"""A hold outlives its round's deadline by so long; after a kill, what is past it is refunded."""


def earned(
    settings: Settings, values: NDArray[np.float64] | None, names: tuple[str, ...], present: tuple[str, ...]
) -> NDArray[np.int64] | None:
    """Micro-units for each party of the cohort, (party,): the whole budget among those present; None without any."""
    if values is None or not present:
        return None
    rows = [names.index(party) for party in present]
    earned = np.zeros(len(names), dtype=np.int64)
    earned[rows] = payments(
        payouts[settings.payout], values[rows], settings.budget_micro, dict(settings.payout_options)
    )
    return earned


@dataclass(eq=False)
class Escrow:
    """A round's budget on its way from the client to the parties; made by :func:`escrow`."""

    ledger: Ledger | None
    client: ClientSide
    asked: Asked
    budget: int
    state: PaymentState = "promised"

    def settle(self, outcome: Outcome, paid: NDArray[np.int64] | None, names: tuple[str, ...], digest: str) -> None:
        """Pay the parties that signed for what they released; give back the rest, or all where nobody earned anything.

        A mechanism may keep what a party gave in an earlier phase after the party fell out: without its receipt it is
        not paid, and the others are.

        Raises
        ------
        LedgerError
            The ledger cannot be written.
        """
        if self.ledger is None:
            return
        if paid is None:
            self.refund("nobody answered")
            return
        try:
            self.ledger.settle(self._settlement(outcome, paid, names, digest))
            self.state = "settled"
        except RoundClosed:  # it took so long that another process gave the expired hold back
            self.state = "refunded"

    def refund(self, why: str) -> None:
        """Give the whole budget back.

        Raises
        ------
        LedgerError
            The ledger cannot be written.
        """
        if self.ledger is None or self.state != "promised":
            return
        with suppress(RoundClosed):  # given back already, as above
            self.ledger.refund(self.asked.header.round_id, why)
        self.state = "refunded"

    def _settlement(self, outcome: Outcome, paid: NDArray[np.int64], names: tuple[str, ...], digest: str) -> Settlement:
        header = self.asked.header
        keys = {name: who.verify_key.hex() for name, who in header.identities.items()}
        message = self.asked.messages[header.names[0]]
        question, signature = message[HEADER], message[SIGNATURE]
        signed_for = {receipt.party for receipt in outcome.receipts}
        return Settlement.sign(
            self.client.identity,
            round_id=header.round_id,
            record_digest=digest,
            question_digest=header.digest,
            budget=self.budget,
            payments=[
                (keys[name], name, int(amount))
                for name, amount in zip(names, paid, strict=True)
                if amount > 0 and name in signed_for
            ],
            receipts=outcome.receipts,
            question=question if isinstance(question, bytes) else b"",
            question_signature=signature if isinstance(signature, bytes) else b"",
        )


@contextmanager
def escrow(ledger: Ledger | None, client: ClientSide, asked: Asked, budget: int) -> Iterator[Escrow]:
    """Hold a round's budget before its first message leaves; whatever ends the round otherwise gives it back.

    What killed rounds left on hold, this client's or another's, is given back first, once it has expired.

    Raises
    ------
    InsufficientFunds, LedgerError
        Before anything is sent.
    """
    held = Escrow(ledger if budget else None, client, asked, budget)
    if held.ledger is not None:
        held.ledger.recover()
        key = client.identity.public.verify_key.hex()
        held.ledger.hold(asked.header.round_id, key, budget, asked.header.deadline_seconds + GRACE_SECONDS)
    try:
        yield held
    except BaseException as error:
        try:
            held.refund(f"the round was aborted by {type(error).__name__}")
        except (LedgerError, Closed) as unwritten:  # what ended the round is what must be told, Ctrl-C above all
            error.add_note(f"Its budget stays on hold until it expires: {unwritten}")
        raise
