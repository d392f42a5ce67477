"""What evaluator and dealer draw together for one comparison or truncation; the owner gets the rest from the dealer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fi_workbench.mpc.compare.selecting import MaskShares
from fi_workbench.mpc.streams import Draws

Words = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class DealtMask:
    """The evaluator's part of r, and its shares of r >> 16 and of the top bit of r."""

    mine: Words
    mask: MaskShares


@dataclass(frozen=True, eq=False)
class Choice:
    """The evaluator's shares of d, and of d (r >> 16) and d top(r)."""

    chosen: Words
    mask: MaskShares


@dataclass(frozen=True, eq=False)
class DealtDifference:
    """The evaluator's part of r, and its shares of d and d r."""

    mine: Words
    chosen: Words
    chosen_mask: Words


def deal_mask(draws: Draws, n: int) -> DealtMask:
    """For a truncation, of a ReLU too; the same at both."""
    return DealtMask(draws.words(n), MaskShares(draws.words(n), draws.words(n)))


def deal_choice(draws: Draws, n: int) -> Choice:
    """For a ReLU, from the same place after its mask; the same at both."""
    return Choice(draws.words(n), MaskShares(draws.words(n), draws.words(n)))


def deal_difference(draws: Draws, n: int) -> DealtDifference:
    """For a comparison without truncation; the same at both."""
    return DealtDifference(draws.words(n), draws.words(n), draws.words(n))
