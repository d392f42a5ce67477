"""What one role can make of all that it ever holds: to recover a query, a weight, a sign, a label, or tell two apart.

Every attack is first made against the protocol with one mistake planted, where it must succeed; then against the
protocol as it is, where it must come to no more than chance.
"""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from fi_workbench.mpc import ring
from fi_workbench.mpc.compare import lanes
from fi_workbench.mpc.plan import Dense, Plan, Step
from fi_workbench.mpc.streams import Lot, MaskSource
from tests.mpc.attacks import attacking
from tests.mpc.attacks.recording import (
    PLAN,
    SHAPE,
    Recording,
    chosen_queries,
    random_queries,
    record,
    secrets_of,
    trio_of,
    weights_of,
)
from tests.mpc.roles.trio import ROLES, Trio, encoded

N_QUERIES = 800
WEIGHTS = weights_of(5)
KINDS = {"random": random_queries, "chosen": chosen_queries}

role = pytest.mark.parametrize("role", ROLES)


class Nothing:
    """A mask that is left out."""

    def at(self, *place):
        return self

    def words(self, n):
        return np.zeros(n, np.uint64)

    def close_lot(self, lot):
        pass


@cache
def recorded(kind: str) -> Recording:
    return record(trio_of(WEIGHTS), KINDS[kind](N_QUERIES))


@cache
def same(value: float, seed: int) -> Recording:
    """One query, again and again."""
    return record(trio_of(WEIGHTS, seed), np.full((N_QUERIES // 2, *SHAPE), value))


def secrets(recording: Recording) -> np.ndarray:
    return np.concatenate(list(secrets_of(recording.queries, WEIGHTS).values()), axis=1)


def planted(monkeypatch, **left_out):
    """Lanes are blinded with less."""
    right = lanes.draw_blinding

    def draw(draws, n):
        whole = right(draws, n)
        return dataclasses.replace(
            whole, **{name: np.full_like(getattr(whole, name), value) for name, value in left_out.items()}
        )

    monkeypatch.setattr(lanes, "draw_blinding", draw)


# ------------------------------------------------------------------------ queries, signs and labels


@role
@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_of_a_view_says_anything_of_a_query_a_sign_or_a_label(role, kind):
    recording = recorded(kind)
    for features in (recording.numbers(role), recording.sums(role, 60)):
        found, bound = attacking.strongest_correlation(features, secrets(recording))
        assert found < bound


@role
@pytest.mark.parametrize("kind", KINDS)
def test_least_squares_foretell_nothing(role, kind):
    recording = recorded(kind)
    found, bound = attacking.foretold(recording.numbers(role), secrets(recording))
    assert found < bound


def test_both_find_a_query_without_its_mask(monkeypatch):
    trio = trio_of(WEIGHTS)
    trio.client = trio.evaluator._queries = trio.dealer._queries = Nothing()
    recording = record(trio, random_queries(N_QUERIES))
    features = recording.numbers("owner")
    for attack in (attacking.strongest_correlation, attacking.foretold):
        found, bound = attack(features, secrets(recording))
        assert found > 1.3 * bound


def test_both_find_signs_where_the_masks_of_a_comparison_are_left_out(monkeypatch):
    right = MaskSource.of
    monkeypatch.setattr(
        MaskSource, "of", lambda root, purpose: Nothing() if purpose == "masks" else right(root, purpose)
    )
    recording = record(trio_of(WEIGHTS), random_queries(N_QUERIES))
    for attack in (attacking.strongest_correlation, attacking.foretold):
        found, bound = attack(recording.numbers("evaluator"), secrets(recording))
        assert found > 1.3 * bound


def test_both_find_signs_where_the_dealers_coin_is_not_blinded(monkeypatch):
    planted(monkeypatch, coins=0)
    recording = record(trio_of(WEIGHTS), random_queries(N_QUERIES))
    for attack in (attacking.strongest_correlation, attacking.foretold):
        found, bound = attack(recording.numbers("dealer"), secrets(recording))
        assert found > 1.3 * bound


# ------------------------------------------------------------------------ two things told apart


@role
def test_two_queries_cannot_be_told_apart(role):
    found, bound = attacking.told_apart(same(0.0, 2).numbers(role), same(8.0, 3).numbers(role))
    assert found < bound


@pytest.mark.parametrize("role", ["evaluator", "dealer"])
def test_two_models_cannot_be_told_apart(role):
    other = record(trio_of(weights_of(6, 3.0), 4), np.zeros((N_QUERIES // 2, *SHAPE)))
    found, bound = attacking.told_apart(same(0.0, 2).numbers(role), other.numbers(role))
    assert found < bound


@pytest.mark.parametrize("left_out", [{"coins": 0}, {"places": 0}, {"multipliers": 1}], ids=lambda one: next(iter(one)))
def test_queries_are_told_apart_where_lanes_are_blinded_with_less(monkeypatch, left_out):
    planted(monkeypatch, **left_out)
    views = [
        record(trio_of(WEIGHTS, seed), np.full((N_QUERIES // 2, *SHAPE), value)).numbers("dealer")
        for value, seed in ((0.0, 2), (8.0, 3))
    ]
    assert attacking.told_apart(*views)[0] > 0.35


def matching_lanes(trio: Trio, lot: Lot, step: int) -> np.ndarray:
    """How many lanes of a first comparison a dealer can explain by y = 0, for the best coin and shuffle, (comparison,).

    It knows both shares of the thermometers; without shares of zero, the ratio of the two lanes that it gets does not
    depend on their multiplier, and says which digit c has.
    """
    seen = {(one.role, one.name, one.peer): one.array for one in trio.seen
            if (one.step, one.place.call, one.lot) == (step, 0, lot)}  # fmt: skip
    n = seen["dealer", "lanes", "ann"].size // lanes.N_LANES
    high = (trio.dealt(lot, step, n) >> np.uint64(16)).astype(np.uint32)
    theirs = seen["evaluator", "thermometer", "dan"].reshape(-1, n)
    clear = lanes.share_reference(high, np.zeros_like(theirs))
    owners = ((clear + 127 - theirs) % 127).astype(np.uint8)
    got = [seen["dealer", "lanes", name].reshape(-1, n).astype(np.int64) for name in ("ann", "eve")]
    best = np.zeros(n, int)
    for coin in (0, 1):
        plain = lanes.Blinding(
            np.ones((lanes.N_LANES, n), np.uint8), np.zeros((lanes.N_LANES, n), np.uint8),
            np.zeros(n, np.uint8), np.full(n, coin, np.uint8),
        )  # fmt: skip
        guessed = [
            lanes.lane_shares(high ^ np.uint32(1 << 30), shares, plain, is_owner).astype(np.int64)
            for shares, is_owner in ((owners, True), (theirs, False))
        ]
        for place in range(lanes.N_LANES):
            moved = [lane[np.arange(lanes.N_LANES) ^ place] for lane in guessed]
            fits = (got[0] * moved[1] - got[1] * moved[0]) % 127 == 0
            best = np.maximum(best, fits.sum(axis=0))
    return best


@pytest.mark.parametrize("left_out", [{}, {"zeros": 0}], ids=["as it is", "without shares of zero"])
def test_lanes_tell_the_size_of_what_is_compared_only_without_their_shares_of_zero(monkeypatch, left_out):
    planted(monkeypatch, **left_out)
    counts = []
    for size, seed in ((2.0**-12, 2), (1.0, 3)):
        trio = trio_of(WEIGHTS, seed)
        lot, materials = trio.offline(100)
        trio.online(ring.encode(size * random_queries(100)), lot, materials)
        counts.append(matching_lanes(trio, lot, step=1).mean())
    apart = counts[0] - counts[1]
    assert apart > 3 if left_out else abs(apart) < 0.3


# ------------------------------------------------------------------------ equal queries, and weights


@role
def test_equal_queries_repeat_nothing(role):
    for name, array in same(0.0, 2).held[role].items():
        if array.dtype in (np.uint64, np.uint32) and "top" not in name:
            assert attacking.repeated(array) == 0, name


def test_a_lot_used_again_repeats_itself_and_tells_the_difference_of_two_queries(monkeypatch):
    right = MaskSource.at

    def again(source, lot, *place):
        source._drawn.clear()
        return right(source, Lot(lot.n_queries, 0), *place)

    monkeypatch.setattr(MaskSource, "at", again)
    monkeypatch.setattr(MaskSource, "close_lot", lambda self, lot: None)
    queries = random_queries(64)
    recording = record(trio_of(WEIGHTS), np.concatenate([queries, queries + 0.5]), lot_size=64)
    masked = next(array for name, array in recording.held["owner"].items() if "masked query" in name)
    assert (ring.decode((masked[64:] - masked[:64]).copy(), 16) == 0.5).all()


WIDE = Plan((64,), (Step(Dense(64, 64), (0,), (64,), "shared"),), 8.0)


def masked_weights(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(weight, bit) of M, as the evaluator gets it, and of W; either sign."""
    weight = np.random.default_rng(seed).normal(size=(64, 64))
    trio = Trio(WIDE, [encoded(0, weight, np.zeros(64))], [bytes([seed, key]) * 16 for key in range(4)])
    (seen,) = (one for one in trio.seen if one.name == "masked weight" and one.act == "receives")
    parts = (seen.array.astype(np.uint64).reshape(-1, 1), ring.encode(weight).reshape(-1, 1))
    return tuple(np.unpackbits(part.view(np.uint8), axis=1).astype(np.float32) * 2 - 1 for part in parts)


def test_masked_weights_say_nothing_of_weights(monkeypatch):
    found, bound = attacking.strongest_correlation(*masked_weights())
    assert found < bound
    right = MaskSource.of
    monkeypatch.setattr(
        MaskSource, "of", lambda root, purpose: Nothing() if purpose == "weights" else right(root, purpose)
    )
    found, bound = attacking.strongest_correlation(*masked_weights())
    assert found > 5 * bound


def test_the_plan_has_every_operation_that_sends_something():
    kinds = {type(step.operation).__name__ for step in PLAN.steps}
    assert {"Conv", "Dense", "Maximum", "Relu", "Truncate"} <= kinds
