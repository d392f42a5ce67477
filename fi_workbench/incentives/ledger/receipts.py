"""Signed evidence of who answered and who is paid: a party's receipt, a client's settlement.

A receipt is a party's statement: "in round R, to the question whose header has digest Q, I released what has digest D".
A settlement is the client's: "for round R, whose record has digest X, pay these parties, on these receipts". Both are
Ed25519 signatures over the canonical bytes of :mod:`fi_workbench.core.digest`, each under a tag of its own, so that no
signature made for one purpose serves another. Keys, digests and signatures are lower-case hexadecimal; amounts are
whole micro-units.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import LedgerError, SettlementRefused
from fi_workbench.core.identity import BadSignature, Identity
from fi_workbench.incentives.ledger.amounts import checked_amount
from fi_workbench.incentives.ledger.book import checked_payments, encoded
from fi_workbench.incentives.ledger.signed import Signed, check_hex

_RECEIPT_FIELDS = ("party", "verify_key", "reply_digest", "signature")
_QUESTION_TAG = "fi-workbench question"
"""Under which the protocol signs the header of a question."""


class Payment(NamedTuple):
    """What one party is paid.

    Parameters
    ----------
    verify_key : str
        The party's Ed25519 key, 64 hexadecimal digits: its account.
    party : str
        Its display name.
    amount : int
        Micro-units, 0 or more.
    """

    verify_key: str
    party: str
    amount: int


@dataclass(frozen=True)
class Receipt:
    """What a party says that it released.

    Parameters
    ----------
    round_id : str
        32 hexadecimal digits.
    question_digest : str
        SHA-256 of the question's header bytes.
    party : str
        The party's name.
    verify_key : str
        Its Ed25519 key.
    reply_digest : str
        SHA-256 of what it released.
    signature : str
        Of the statement, by ``verify_key``.
    """

    round_id: str
    question_digest: str
    party: str
    verify_key: str
    reply_digest: str
    signature: str

    @staticmethod
    def statement(round_id: str, question_digest: str, party: str, verify_key: str, reply_digest: str) -> bytes:
        """The canonical bytes that a party signs."""
        return canonical(["fi-workbench receipt", round_id, question_digest, party, verify_key, reply_digest])

    @classmethod
    def sign(cls, identity: Identity, round_id: str, question_digest: str, reply_digest: str) -> Receipt:
        """The receipt of the party whose identity this is."""
        named = (round_id, question_digest, identity.name, identity.public.verify_key.hex(), reply_digest)
        return cls(*named, identity.sign(cls.statement(*named)).hex())

    def check(self) -> Receipt:
        """This receipt, after its form and signature were checked.

        Raises
        ------
        BadSignature
            If a field cannot be, or the signature is not the party's.
        """
        try:
            self.check_form()
        except SettlementRefused as error:
            raise BadSignature(str(error)) from error
        self.signed().check()
        return self

    def check_form(self) -> None:
        """Nothing, if every field is of its form.

        Raises
        ------
        SettlementRefused
            Naming the first that is not.
        """
        what = f"The receipt of {self.party!r:.60}"
        check_hex(what, self, round_id=32, question_digest=64, verify_key=64, reply_digest=64, signature=128)
        if not isinstance(self.party, str):
            raise SettlementRefused(f"{what} has no party name.")

    def signed(self) -> Signed:
        """Its signature, to be checked."""
        what = f"The receipt of {self.party!r} for round {self.round_id[:8]}"
        message = self.statement(self.round_id, self.question_digest, self.party, self.verify_key, self.reply_digest)
        return Signed(what, self.verify_key, self.signature, message)


def digest_of_question(header: bytes) -> str:
    """SHA-256 of a question's header as it was signed and sent, 64 hexadecimal digits."""
    return hashlib.sha256(header).hexdigest()


@dataclass(frozen=True)
class Settlement:
    """Whom the client pays for a round, and why.

    Parameters
    ----------
    round_id : str
        32 hexadecimal digits.
    record_digest, question_digest : str
        SHA-256 of the round's record and of its question's header bytes.
    client_key : str
        The payer's Ed25519 key.
    budget : int
        Micro-units: exactly what was held for the round. What the payments leave goes back to the client.
    payments : tuple of Payment
        Each key at most once.
    receipts : tuple of Receipt
        At least of each party that is paid more than 0.
    client_signature : str
        Of all the other fields, by ``client_key``.
    question, question_signature : str
        The header that the client signed, as text, and its signature; both or neither. With them a third person sees
        that the client asked these parties; without, the client's word stands for it.
    """

    round_id: str
    record_digest: str
    question_digest: str
    client_key: str
    budget: int
    payments: tuple[Payment, ...]
    receipts: tuple[Receipt, ...]
    client_signature: str = ""
    question: str = ""
    question_signature: str = ""

    @classmethod
    def sign(
        cls,
        identity: Identity,
        *,
        round_id: str,
        record_digest: str,
        question_digest: str,
        budget: int,
        payments: Iterable[tuple[str, str, int]],
        receipts: Iterable[Receipt],
        question: bytes = b"",
        question_signature: bytes = b"",
    ) -> Settlement:
        """The settlement of the client whose identity this is."""
        unsigned = cls(
            round_id, record_digest, question_digest, identity.public.verify_key.hex(), budget,
            tuple(Payment(*payment) for payment in payments), tuple(receipts),
            question=question.decode(), question_signature=question_signature.hex(),
        )  # fmt: skip
        return replace(unsigned, client_signature=identity.sign(unsigned.statement()).hex())

    def statement(self) -> bytes:
        """The canonical bytes that the client signs: every field but its signature, as JSON with sorted keys."""
        plain = self.to_dict()
        del plain["client_signature"]
        return canonical(["fi-workbench settlement", encoded(plain)])

    def check(self) -> Settlement:
        """This settlement, after everything that needs no ledger was checked.

        Raises
        ------
        SettlementRefused
            If a party is paid twice, without a receipt, on one of another round or question, or beyond the budget.
        BadSignature
            If the settlement, its question or a receipt is not signed by whom it claims.
        """
        self.check_form()
        for signed in self.signed():
            signed.check()
        return self

    def check_form(self) -> None:
        """All of :meth:`check` but the signatures."""
        what = f"The settlement of round {self.round_id!r:.40}"
        check_hex(
            what, self, round_id=32, record_digest=64, question_digest=64, client_key=64, client_signature=128
        )  # fmt: skip
        try:
            checked_amount(self.budget)
            checked_payments([list(payment) for payment in self.payments], self._keys_with_receipts(), self.budget)
        except LedgerError as error:
            raise SettlementRefused(f"{what} cannot be booked: {error}") from error
        for payment in self.payments:
            check_hex(f"{what} pays {payment.party!r:.60}, who", payment, verify_key=64)
        self._check_question(what)

    def signed(self) -> Iterator[Signed]:
        """Every signature in it, to be checked."""
        what = f"The settlement of round {self.round_id[:8]}"
        yield Signed(what, self.client_key, self.client_signature, self.statement())
        if self.question:
            message = canonical([_QUESTION_TAG, self.question.encode()])
            yield Signed(
                f"The question of round {self.round_id[:8]}", self.client_key, self.question_signature, message
            )
        for receipt in self.receipts:
            yield receipt.signed()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Receipts are without round and question: a settlement's are its own, or it is refused."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["payments"] = [list(payment) for payment in self.payments]
        plain["receipts"] = [{name: getattr(receipt, name) for name in _RECEIPT_FIELDS} for receipt in self.receipts]
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Settlement:
        """The inverse of :meth:`to_dict`.

        Raises
        ------
        SettlementRefused
            If fields are missing, unknown or of another type.
        """
        try:
            payments = tuple(Payment(*payment) for payment in plain["payments"])
            shared = {name: plain[name] for name in ("round_id", "question_digest")}
            receipts = tuple(Receipt(**shared, **receipt) for receipt in plain["receipts"])
            return cls(**{**plain, "payments": payments, "receipts": receipts})
        except (KeyError, TypeError) as error:
            raise SettlementRefused(f"A settlement cannot be read: {error}.") from error

    def _keys_with_receipts(self) -> set[str]:
        names = {payment.verify_key: payment.party for payment in self.payments}
        keys: set[str] = set()
        for receipt in self.receipts:
            receipt.check_form()
            what = f"the receipt of {receipt.party!r}"
            if receipt.round_id != self.round_id:
                raise SettlementRefused(f"{what} is of another round, {receipt.round_id}.")
            if receipt.question_digest != self.question_digest:
                raise SettlementRefused(f"{what} is for another question.")
            if receipt.verify_key in keys:
                raise SettlementRefused(f"{what} is there twice.")
            if names.get(receipt.verify_key, receipt.party) != receipt.party:
                raise SettlementRefused(f"{what} has the key of {names[receipt.verify_key]!r}.")
            keys.add(receipt.verify_key)
        return keys

    def _check_question(self, what: str) -> None:
        if not self.question and not self.question_signature:
            return
        if digest_of_question(self.question.encode()) != self.question_digest:
            raise SettlementRefused(f"{what} shows another question than the one whose digest it names.")
        try:
            header = json.loads(self.question)
            asked = {member[1] for member in header["cohort"]}
            client, round_id = header["client"], header["round_id"]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise SettlementRefused(f"{what} shows a question that cannot be read.") from error
        if (client, round_id) != (self.client_key, self.round_id):
            raise SettlementRefused(f"{what} shows a question of another client or round.")
        for payment in self.payments:
            if payment.amount and payment.verify_key not in asked:
                raise SettlementRefused(f"{what} pays {payment.party!r}, who was not asked.")
