"""A client and three parties with fixed names, and what they sign."""

import secrets

from fi_workbench.core.identity import Identity
from fi_workbench.incentives.ledger.receipts import Receipt, Settlement, digest_of_question

CLIENT = Identity("client")
PARTIES = tuple(Identity(name) for name in ("A", "B", "C"))
CLIENT_KEY, *KEYS = (one.public.verify_key.hex() for one in (CLIENT, *PARTIES))
BUDGET = 1000
QUESTION = digest_of_question(b"a question")


def new_round():
    return secrets.token_hex(16)


def receipts(round_id, parties=PARTIES, question=QUESTION):
    return [Receipt.sign(party, round_id, question, secrets.token_hex(32)) for party in parties]


def settlement(round_id, amounts=(500, 300, 0), *, budget=BUDGET, client=CLIENT, given=None, payments=None, **more):
    if payments is None:
        payments = [(key, party.name, n) for key, party, n in zip(KEYS, PARTIES, amounts, strict=True)]
    return Settlement.sign(
        client,
        round_id=round_id,
        record_digest="0" * 64,
        question_digest=more.pop("question_digest", QUESTION),
        budget=budget,
        payments=payments,
        receipts=receipts(round_id) if given is None else given,
        **more,
    )


def settled(ledger, **more):
    """One whole round."""
    round_id = new_round()
    ledger.hold(round_id, CLIENT_KEY, BUDGET, 60)
    ledger.settle(settlement(round_id, **more))
    return round_id
