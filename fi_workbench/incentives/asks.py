"""What a contribution method may ask for beside the round itself: parts of the parties, or the parties' own word.

A mechanism that shows sums shows those of any cohort; and a party can tell by itself how often the released label was
its own. What a method wants, and what it gives away, is stated here; asking is the session's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fi_workbench.core.arrays import Scores


@dataclass(frozen=True, eq=False)
class CohortAnswer:
    """What a part of the parties answered together to the questions of a round.

    Parameters
    ----------
    members : tuple of int
        Positions of those whose part is in it, in the party axis of the view that it belongs to.
    scores : array (query, class)
    n_asked : int
        How many were asked.
    """

    members: tuple[int, ...]
    scores: Scores
    n_asked: int


@dataclass(frozen=True)
class Asks:
    """What a method wants to be asked beside the round itself.

    Parameters
    ----------
    discloses : callable
        ``(*, options) -> str``: what that gives away beyond the round's own, in words.
    cohorts : callable, optional
        ``(n_parties, n_rounds, seed, smallest, *, options) -> tuple of tuple of int``: positions, among ``n_parties``
        that answered, of the members of each cohort that is to answer the same questions again. ``n_rounds`` are those
        that the stream had before; equal seeds give equal cohorts, and none is smaller than ``smallest``. Empty where
        none is to be asked.
    agreement : bool
        Whether the parties are told the released labels, and asked how often they had given them.
    """

    discloses: Callable[..., str]
    cohorts: Callable[..., tuple[tuple[int, ...], ...]] | None = None
    agreement: bool = False
