"""Any sequence of bookings against a ledger of three lines, and an export against a reader that shares no code."""

import hashlib
import json
import random
import struct
from collections import Counter

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fi_workbench.core.errors import LedgerError
from fi_workbench.incentives.ledger import Ledger
from tests.incentives.ledger_toys import BUDGET, CLIENT, CLIENT_KEY, KEYS, new_round, settled, settlement


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_of_bookings_gives_what_plain_sums_give(seed):
    draw, now = random.Random(seed), [0.0]
    money, holds, closed = Counter({CLIENT_KEY: 5000}), {}, []
    with Ledger(clock=lambda: now[0]) as ledger:
        ledger.deposit(CLIENT_KEY, 5000)
        for _ in range(250):
            now[0] += draw.choice([-5, 1, 20])
            act, amount = (
                draw.choice(["deposit", "withdraw", "hold", "settle", "settle", "refund", "recover"]),
                draw.randint(1, 900),
            )
            key = draw.choice([CLIENT_KEY, KEYS[0]])
            known = [*holds, *closed[-2:], new_round()]
            one = new_round() if act == "hold" and draw.random() < 0.7 else draw.choice(known)
            possible = True
            try:
                if act == "deposit":
                    ledger.deposit(key, amount)
                    money[key] += amount
                elif act == "withdraw":
                    possible = money[key] >= amount
                    ledger.withdraw(key, amount)
                    assert possible
                    money[key] -= amount
                elif act == "hold":
                    possible = money[CLIENT_KEY] >= amount and one not in holds and one not in closed
                    ledger.hold(one, CLIENT_KEY, amount, 30)
                    assert possible
                    money[CLIENT_KEY] -= amount
                    holds[one] = amount, now[0] + 30
                elif act == "settle":
                    budget = holds[one][0] if one in holds else 3
                    paid = [budget // 3, budget // 4, draw.randint(0, budget // 2)]
                    possible = one in holds and sum(paid) <= budget
                    ledger.settle(settlement(one, paid, budget=budget))
                    assert possible
                    for party, part in zip(KEYS, paid, strict=True):
                        money[party] += part
                    money[CLIENT_KEY] += budget - sum(paid)
                    closed.append(one)
                    del holds[one]
                elif act == "refund":
                    possible = one in holds
                    ledger.refund(one, "drawn")
                    assert possible
                    money[CLIENT_KEY] += holds.pop(one)[0]
                    closed.append(one)
                else:
                    expired = {one for one, (_, expires) in holds.items() if expires <= now[0]}
                    assert set(ledger.recover()) == expired
                    for one in expired:
                        money[CLIENT_KEY] += holds.pop(one)[0]
                        closed.append(one)
            except LedgerError:
                assert not possible
            assert [ledger.balance(key) for key in (CLIENT_KEY, *KEYS)] == [money[key] for key in (CLIENT_KEY, *KEYS)]
            assert ledger.held(CLIENT_KEY) == sum(amount for amount, _ in holds.values())
            assert -ledger.balance("outside") == sum(money.values()) + ledger.held(CLIENT_KEY)
        assert len(closed) > 10
        assert ledger.verify().ok


def framed(kind, content):
    return kind + struct.pack("<Q", len(content)) + content


def texts(*values):
    """The canonical form of a list of texts and bytes, as its documentation has it."""
    parts = [framed(b"s", one.encode()) if isinstance(one, str) else framed(b"b", one) for one in values]
    return framed(b"l", b"".join(parts))


def signed(key, signature, message):
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), message)


def test_a_third_person_needs_only_the_export_and_its_description(tmp_path):
    with Ledger(tmp_path / "of.ledger") as ledger:
        ledger.deposit(CLIENT_KEY, 10 * BUDGET)
        rounds = [settled(ledger), settled(ledger)]
        ledger.checkpoint(CLIENT)
        lines = ledger.export(tmp_path / "out.jsonl").read_text().splitlines()
        balances = {one.key: one.balance for one in ledger.accounts()}
    head, money = bytes(32), Counter()
    for line in lines:
        row = json.loads(line)
        previous, head = head, hashlib.sha256(head + row["transaction"].encode()).digest()
        assert head.hex() == row["hash"]
        body = json.loads(row["transaction"])
        if body["kind"] == "open":
            ledger_id = body["ledger"]
        elif body["kind"] == "deposit":
            money[body["account"]] += body["amount"]
            money["outside"] -= body["amount"]
        elif body["kind"] == "hold":
            money[body["account"]] -= body["amount"]
        elif body["kind"] == "settle":
            given = body["settlement"]
            assert given["round_id"] == rounds.pop(0)
            stated = {name: value for name, value in given.items() if name != "client_signature"}
            plain = json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            signed(given["client_key"], given["client_signature"], texts("fi-workbench settlement", plain))
            for one in given["receipts"]:
                message = texts(
                    "fi-workbench receipt", given["round_id"], given["question_digest"],
                    one["party"], one["verify_key"], one["reply_digest"],
                )  # fmt: skip
                signed(one["verify_key"], one["signature"], message)
            for key, _, amount in given["payments"]:
                assert not amount or key in {one["verify_key"] for one in given["receipts"]}
                money[key] += amount
                money[given["client_key"]] -= amount
            money[given["client_key"]] += given["budget"]
        else:
            assert body["head"] == previous.hex()
            snapshot = {key: amount for key, (_, amount) in body["balances"].items() if amount}
            assert snapshot == {key: amount for key, amount in money.items() if amount}
    assert not rounds
    assert ledger_id
    assert {key: amount for key, amount in money.items() if amount} == {k: v for k, v in balances.items() if v}
