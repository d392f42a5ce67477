"""What two roles of one triple come to when they pool what they hold: it is on the page, and not prevented."""

from __future__ import annotations

import numpy as np

from fi_workbench.mpc import ring
from fi_workbench.mpc.assignment import triples_of
from fi_workbench.mpc.compare.selecting import OFFSET, SHORT_MASK
from fi_workbench.mpc.streams import query_mask, query_source
from tests.mpc.attacks.recording import SHAPE, random_queries, trio_of, weights_of
from tests.mpc.roles.trio import Trio

RELU = 7
QUERIES = random_queries(16)
WEIGHTS = weights_of(5)


def answered() -> Trio:
    trio = trio_of(WEIGHTS)
    lot, materials = trio.offline(len(QUERIES))
    trio.online(ring.encode(QUERIES), lot, materials)
    return trio


def held(trio: Trio, role: str, act: str, name: str, step: int) -> np.ndarray:
    (found,) = (s.array for s in trio.seen if (s.role, s.act, s.name, s.step) == (role, act, name, step))
    return found.astype(np.uint64).ravel()


def test_owner_and_evaluator_or_dealer_have_the_query_and_every_value():
    trio = answered()
    for other in ("evaluator", "dealer"):
        value = held(trio, "owner", "holds", "masked value", RELU) + held(trio, other, "holds", "mask", RELU)
        assert (value < 1 << 30).all()
        assert (value == 0).any()
        assert (value > 0).any()
    masked = held(trio, "owner", "holds", "masked query", 0).reshape(QUERIES.shape)
    (lot,) = {seen.lot for seen in trio.seen if seen.phase == "online"}
    mask = query_mask(query_source(trio.query_seed), lot, SHAPE)  # from the root that evaluator and dealer hold
    assert np.array_equal((masked + mask) & SHORT_MASK, ring.encode(QUERIES) & SHORT_MASK)


def test_evaluator_and_dealer_have_the_weights_and_what_meets_a_relu():
    trio = answered()
    for layer in WEIGHTS:
        masked = held(trio, "evaluator", "receives", "masked weight", layer.step)
        opened = masked + held(trio, "dealer", "holds", "weight mask", layer.step)
        assert ((opened ^ layer.weight.ravel()) & SHORT_MASK == 0).all()
    (lot,) = {seen.lot for seen in trio.seen if seen.phase == "online"}
    c = held(trio, "evaluator", "receives", "opened", RELU) << np.uint64(16)
    y = (c - trio.dealt(lot, RELU, c.size) - OFFSET) & SHORT_MASK
    shared = held(trio, "owner", "holds", "share", RELU - 1) + held(trio, "evaluator", "holds", "share", RELU - 1)
    off = (y - shared) & SHORT_MASK
    signed = np.where(off >> np.uint64(47), off.astype(np.int64) - (1 << 48), off.astype(np.int64))
    assert np.abs(signed).max() < 1 << 19  # of 2^-32: low digits were not opened, and the owner rounds at random


def test_how_far_apart_two_owners_must_be_to_share_no_triple():
    for n in range(3, 9):
        names = [f"owner{k}" for k in range(n)]
        triples = triples_of(names)
        for apart in range(1, n // 2 + 1):
            together = [{triple.role_of(name) for name in (names[0], names[apart])} - {None} for triple in triples]
            queries = any({"owner"} < found for found in together)
            weights = {"evaluator", "dealer"} in together
            assert queries == (apart <= 2)
            assert weights == (apart == 1 or (n == 3))


def test_with_two_helpers_no_two_owners_share_a_triple():
    for triple in triples_of(["owner0", "owner1", "owner2"], ["first", "second"]):
        assert {triple.role_of(name) for name in ("first", "second")} == {"evaluator", "dealer"}
        assert len({triple.role_of(f"owner{k}") for k in range(3)} - {None}) == 1
