"""ReLU, truncation and maximum of shared numbers, as arithmetic on what each role holds.

y = y_o + y_e is shared between owner and evaluator, |y| < 2^46 in units of 2^-32; r is uniform and known to the dealer
only. c = y + 2^46 + r modulo 2^48 is opened to owner and evaluator, so that with w = 1 where c wrapped around

    (c >> 16) - (r >> 16) + 2^32 w - 2^30  =  floor(y / 2^16) + carry  =:  t,    carry = [low16(y) + low16(r) >= 2^16],

and as 0 <= y + 2^46 < 2^47, w is known bit by bit: w = top(r) (1 - top(c)). The sign is exact for t: t >= 0 where bit
46 of c - r is set, which is (bit 46 of c) xor (bit 46 of r) xor [c' < r'], where c' and r' are the bits 16 to 45. The
dealer learns [c' < r'] behind a coin of the other two (:mod:`~fi_workbench.mpc.compare.lanes`) and shares out d = that
xor (bit 46 of r); so "kept" = g xor d = g + (1 - 2 g) d, where g, of bit 46 of c and the coin, is known to owner and
evaluator. As carry is 1 at most, y, with the rounding of its owner, must be at most 2^46 - 2^16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fi_workbench.mpc.compare.lanes import N_BITS
from fi_workbench.mpc.plan import FRACTION_BITS

Words = NDArray[np.uint64]

OFFSET = np.uint64(1 << 46)
"""Added to what is opened, so that it is not negative."""

SHORT_MASK = np.uint64((1 << 48) - 1)

_SHIFT = np.uint64(FRACTION_BITS)
_HIGH_OFFSET = OFFSET >> _SHIFT
_WRAP = np.uint64(32)
_SIGN, _TOP = np.uint32(N_BITS), np.uint32(N_BITS + 1)
_ONE = np.uint64(1)
_TWO = np.uint64(2)


def high_part(words: Words) -> NDArray[np.uint32]:
    """Bits 16 to 47 of each word."""
    return (words >> _SHIFT).astype(np.uint32)


def sign_bit(high: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Bit 46 of a word of which these are the bits from 16 on."""
    return np.asarray((high & np.uint32(1 << N_BITS)) != 0)


def top_bit(high: NDArray[np.uint32]) -> Words:
    """Bit 47 of a word of which these are the bits from 16 on, 0 or 1."""
    return (high >> _TOP).astype(np.uint64)


@dataclass(frozen=True, eq=False)
class MaskShares:
    """One party's shares of r >> 16 and of the top bit of r modulo 2^48; or of both times d.

    Parameters
    ----------
    high, top : ndarray of uint64
        (entry,).
    """

    high: Words
    top: Words


def guess_of(high: NDArray[np.uint32], coins: NDArray[np.uint8]) -> Words:
    """What owner and evaluator know of the sign, 0 or 1: bit 46 of what was opened, turned round by the coin."""
    return (((high >> _SIGN) & np.uint32(1)).astype(np.uint8) ^ coins).astype(np.uint64)


def wraps_of(top: Words) -> Words:
    """2^32 where the top bit of what was opened is 0, else 0."""
    return (_ONE - top) << _WRAP


def truncated_share(high: NDArray[np.uint32] | None, wraps: Words, mask: MaskShares) -> Words:
    """A share of t, before or without the choice.

    Parameters
    ----------
    high : ndarray of uint32 or None
        Bits 16 to 47 of what was opened, at the owner; None at the evaluator, as only one of them adds what is public.
    wraps : ndarray of uint64
        From the top bit of what was opened.
    mask : MaskShares
        Of r >> 16 and the top bit of r.
    """
    share = wraps * mask.top - mask.high
    if high is not None:
        share += high.astype(np.uint64) - _HIGH_OFFSET
    return share


def chosen_share(guess: Words, share: Words, correction: Words) -> Words:
    """A share of (g + (1 - 2 g) d) t, from shares of t and of d t."""
    return guess * share + (_ONE - _TWO * guess) * correction


def truncated_correction(high: NDArray[np.uint32], wraps: Words, chosen: Words, mask: MaskShares) -> Words:
    """A share of d t, from shares of d, d (r >> 16) and d top(r)."""
    return (high.astype(np.uint64) - _HIGH_OFFSET) * chosen - mask.high + wraps * mask.top


def difference_share(opened: Words | None, mask: Words) -> Words:
    """A share of y without truncation, from c (at the owner only) and a share of r."""
    return np.negative(mask) if opened is None else opened - OFFSET - mask


def difference_correction(opened: Words, chosen: Words, mask: Words) -> Words:
    """A share of d y, from shares of d and d r."""
    return (opened - OFFSET) * chosen - mask


def sign_share(guess: Words, chosen: Words, is_owner: bool) -> Words:
    """A share of 1.0 where y is not negative and 0.0 elsewhere, with 32 fractional bits, from a share of d."""
    kept = (_ONE - _TWO * guess) * chosen
    if is_owner:
        kept += guess
    return kept << np.uint64(2 * FRACTION_BITS)
