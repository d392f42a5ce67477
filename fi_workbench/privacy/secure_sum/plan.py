"""What a round of secure sum agrees on before anything is secret: the layout, the graph, the threshold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fi_workbench.privacy.secure_sum.graph import Graph
from fi_workbench.privacy.secure_sum.layout import Layout


@dataclass(frozen=True)
class Plan:
    """Of one round; the coordinator and each party come to the same by themselves.

    Parameters
    ----------
    names : tuple of str
        The cohort.
    layout : Layout
    graph : Graph
    threshold : int
        Shares that open a secret.
    min_parties : int
        A sum of fewer is never opened.
    """

    names: tuple[str, ...]
    layout: Layout
    graph: Graph
    threshold: int
    min_parties: int

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The place of each party in the cohort."""
        return {name: place for place, name in enumerate(self.names)}

    def neighbours(self, party: str) -> tuple[str, ...]:
        """Who shares masks with a party, and holds shares of its secrets."""
        return tuple(self.names[index] for index in self.graph.neighbours(self.index[party]))

    def share_number(self, owner: str, holder: str) -> int:
        """Which share of ``owner``'s secrets ``holder`` keeps, from 1."""
        return self.graph.share_number(self.index[owner], self.index[holder])

    def packed(self, parties: Iterable[str]) -> bytes:
        """A set of parties, one bit for each of the cohort."""
        chosen = frozenset(parties)
        return np.packbits([name in chosen for name in self.names]).tobytes()

    def unpacked(self, data: bytes) -> NDArray[np.bool_]:
        """Who is in a packed set, (party,).

        Raises
        ------
        ValueError
            It is no set of this cohort.
        """
        if len(data) != (len(self.names) + 7) // 8:
            raise ValueError(f"A set of {len(self.names)} parties has another length than {len(data)} bytes.")
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        if bits[len(self.names) :].any():
            raise ValueError("A set of parties names some beyond the cohort.")
        return np.asarray(bits[: len(self.names)], dtype=bool)
