"""The comparison: its outcome is right, and the dealer's view of it is the same whatever is compared.

Each statistic has a mistake planted that it must catch: views that are compared by one statistic alone hide several.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from fi_workbench.mpc.compare import lanes, selecting
from fi_workbench.mpc.streams import MODULUS, Lot, MaskSource

N = 20_000
KEY = bytes(range(7, 39))
FAIR, CAUGHT = 1e-4, 1e-12

VALUES = [0, 1, -1, 2**16, -(2**16), 123_456_789, -(2**40), 2**45, 2**46 - 2**16, -(2**46)]

Change = Callable[[lanes.Blinding], lanes.Blinding]


@dataclass
class View:
    """What the dealer has of N comparisons of the same number, and the number."""

    y: int
    reference: np.ndarray
    owner_reference: np.ndarray
    owner: np.ndarray
    evaluator: np.ndarray
    coins: np.ndarray

    @property
    def lanes(self):
        return (self.owner.astype(int) + self.evaluator) % MODULUS


def view(y: int, change: Change = lambda blinding: blinding, lot: int = 0) -> View:
    source = MaskSource(KEY)
    masks = source.at(Lot(N, lot), 0).words(N)
    opened = selecting.high_part(masks + np.uint64(y % 2**64) + selecting.OFFSET)
    reference = selecting.high_part(masks)
    share = lanes.draw_reference_share(source.at(Lot(N, lot), 1), N)
    blinding = change(lanes.draw_blinding(source.at(Lot(N, lot), 2), N))
    other = lanes.share_reference(reference, share)
    return View(
        y,
        reference,
        share,
        lanes.lane_shares(opened, share, blinding, True),
        lanes.lane_shares(opened, other, blinding, False),
        blinding.coins,
    )


def place_of_the_zero(seen: View) -> float:
    zero = seen.lanes == 0
    found = np.argmax(zero, axis=0)[zero.any(axis=0)]
    return stats.chisquare(np.bincount(found, minlength=lanes.N_LANES)).pvalue


def coin(seen: View) -> float:
    n_below = int((seen.lanes == 0).any(axis=0).sum())
    return stats.binomtest(n_below, N).pvalue


def other_lanes(seen: View) -> float:
    values = seen.lanes[seen.lanes > 0]
    return stats.chisquare(np.bincount(values, minlength=MODULUS)[1:]).pvalue


def pairs_of_lanes(seen: View) -> float:
    """Quotients of neighbours: uniform, where each has a multiplier of its own."""
    inverse = np.array([0] + [pow(value, -1, MODULUS) for value in range(1, MODULUS)])
    left, right = seen.lanes[:-1], seen.lanes[1:]
    both = (left > 0) & (right > 0)
    quotients = left[both] * inverse[right[both]] % MODULUS
    return stats.chisquare(np.bincount(quotients, minlength=MODULUS)[1:]).pvalue


def each_share(seen: View) -> float:
    both = [
        stats.chisquare(np.bincount(share.ravel(), minlength=MODULUS)).pvalue for share in (seen.owner, seen.evaluator)
    ]
    return min(both)


def shares_beside_the_reference(seen: View) -> float:
    """Whether the owner's lanes have a zero where its first lane would be one before it is blinded.

    The dealer knows the owner's share of the thermometers and, if it guesses y, the first digit of c.
    """
    first = seen.owner_reference[:3].astype(int)
    masks = MaskSource(KEY).at(Lot(N, 0), 0).words(N)
    opened = selecting.high_part(masks + np.uint64(seen.y % 2**64) + selecting.OFFSET)
    digit = (opened >> np.uint32(28)) & np.uint32(3)
    above = np.take_along_axis(np.vstack([first, np.zeros((1, N), int)]), digit[None].astype(int), axis=0)[0]
    event = above == 1  # 1 minus it is zero
    has_zero = (seen.owner == 0).any(axis=0)
    table = [[int((has_zero & group).sum()), int((~has_zero & group).sum())] for group in (event, ~event)]
    return stats.chi2_contingency(table).pvalue


STATISTICS = [
    place_of_the_zero,
    coin,
    other_lanes,
    pairs_of_lanes,
    each_share,
    shares_beside_the_reference,
]


class TestOutcome:
    @pytest.mark.parametrize("n", [1, 3, 8192, 9000])
    def test_it_is_that_of_the_numbers(self, n):
        draws = MaskSource(KEY).at(Lot(1, 0), n % 100)
        left, right = draws.words(n).astype(np.uint32), draws.words(n).astype(np.uint32)
        right[: n // 4] = left[: n // 4]
        right[n // 4 : n // 2] = left[n // 4 : n // 2] ^ np.uint32(1)
        share, blinding = lanes.draw_reference_share(draws, n), lanes.draw_blinding(draws, n)
        shares = [
            lanes.lane_shares(left, share, blinding, True),
            lanes.lane_shares(left, lanes.share_reference(right, share), blinding, False),
        ]
        low = np.uint32(2**lanes.N_BITS - 1)
        below = lanes.outcome(*shares) ^ blinding.coins.astype(bool)
        assert np.array_equal(below, (left & low) < (right & low))
        assert max(share.max() for share in shares) < MODULUS
        assert ((shares[0].astype(int) + shares[1]) % MODULUS == 0).sum(axis=0).max() <= 1

    @pytest.mark.parametrize("y", VALUES)
    def test_with_the_coin_and_both_sign_bits_it_is_the_sign(self, y):
        seen = view(y)
        masks = MaskSource(KEY).at(Lot(N, 0), 0).words(N)
        carry = ((y % 2**16) + (masks & np.uint64(0xFFFF)).astype(int)) >= 2**16
        opened = selecting.high_part(masks + np.uint64(y % 2**64) + selecting.OFFSET)
        below = lanes.outcome(seen.owner, seen.evaluator) ^ seen.coins.astype(bool)
        kept = below ^ selecting.sign_bit(opened) ^ selecting.sign_bit(seen.reference)
        assert np.array_equal(kept, (y >> 16) + carry >= 0)


class TestTheDealersView:
    @pytest.mark.parametrize("statistic", STATISTICS)
    @pytest.mark.parametrize("y", [0, -1, 2**45, -(2**40)])
    def test_it_is_uniform_for_a_fixed_number(self, statistic, y):
        assert statistic(view(y)) > FAIR

    def test_two_numbers_look_the_same(self):
        one, other = view(1), view(-(2**45), lot=1)
        counts = [np.bincount(seen.lanes.ravel(), minlength=MODULUS) for seen in (one, other)]
        assert stats.chi2_contingency(counts).pvalue > FAIR
        places = [np.bincount(np.argmax(seen.lanes == 0, axis=0), minlength=lanes.N_LANES) for seen in (one, other)]
        assert stats.chi2_contingency(places).pvalue > FAIR


def _alike(array):
    return np.broadcast_to(array[:1], array.shape)


class TestPlantedMistakes:
    @pytest.mark.parametrize(
        ("statistic", "y", "change"),
        [
            (place_of_the_zero, -1, lambda b: replace(b, places=np.zeros_like(b.places))),
            (other_lanes, 1, lambda b: replace(b, multipliers=np.ones_like(b.multipliers))),
            (pairs_of_lanes, 1, lambda b: replace(b, multipliers=_alike(b.multipliers))),
            (coin, 2**20, lambda b: replace(b, coins=np.zeros_like(b.coins))),
            (shares_beside_the_reference, 1, lambda b: replace(b, zeros=np.zeros_like(b.zeros))),
            (other_lanes, 1, lambda b: replace(b, multipliers=b.multipliers & np.uint8(63) | np.uint8(1))),
            (each_share, 1, lambda b: replace(b, zeros=np.zeros_like(b.zeros))),
        ],
        ids=[
            "no shuffle",
            "unit multipliers",
            "a shared multiplier",
            "no coin",
            "no sharing of zero",
            "skewed multipliers",
            "no sharing of zero, in the shares",
        ],
    )
    def test_it_is_caught(self, statistic, y, change):
        assert statistic(view(y)) > FAIR
        assert statistic(view(y, change)) < CAUGHT
