"""What client and parties seal for one another."""

from __future__ import annotations

import numpy as np
import pytest

from fi_workbench.mpc.assignment import Triple
from fi_workbench.mpc.keys import SessionKey
from fi_workbench.mpc.sealing import AskedLot, SealBroken, Seals
from fi_workbench.mpc.session import Session
from fi_workbench.mpc.streams import Lot
from tests.mpc.session.rig import N_IN, N_OUT, PLAN

LOT = Lot(2, 3)
OWNER, EVALUATOR, DEALER = (SessionKey() for _ in range(3))
CLIENT = SessionKey()


def session_of(binding: bytes = bytes(32)) -> Session:
    return Session(
        binding=binding,
        client_public=CLIENT.public,
        triples=(Triple("owner", "evaluator", "dealer"),),
        plans={"owner": PLAN},
        versions={"owner": "01"},
        publics={"owner": OWNER.public, "evaluator": EVALUATOR.public, "dealer": DEALER.public},
    )


def ends(name: str, key: SessionKey, session: Session | None = None) -> tuple[Seals, Seals]:
    """The client's, and the party's."""
    session = session or session_of()
    return Seals(session, name, CLIENT, key.public), Seals(session, name, key, CLIENT.public)


def masked_of(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**64, (n, N_IN), dtype=np.uint64)


def test_a_question_arrives_with_the_bits_that_its_model_needs() -> None:
    client, party = ends("owner", OWNER)
    masked = masked_of(2)
    sealed = client.question(LOT, AskedLot(7, masked))
    opened = party.open_question(LOT, sealed)
    assert opened.retired == 7
    low = np.uint64(2**48 - 1)  # a ReLU follows
    np.testing.assert_array_equal(opened.masked & low, masked & low)
    assert len(sealed) == 12 + 16 + 4 + 6 * masked.size


def test_helpers_are_told_of_the_lot_and_no_queries() -> None:
    client, party = ends("dealer", DEALER)
    sealed = client.question(LOT, AskedLot(0, None))
    assert party.open_question(LOT, sealed).masked is None
    assert client.open_answer(LOT, party.answer(LOT, None)) is None


def test_an_answer_arrives_whole() -> None:
    client, party = ends("evaluator", EVALUATOR)
    vector = np.random.default_rng(0).integers(0, 2**64, (2, N_OUT), dtype=np.uint64)
    np.testing.assert_array_equal(client.open_answer(LOT, party.answer(LOT, vector)), vector)


def test_nothing_opens_out_of_its_place() -> None:
    client, party = ends("owner", OWNER)
    sealed = client.question(LOT, AskedLot(0, masked_of(2)))
    for lot in (Lot(2, 4), Lot(2, 2)):
        with pytest.raises(SealBroken, match="cannot be opened"):
            party.open_question(lot, sealed)
    _, elsewhere = ends("owner", OWNER, session_of(bytes(31) + b"1"))
    with pytest.raises(SealBroken, match="another session"):
        elsewhere.open_question(LOT, sealed)
    _, other = ends("evaluator", EVALUATOR)
    with pytest.raises(SealBroken):
        other.open_question(LOT, sealed)
    vector = np.zeros((2, N_OUT), np.uint64)
    answered = party.answer(LOT, vector)
    with pytest.raises(SealBroken, match="cannot be opened"):
        client.open_answer(Lot(2, 4), answered)
    back, _ = ends("evaluator", EVALUATOR)
    with pytest.raises(SealBroken, match="'evaluator' cannot be opened"):
        back.open_answer(LOT, answered)


def test_every_changed_byte_and_every_other_length_is_found_out() -> None:
    client, party = ends("owner", OWNER)
    sealed = client.question(LOT, AskedLot(0, masked_of(2)))
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(SealBroken, match="cannot be opened"):
            party.open_question(LOT, bytes(changed))
    for wrong in (b"", sealed[:-1], sealed + b"\0", sealed * 2):
        with pytest.raises(SealBroken, match="bytes long"):
            party.open_question(LOT, wrong)
    with pytest.raises(SealBroken, match="1 to 65536 queries"):
        party.open_question(Lot(1 << 40, 0), sealed)


def test_a_question_cannot_retire_its_own_size() -> None:
    client, party = ends("owner", OWNER)
    for retired in (2, 2**17):
        with pytest.raises(SealBroken, match="retires"):
            party.open_question(LOT, client.question(LOT, AskedLot(retired, masked_of(2))))


def test_the_same_content_is_sealed_differently_each_time() -> None:
    client, _ = ends("owner", OWNER)
    masked = masked_of(2)
    assert client.question(LOT, AskedLot(0, masked)) != client.question(LOT, AskedLot(0, masked))
