"""What the ledger holds for the client, and a field to deposit more."""

from __future__ import annotations

import ipywidgets

from fi_workbench.core.errors import FederationError
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.ledger.amounts import units
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.parts import button, column, hint, named, row, shown
from fi_workbench.widgets.running.funding import amount_of, deposit
from fi_workbench.widgets.wording import escaped

LOOK_BACK = 32
"""Transactions among which the last settlement is looked for."""


class LedgerLine:
    """Balance, what is held, the last settlement, and Deposit; or how to have a ledger.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._state = desk.state
        self._text = hint(css="fi-ledger-text")
        self.amount = named(
            ipywidgets.Text(
                value="100", description="deposit (units)", continuous_update=False, layout={"width": "220px"},
                style={"description_width": "auto"},
                tooltip="How much to put into the client's account, in units of up to six decimals",
            ),
            "fi-deposit-amount",
        )  # fmt: skip
        self.go = button("Deposit", "Put this into the client's account in the ledger", "fi-deposit", self._deposit)
        self._wrong = hint(css="fi-error fi-deposit-wrong")
        self._form = row(self.amount, self.go, self._wrong)
        head = named(ipywidgets.HTML("<b>Ledger</b>"), "fi-group-head")
        self.box = column(head, self._text, self._form, css="fi-ledger")
        shown(self._wrong, False)
        self.show()

    def show(self) -> None:
        """Look again."""
        federation = self._state.federation
        ledger = None if federation is None else federation.ledger
        shown(self._form, ledger is not None)
        if federation is None or ledger is None:
            said = (
                "None: payments are promised. Make the federation with a ledger to have them paid and signed for: "
                "<code>fi.Federation.demo(ledger=&quot;rounds.ledger&quot;)</code>."
            )
        else:
            said = _told(ledger, federation.client.public.verify_key.hex())
        if self._text.value != said:
            self._text.value = said

    def _deposit(self) -> None:
        try:
            micro = amount_of(self.amount.value, least=1)
        except FederationError as error:
            self._wrong.value = escaped(error)
            shown(self._wrong, True)
            return
        shown(self._wrong, False)
        deposit(self._state, micro)
        self.show()


def _told(ledger: Ledger, key: str) -> str:
    """What the ledger says of the client's account, as markup."""
    try:
        balance, held = ledger.balance(key), ledger.held(key)
        settled = next((one for one in ledger.entries(last=LOOK_BACK) if _is_settled(one.body, key)), None)
    except FederationError as error:
        return f"The ledger cannot be read: {escaped(error)}"
    text = f"Balance <b>{units(balance)}</b> units, held for rounds under way {units(held)}. "
    if settled is None:
        return text + "No round was settled yet."
    return text + (
        f'Last settlement: transaction {settled.height}, digest <code title="{escaped(settled.hash)}">'
        f"{escaped(settled.hash[:16])}…</code>."
    )


def _is_settled(body: object, key: str) -> bool:
    return isinstance(body, dict) and body.get("kind") == "settle" and body["settlement"]["client_key"] == key
