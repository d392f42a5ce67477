"""Blinded compare lanes: is c < r, where owner and evaluator know c and the dealer knows r, 30 bits each.

Both are written in 15 digits of two bits, the highest first. Ahead of time the dealer shares out, modulo 127, a
thermometer of each digit of r: [r_i >= v] for v = 1, 2, 3. With c at hand, owner and evaluator compute shares of

    e_i + (how many of the digits before i differ),    e_i = 0 where r_i > c_i (coin 0) or r_i < c_i (coin 1), else 1,

and a last lane that is zero where all digits are equal and the coin is 1. At most one lane is zero: one is exactly
where c < r (coin 0), or where c >= r (coin 1). Each lane is multiplied by a secret number that is not zero, a share of
zero is added, and the lanes change places; so the dealer, who adds the two shares up, sees a uniform place of the zero,
uniform non-zero residues elsewhere, and the outcome behind the coin. The comparison is that of Wagh, Gupta and Chandran
(SecureNN, 2019), here in base 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fi_workbench.mpc.streams import MODULUS, Draws

Bytes = NDArray[np.uint8]

N_BITS = 30
N_DIGITS = 15
N_LANES = 16
N_THERMOMETER = 3 * N_DIGITS

_CHUNK = 8192
"""So many comparisons at a time stay in the processor's cache."""

_P = np.uint8(MODULUS)
_P16 = np.uint16(MODULUS)
_ONE = np.uint8(1)
_OCTETS = np.array([24, 16, 8, 0], np.uint32)[:, None]
_SHIFTS = np.array([6, 4, 2, 0], np.uint8)[:, None]
_VALUES = np.array([1, 2, 3], np.uint8)[None, :, None]


@dataclass(frozen=True, eq=False)
class Blinding:
    """What owner and evaluator draw for their lanes, and the dealer must not know.

    Parameters
    ----------
    multipliers : ndarray of uint8
        (lane, comparison), 1 ... 126.
    zeros : ndarray of uint8
        (lane, comparison): what the owner adds to its shares and the evaluator subtracts.
    places : ndarray of uint8
        (comparison,): lane i goes to place i xor this, 0 ... 15.
    coins : ndarray of uint8
        (comparison,): 1 turns the outcome round.
    """

    multipliers: Bytes
    zeros: Bytes
    places: Bytes
    coins: Bytes

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return self.multipliers.nbytes + self.zeros.nbytes + self.places.nbytes + self.coins.nbytes


def draw_blinding(draws: Draws, n: int) -> Blinding:
    """Blinding for n comparisons; the same at owner and evaluator."""
    return Blinding(
        multipliers=draws.mod127(N_LANES * n, nonzero=True).reshape(N_LANES, n),
        zeros=draws.mod127(N_LANES * n).reshape(N_LANES, n),
        places=draws.small(n, 4),
        coins=draws.bits(n),
    )


def draw_reference_share(draws: Draws, n: int) -> Bytes:
    """The owner's share of the dealer's thermometers, (thermometer, comparison); the same at both."""
    return draws.mod127(N_THERMOMETER * n).reshape(N_THERMOMETER, n)


def share_reference(reference: NDArray[np.uint32], share: Bytes) -> Bytes:
    """The evaluator's share of the thermometers of the dealer's numbers.

    Parameters
    ----------
    reference : ndarray of uint32
        (comparison,); of each only the low 30 bits.
    share : ndarray of uint8
        (thermometer, comparison): the owner's.

    Returns
    -------
    ndarray of uint8
        (thermometer, comparison), 0 ... 126.
    """
    n = len(reference)
    out = np.empty((N_THERMOMETER, n), np.uint8)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        digits = _digits(reference[part])
        clear = (digits[:, None, :] >= _VALUES).view(np.uint8).reshape(N_THERMOMETER, -1)
        lifted = clear + (_P - share[:, part])  # 1 ... 128
        lifted -= (lifted >= _P).view(np.uint8) * _P
        out[:, part] = lifted
    return out


def lane_shares(opened: NDArray[np.uint32], thermometer: Bytes, blinding: Blinding, is_owner: bool) -> Bytes:
    """One of the two messages to the dealer.

    Parameters
    ----------
    opened : ndarray of uint32
        (comparison,): c; of each only the low 30 bits.
    thermometer : ndarray of uint8
        (thermometer, comparison): this party's share of the dealer's.
    blinding : Blinding
        The same at both.
    is_owner : bool
        Whose share it is: the owner adds what is public.

    Returns
    -------
    ndarray of uint8
        (lane, comparison), 0 ... 126.
    """
    n = len(opened)
    out = np.empty((N_LANES, n), np.uint8)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        piece = Blinding(
            blinding.multipliers[:, part], blinding.zeros[:, part], blinding.places[part], blinding.coins[part]
        )
        lanes = _blinded(_lanes(opened[part], thermometer[:, part], piece.coins, is_owner), piece, is_owner)
        out[:, part] = _moved(lanes, piece.places)
    return out


def outcome(owner_lanes: Bytes, evaluator_lanes: Bytes) -> NDArray[np.bool_]:
    """What the dealer learns, (comparison,): whether a lane is zero, that is c < r behind the coin."""
    n = owner_lanes.shape[1]
    out = np.empty(n, np.bool_)
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        total = owner_lanes[:, part] + evaluator_lanes[:, part]
        out[part] = np.logical_or.reduce((total == 0) | (total == _P), axis=0)
    return out


def _digits(numbers: NDArray[np.uint32]) -> Bytes:
    """(digit, comparison): the low 30 bits in base 4, the highest digit first."""
    octets = (numbers >> _OCTETS).astype(np.uint8)
    return ((octets[:, None, :] >> _SHIFTS) & np.uint8(3)).reshape(N_LANES, -1)[1:]


def _lanes(opened: NDArray[np.uint32], thermometer: Bytes, coins: Bytes, is_owner: bool) -> NDArray[np.uint16]:
    """Shares of the lanes before they are blinded, (lane, comparison), not reduced modulo 127."""
    n = len(opened)
    digits = _digits(opened)
    reached = thermometer.reshape(N_DIGITS, 3, n)
    one, two, three = (np.negative((digits == value).view(np.uint8)) for value in (1, 2, 3))  # 255 where it is
    none = ~(one | two | three)
    # shares of [r_i >= c_i] and of [r_i > c_i]: the thermometer read off at c_i and at c_i + 1
    at_least = (one & reached[:, 0]) | (two & reached[:, 1]) | (three & reached[:, 2])
    above = (none & reached[:, 0]) | (one & reached[:, 1]) | (two & reached[:, 2])
    public = _ONE if is_owner else np.uint8(0)
    if is_owner:
        at_least |= none & _ONE  # every digit is at least 0
    # minus x is x xor 127, for seven bits; no sum below passes 16 bits
    differ = (at_least ^ _P) + above + public
    turned = np.negative(coins)
    unlike = (turned & at_least) | (~turned & ((above ^ _P) + public))
    lanes = np.empty((N_LANES, n), np.uint16)
    lanes[0] = 0
    lanes[1:] = differ
    for lane in range(2, N_LANES):  # how many digits before it differ; numpy's cumsum is far slower along this axis
        lanes[lane] += lanes[lane - 1]
    lanes[:N_DIGITS] += unlike
    lanes[N_DIGITS] = np.where(coins == 1, lanes[N_DIGITS], np.uint16(public))
    return lanes


def _blinded(lanes: NDArray[np.uint16], blinding: Blinding, is_owner: bool) -> Bytes:
    """Multiplied, with the share of zero added, modulo 127; overwrites the lanes."""
    _reduce(lanes)
    lanes *= blinding.multipliers
    lanes += blinding.zeros if is_owner else _P - blinding.zeros
    _reduce(lanes)
    return lanes.astype(np.uint8)


def _reduce(lanes: NDArray[np.uint16]) -> None:
    """Modulo 127, in place; numpy divides by a constant with vector instructions, and takes remainders without."""
    whole = lanes // _P16
    whole *= _P16
    lanes -= whole


def _moved(lanes: Bytes, places: Bytes) -> Bytes:
    """Lane i at place i xor ``places``, one bit of the place at a time; in place."""
    n = lanes.shape[1]
    for bit in range(4):
        swap = np.negative((places >> np.uint8(bit)) & _ONE)
        pairs = lanes.reshape(N_LANES >> (bit + 1), 2, 1 << bit, n)
        crossed = (pairs[:, 0] ^ pairs[:, 1]) & swap
        pairs[:, 0] ^= crossed
        pairs[:, 1] ^= crossed
    return lanes
