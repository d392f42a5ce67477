"""Who shares masks with whom: a regular graph that all derive alike, of a degree that grows like the logarithm of n.

Source: J. H. Bell, K. A. Bonawitz, A. Gascon, T. Lepoint, M. Raykova, Secure single-server aggregation with
(poly)logarithmic overhead, CCS 2020, section 3. The parties stand on a circle, in an order drawn from the round's
digest; each is a neighbour of the k/2 before it and the k/2 behind it. With few parties everybody is everybody's.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.digest import canonical
from fi_workbench.core.keystream import Keystream

PRIVACY_BITS, RECOVERY_BITS = 40, 20
"""The graph is as dense as keeps some party open to colluders with probability below 2^-40, or one that dropped out not
recoverable with probability below 2^-20. The first cannot be undone; the second costs a round."""

FEWEST_NEIGHBOURS = 12
"""Cohorts of up to 13 are a complete graph: a share of so few is no promise about how many collude."""

DROPPING = 0.15
"""Share of the tolerated dropouts that the degree is made for: with a third of the holders tolerated, one party in
twenty drops out of a round. More may, as long as each secret keeps enough holders."""


@dataclass(frozen=True)
class Graph:
    """The neighbours of each of n parties, by their place in the cohort; made by :func:`graph_of`.

    Parameters
    ----------
    order : tuple of int
        The party at each place of the circle.
    steps : tuple of int
        How far along the circle a party's neighbours stand from it, in a fixed order.
    """

    order: tuple[int, ...]
    steps: tuple[int, ...]

    @property
    def n_parties(self) -> int:
        """How many there are."""
        return len(self.order)

    @property
    def degree(self) -> int:
        """Neighbours of each party."""
        return len(self.steps)

    @property
    def n_holders(self) -> int:
        """Who holds shares of a party's secrets: its neighbours and itself."""
        return self.degree + 1

    @cached_property
    def place(self) -> tuple[int, ...]:
        """Where each party stands on the circle."""
        return tuple(int(place) for place in np.argsort(self.order))

    @cached_property
    def _share_of_step(self) -> dict[int, int]:
        return {step % self.n_parties: number + 2 for number, step in enumerate(self.steps)} | {0: 1}

    def neighbours(self, party: int) -> tuple[int, ...]:
        """Parties that share masks with this one; if it is theirs, they are its."""
        return tuple(self.order[(self.place[party] + step) % self.n_parties] for step in self.steps)

    def share_number(self, owner: int, holder: int) -> int:
        """Which share of ``owner``'s secrets ``holder`` keeps: from 1, its own.

        Raises
        ------
        KeyError
            They are no neighbours.
        """
        return self._share_of_step[(self.place[holder] - self.place[owner]) % self.n_parties]

    def in_one_piece(self, included: NDArray[np.bool_]) -> bool:
        """Whether these parties, (party,), hang together: else the sum would fall apart into sums of fewer."""
        standing = np.flatnonzero(included[list(self.order)])
        if len(standing) < 2 or self.degree == self.n_parties - 1:
            return True
        gaps = np.diff(standing, append=standing[0] + self.n_parties)
        return int((gaps > self.degree // 2).sum()) <= 1


@lru_cache(maxsize=32)  # all parties of one process derive the same
def graph_of(round_digest: str, n_parties: int, degree: int) -> Graph:
    """The graph of a round.

    Parameters
    ----------
    round_digest : str
        Of the client's signed header: nobody chooses the graph but by asking another question.
    n_parties : int
    degree : int
        As :func:`degree_of` gave it.
    """
    key = hashlib.sha256(canonical(["fi-workbench secure sum", round_digest, "graph"])).digest()
    order = tuple(int(party) for party in np.argsort(Keystream(key).words(n_parties), kind="stable"))
    if degree >= n_parties - 1:
        return Graph(order, tuple(range(1, n_parties)))
    half = degree // 2
    return Graph(order, tuple(step for far in range(1, half + 1) for step in (far, -far)))


def threshold_of(n_holders: int, tolerated_dropouts: float) -> int:
    """Shares that open a secret: more than half, so that no secret's two sides can both be opened by honest holders.

    A holder opens one of a party's two secrets. A coordinator that tells holders different stories needs ``t`` of them
    for each secret, 2 t in all: with ``n_holders`` of them, it has both only if ``2 t - n_holders`` or more collude.
    """
    return n_holders - int(tolerated_dropouts * n_holders + 1e-9)


@lru_cache(maxsize=256)
def degree_of(n_parties: int, neighbours: int, tolerated_dropouts: float, colluding: float) -> int:
    """How many neighbours each party has, even or all; the fewest with which what is promised holds.

    Parameters
    ----------
    n_parties : int
    neighbours : int
        As many at least.
    tolerated_dropouts : float
        Share of the holders of a secret.
    colluding : float
        Share of the parties that may collude with the coordinator.
    """
    n_colluding, n_dropping = math.ceil(colluding * n_parties), math.ceil(DROPPING * tolerated_dropouts * n_parties)
    fewest = max(FEWEST_NEIGHBOURS, neighbours + neighbours % 2)
    for degree in range(fewest, n_parties - 1, 2):
        if _holds(n_parties, degree, threshold_of(degree + 1, tolerated_dropouts), n_colluding, n_dropping):
            return degree
    return n_parties - 1


def _holds(n_parties: int, degree: int, threshold: int, n_colluding: int, n_dropping: int) -> bool:
    """Union bounds over all parties, and over all pairs of places where the circle might be cut."""
    opened = n_parties * at_least(threshold, n_parties - 1, n_colluding, degree)
    lost = n_parties * at_least(degree + 2 - threshold, n_parties - 1, n_dropping, degree)
    gone = min(n_colluding + n_dropping, n_parties)
    cut = math.comb(n_parties, 2) * at_least(degree, n_parties, gone, degree)
    return opened + cut <= 2.0**-PRIVACY_BITS and lost <= 2.0**-RECOVERY_BITS


def at_least(least: int, n_all: int, n_marked: int, n_drawn: int) -> float:
    """P(at least ``least`` marked ones) among ``n_drawn`` drawn from ``n_all`` of which ``n_marked`` are marked."""
    ways = sum(
        math.comb(n_marked, marked) * math.comb(n_all - n_marked, n_drawn - marked)
        for marked in range(max(least, 0), min(n_marked, n_drawn) + 1)
        if n_drawn - marked <= n_all - n_marked
    )
    return ways / math.comb(n_all, n_drawn)
