"""Receipts and settlements: every byte is signed, and nothing is paid that was not answered."""

import json
from dataclasses import fields, replace

import pytest

from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import InvalidAmount, SettlementRefused
from fi_workbench.core.identity import BadSignature, Identity
from fi_workbench.incentives.ledger.amounts import parse_units, units
from fi_workbench.incentives.ledger.receipts import Receipt, Settlement, digest_of_question
from tests.incentives.ledger_toys import (
    CLIENT,
    CLIENT_KEY,
    KEYS,
    PARTIES,
    QUESTION,
    new_round,
    receipts,
    settlement,
)

A, B, C = PARTIES


def test_a_receipt_is_the_signature_of_its_statement():
    receipt = Receipt.sign(A, "ab" * 16, QUESTION, "cd" * 32)
    stated = canonical(["fi-workbench receipt", "ab" * 16, QUESTION, "A", KEYS[0], "cd" * 32])
    assert receipt.signature == A.sign(stated).hex()
    assert receipt.check() is receipt


@pytest.mark.parametrize("name", [field.name for field in fields(Receipt)])
def test_every_character_of_a_receipt_counts(name):
    receipt = Receipt.sign(Identity("a party"), new_round(), QUESTION, "cd" * 32)
    value = getattr(receipt, name)
    for place in range(len(value)):
        for bit in range(7):
            other = value[:place] + chr(ord(value[place]) ^ (1 << bit)) + value[place + 1 :]
            with pytest.raises(BadSignature, match="receipt of"):
                replace(receipt, **{name: other}).check()


@pytest.mark.parametrize("bad", ["", "AB" * 32, "ab" * 31, None, b"ab" * 32, 7])
def test_a_receipt_with_a_digest_of_another_form_is_refused(bad):
    with pytest.raises(BadSignature, match="reply_digest"):
        replace(Receipt.sign(A, new_round(), QUESTION, "cd" * 32), reply_digest=bad).check()


def test_a_whole_settlement_passes_and_survives_json():
    whole = settlement(new_round())
    assert whole.check() is whole
    assert Settlement.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_every_field_of_a_settlement_is_signed():
    whole = settlement(new_round())
    changed = {
        "record_digest": "1" * 64,
        "client_key": KEYS[0],
        "budget": 2000,
        "payments": whole.payments[::-1],
        "receipts": whole.receipts[::-1],
        "client_signature": "0" * 128,
    }
    for name, value in changed.items():
        with pytest.raises(BadSignature, match="settlement of round"):
            replace(whole, **{name: value}).check()


REPLAYED, OTHER_ROUND = new_round(), new_round()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda one: {"given": receipts(one, (B, C))}, "'A' is paid and has no receipt"),
        (lambda one: {"given": []}, "'A' is paid and has no receipt"),
        (lambda one: {"given": [*receipts(OTHER_ROUND, (A,)), *receipts(one, (B, C))]}, "'A' is of another round"),
        (lambda one: {"given": [*receipts(one, (A,), "1" * 64), *receipts(one, (B,))]}, "'A' is for another question"),
        (lambda one: {"given": receipts(one, (A, A, B))}, "'A' is there twice"),
        (lambda one: {"payments": [(KEYS[0], "A", 1), (KEYS[0], "A", 1)]}, "'A' is paid twice"),
        (lambda one: {"payments": [(KEYS[0], "B", 1)]}, "'A' has the key of 'B'"),
        (lambda one: {"amounts": (500, 501, 0)}, "pays 0.001001, and 0.001000 are its budget"),
        (lambda one: {"amounts": (-1, 1, 0)}, "-1 micro-units"),
        (lambda one: {"amounts": (True, 1, 0)}, "True is no whole number"),
        (lambda one: {"amounts": (1.0, 1, 0)}, "1.0 is no whole number"),
        (lambda one: {"budget": 0, "amounts": (0, 0, 0)}, "0 micro-units"),
        (lambda one: {"budget": 2**53 + 1}, "cannot be booked"),
        (lambda one: {"payments": [("escrow:" + one, "A", 0)]}, "hexadecimal"),
        (lambda one: {"payments": [("outside", "A", 0)]}, "hexadecimal"),
        (lambda one: {"question_digest": "x" * 64, "given": []}, "question_digest"),
    ],
)
def test_what_was_not_answered_is_not_paid(change, match):
    round_id = new_round()
    with pytest.raises(SettlementRefused, match=match):
        settlement(round_id, **change(round_id)).check()


def test_a_forged_receipt_is_refused_by_name():
    round_id = new_round()
    forged = replace(Receipt.sign(B, round_id, QUESTION, "cd" * 32), party="A", verify_key=KEYS[0])
    with pytest.raises(BadSignature, match="receipt of 'A' for round"):
        settlement(round_id, given=[forged, *receipts(round_id, (B,))]).check()
    whole = Receipt.sign(A, round_id, QUESTION, "cd" * 32)
    with pytest.raises(SettlementRefused, match="'A' has signature"):
        settlement(round_id, given=[replace(whole, signature=whole.signature[:-2]), *receipts(round_id, (B,))]).check()


def question_of(round_id, client=CLIENT_KEY, cohort=PARTIES, signer=CLIENT):
    members = [[one.name, one.public.verify_key.hex(), "", ""] for one in cohort]
    data = json.dumps({"client": client, "round_id": round_id, "cohort": members}).encode()
    signature = signer.sign(canonical(["fi-workbench question", data]))
    return {"question": data, "question_signature": signature, "question_digest": digest_of_question(data)}


def asked(round_id, shown, **more):
    shown = {**shown, **more}
    return settlement(round_id, given=receipts(round_id, question=shown["question_digest"]), **shown)


def test_a_settlement_may_show_the_question():
    round_id = new_round()
    assert asked(round_id, question_of(round_id)).check()
    with pytest.raises(SettlementRefused, match="another question"):
        asked(round_id, question_of(round_id), question=b"{}").check()
    with pytest.raises(SettlementRefused, match="another client or round"):
        asked(round_id, question_of(new_round())).check()
    with pytest.raises(SettlementRefused, match="another client or round"):
        asked(round_id, question_of(round_id, client=KEYS[0])).check()
    with pytest.raises(SettlementRefused, match="'A', who was not asked"):
        asked(round_id, question_of(round_id, cohort=(B, C))).check()
    with pytest.raises(BadSignature, match="question of round"):
        asked(round_id, question_of(round_id, signer=A)).check()
    unreadable = {"question": b"[]", "question_digest": digest_of_question(b"[]")}
    with pytest.raises(SettlementRefused, match="cannot be read"):
        asked(round_id, question_of(round_id), **unreadable).check()


def test_the_question_is_signed_as_the_protocol_signs_it():
    """The tag is written in two rooms that do not see each other; here they meet."""
    from fi_workbench.protocol import header

    one = header.RoundHeader(
        new_round(), "answer", 0.0, 1.0, CLIENT_KEY, "soft_vote", {}, [], "renormalise", 1, 0,
        header.cohort_of({party.name: party.public for party in PARTIES}), {},
    ).signed(CLIENT)  # fmt: skip
    data = one[header.HEADER]
    question = {"question": data, "question_signature": one[header.SIGNATURE]}
    assert asked(json.loads(data)["round_id"], {**question, "question_digest": digest_of_question(data)}).check()


@pytest.mark.parametrize("plain", [{}, {"payments": 3}, {"payments": [[1]], "receipts": []}])
def test_what_is_no_settlement_is_refused(plain):
    with pytest.raises(SettlementRefused, match="cannot be read"):
        Settlement.from_dict(plain)


@pytest.mark.parametrize(("text", "amount"), [("1", 10**6), ("0.000001", 1), (" 12.5 ", 12_500_000), ("1e3", 10**9)])
def test_units_are_read_exactly(text, amount):
    assert parse_units(text) == amount
    assert parse_units(units(amount)) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "nan",
        "inf",
        "-1",
        "0",
        "0.0000001",
        "1.0000001",
        "1.00000000000000000000000000001",
        "1e30",
        "9" * 40,
        "1,5",
    ],
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(InvalidAmount):
        parse_units(text)
