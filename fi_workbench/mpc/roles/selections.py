"""What evaluator and dealer draw together for one comparison or truncation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fi_workbench.mpc.compare.selecting import Shares
from fi_workbench.mpc.streams import Draws

Words = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class DealtMask:
    """The evaluator's part of r, and its shares of what the dealer knows; the owner gets the rest from the dealer.

    Parameters
    ----------
    mine : ndarray of uint64
        (entry,): the evaluator's part of r.
    mask : Shares
        Of r >> 16 and of the top bit of r; without truncation r's part itself.
    chosen : ndarray of uint64
        (entry,): a share of d.
    chosen_mask : Shares
        Of d (r >> 16) and d top(r), or of d r.
    """

    mine: Words
    mask: Shares
    chosen: Words
    chosen_mask: Shares


def deal_mask(draws: Draws, n: int, truncates: bool) -> DealtMask:
    """The same at both; of a truncation without a choice only the first two are used."""
    mine = draws.words(n)
    if not truncates:
        return DealtMask(mine, Shares(mine), draws.words(n), Shares(draws.words(n)))
    mask = Shares(draws.words(n), draws.words(n))
    return DealtMask(mine, mask, draws.words(n), Shares(draws.words(n), draws.words(n)))
