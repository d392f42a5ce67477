"""Double-entry bookkeeping on plain data: what each transaction posts, and the balances that follow.

Every transaction is a JSON object; its postings follow from it and sum to 0. Money comes from and leaves to the account
``outside``, whose balance is therefore the negative of all that is inside; a round's budget waits in an account
``escrow:<round id>`` of its own between hold and settlement or refund. Amounts are whole micro-units (a millionth of a
unit), so that nothing is ever rounded.

A transaction's hash is SHA-256(hash of the one before + its bytes), so that none can be changed, dropped or moved
without changing every hash after it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fi_workbench.core.digest import sha256
from fi_workbench.core.errors import (
    DuplicateRound,
    InsufficientFunds,
    LedgerError,
    RoundClosed,
)
from fi_workbench.incentives.ledger.amounts import checked_amount, units
from fi_workbench.incentives.ledger.signed import checked_key, checked_round

OUTSIDE = "outside"
"""The account from which deposits come and to which withdrawals go."""

ESCROW = "escrow:"
"""How the accounts of rounds begin."""

GENESIS = bytes(32)
"""What stands for the hash before the first transaction."""

KINDS = ("open", "deposit", "withdraw", "hold", "settle", "refund", "checkpoint")


class Posting(NamedTuple):
    """One line of a transaction: ``amount`` micro-units come to ``account`` or, negative, leave it."""

    account: str
    name: str
    amount: int


class Hold(NamedTuple):
    """A round's budget in escrow; ``expires`` is in milliseconds since the epoch, ``height`` where it was booked."""

    client: str
    amount: int
    expires: int
    height: int


def escrow(round_id: str) -> str:
    """The account in which a round's budget waits."""
    return ESCROW + round_id


def checked_payments(payments: Iterable[Sequence[Any]], receipts: Collection[str], budget: int) -> int:
    """The sum of ``payments`` (key, name, amount), after each was checked.

    Raises
    ------
    LedgerError
        If a key is paid twice, a party is paid whose key has no receipt, or more is paid than the budget.
    """
    paid: set[str] = set()
    total = 0
    for key, name, amount in payments:
        if not (isinstance(key, str) and isinstance(name, str)):
            raise LedgerError(f"the payment to {name!r:.60} names no account.")
        total += checked_amount(amount, 0)
        if amount and key not in receipts:
            raise LedgerError(f"{name!r} is paid and has no receipt for this round.")
        if key in paid:
            raise LedgerError(f"{name!r} is paid twice.")
        paid.add(key)
    if total > budget:
        raise LedgerError(f"it pays {units(total)}, and {units(budget)} are its budget.")
    return total


def encoded(body: Mapping[str, Any]) -> bytes:
    """A transaction's bytes: JSON with sorted keys and no spaces.

    Raises
    ------
    LedgerError
        If a text in it has no UTF-8 form.
    """
    try:
        return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise LedgerError(f"A name or memo cannot be written as text ({error.reason}).") from error


def decoded(data: bytes) -> dict[str, Any]:
    """The transaction of these bytes.

    Raises
    ------
    LedgerError
        If they are no JSON object.
    """
    try:
        body = json.loads(str(data, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise LedgerError(f"its bytes are no JSON ({error}).") from error
    if not isinstance(body, dict) or not isinstance(body.get("kind"), str):
        raise LedgerError("its bytes are no transaction.")
    return body


def chained(previous: bytes, data: bytes) -> bytes:
    """The hash of a transaction, 32 bytes."""
    return hashlib.sha256(previous + data).digest()


def postings(body: Mapping[str, Any]) -> tuple[Posting, ...]:
    """What a transaction posts; the amounts sum to 0."""
    kind = body["kind"]
    if kind == "deposit":
        return _moved(body["amount"], OUTSIDE, body["account"], body["name"])
    if kind == "withdraw":
        return _moved(body["amount"], body["account"], OUTSIDE)
    if kind == "hold":
        return _moved(body["amount"], body["account"], escrow(body["round"]))
    if kind == "refund":
        return _moved(body["amount"], escrow(body["round"]), body["account"])
    if kind != "settle":
        return ()
    settlement = body["settlement"]
    paid = [Posting(*payment) for payment in settlement["payments"] if payment[2]]
    rest = settlement["budget"] - sum(posting.amount for posting in paid)
    back = [Posting(settlement["client_key"], "", rest)] if rest else []
    return Posting(escrow(settlement["round_id"]), "", -settlement["budget"]), *paid, *back


def _moved(amount: int, source: str, target: str, name: str = "") -> tuple[Posting, ...]:
    return Posting(source, "", -amount), Posting(target, name, amount)


def closes(body: Mapping[str, Any]) -> str | None:
    """The round that a transaction closes, or None."""
    if body["kind"] == "settle":
        return str(body["settlement"]["round_id"])
    return str(body["round"]) if body["kind"] == "refund" else None


@dataclass
class Book:
    """Balances, open holds and rounds, as they follow from the transactions applied so far.

    Parameters
    ----------
    balances : dict of str to [name, micro-units]
    holds : dict of str to Hold
        Open rounds.
    closed : dict of str to (int, int)
        Rounds closed since this book was begun: the heights of hold and of settlement or refund.
    n_rounds : int
        All holds ever booked.
    """

    balances: dict[str, list[Any]] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    closed: dict[str, tuple[int, int]] = field(default_factory=dict)
    n_rounds: int = 0

    def apply(self, height: int, body: Mapping[str, Any]) -> None:
        """Book one transaction.

        Raises
        ------
        LedgerError
            If it breaks a rule: funds that are not there, a round held or closed twice, payments that no receipt
            bears, a snapshot that is not what the transactions before it give.
        """
        kind = body["kind"]
        if kind not in KINDS:
            raise LedgerError(f"its kind is {kind!r:.40}; known are {', '.join(KINDS)}.")
        if kind in ("open", "checkpoint"):
            self._check_mark(height, body)
            return
        if kind in ("deposit", "withdraw", "hold"):
            checked_key(body["account"])
        if kind == "hold":
            self._check_new(checked_round(body["round"]))
        if (round_id := closes(body)) is not None:
            self._check_closing(round_id, body)
        if kind != "settle":
            checked_amount(body["amount"])
        for account, name, amount in postings(body):
            if not account.startswith(ESCROW):  # the open hold is such an account's balance
                self._post(account, name, amount)
        if round_id is not None:
            self.closed[round_id] = (self.holds.pop(round_id).height, height)
        if kind == "hold":
            self.holds[body["round"]] = Hold(body["account"], body["amount"], body["expires"], height)
            self.n_rounds += 1

    def snapshot(self) -> dict[str, Any]:
        """The state as JSON-able data, which a checkpoint carries."""
        return {
            "balances": {account: list(value) for account, value in self.balances.items()},
            "holds": {round_id: list(hold) for round_id, hold in self.holds.items()},
            "n_rounds": self.n_rounds,
        }

    @classmethod
    def of(cls, snapshot: Mapping[str, Any]) -> Book:
        """The book that a checkpoint carries."""
        balances = {account: list(value) for account, value in snapshot["balances"].items()}
        holds = {round_id: Hold(*hold) for round_id, hold in snapshot["holds"].items()}
        return cls(balances, holds, {}, snapshot["n_rounds"])

    @property
    def digest(self) -> str:
        """SHA-256 of the snapshot."""
        return sha256(self.snapshot())

    def _check_mark(self, height: int, body: Mapping[str, Any]) -> None:
        if body["kind"] == "open" and height != 1:
            raise LedgerError("a ledger is opened once, by its first transaction.")
        snapshot = self.snapshot()
        if body["kind"] == "checkpoint" and {name: body.get(name) for name in snapshot} != snapshot:
            raise LedgerError("its snapshot is not what the transactions before it give.")

    def _check_new(self, round_id: str) -> None:
        if round_id in self.holds or round_id in self.closed:
            raise DuplicateRound(f"round {round_id} was held before.")

    def _check_closing(self, round_id: str, body: Mapping[str, Any]) -> None:
        hold = self.holds.get(round_id)
        if hold is None:
            raise RoundClosed(f"round {round_id} is closed already, or was never held.")
        if body["kind"] == "refund":
            client, amount = body["account"], body["amount"]
        else:
            settlement = body["settlement"]
            client, amount = settlement["client_key"], settlement["budget"]
            receipts = {receipt["verify_key"] for receipt in settlement["receipts"]}
            checked_payments(settlement["payments"], receipts, hold.amount)
        if (client, amount) != (hold.client, hold.amount):
            raise LedgerError("its client or amount is not that of the hold.")

    def _post(self, account: str, name: str, amount: int) -> None:
        entry = self.balances.get(account)
        if entry is None:
            entry = self.balances[account] = [name, 0]
        if name:
            entry[0] = name
        entry[1] += amount
        if entry[1] < 0 and account != OUTSIDE:
            raise InsufficientFunds(account, -amount, entry[1] - amount, f"{account} would have less than nothing.")
