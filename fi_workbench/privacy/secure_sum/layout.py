"""A summand as one vector of the ring of integers modulo 2^64: fixed point, with room for every party and for noise.

Each component is offset by its lower bound and scaled by a power of two, as fine as fits: the sum over all parties,
with ten thousand standard deviations of noise on either side, stays within a signed 64-bit word: it cannot wrap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import DoesNotFit, InvalidAnswer
from fi_workbench.core.summand import Component, Summand

_ROOM_BITS = 62
"""Values of all parties fill at most 2^62 of the 2^63 that a signed word has on either side."""

_FINEST_BITS = 40
"""Finer than 2^-40 of the range (of 1, where that is less) no answer is; sums of such units are exact as floats."""

_NOISE_BITS = 48
"""A standard deviation of the noise is at most 2^48 ring units, which a sampler of integers can draw, and of which more
than ten thousand fit beside the values."""

_COARSEST_BITS = 20
"""A ring unit is at most 2^-20 of the range of a component."""

Ring = NDArray[np.uint64]
"""Integers modulo 2^64, (word,)."""


@dataclass(frozen=True)
class Entry:
    """Where one component stands in the vector.

    Parameters
    ----------
    name : str
    where : slice
        Of the vector.
    component : Component
    shape : tuple of int
        Of the component's array.
    scale : float
        Ring units per 1.0; a power of two.
    """

    name: str
    where: slice
    component: Component
    shape: tuple[int, ...]
    scale: float


@dataclass(frozen=True)
class Layout:
    """How arrays become one vector of the ring, and a sum of such vectors arrays again; made by :meth:`of`.

    Parameters
    ----------
    entries : tuple of Entry
    n_queries, n_classes, n_parties : int
        ``n_parties`` is the most whose vectors are summed.
    """

    entries: tuple[Entry, ...]
    n_queries: int
    n_classes: int
    n_parties: int

    @property
    def size(self) -> int:
        """Words of the vector."""
        return self.entries[-1].where.stop if self.entries else 0

    @classmethod
    def of(
        cls,
        components: Mapping[str, Component],
        n_queries: int,
        n_classes: int,
        n_parties: int,
        noise_stddev: Mapping[str, float] | None = None,
    ) -> Layout:
        """The layout for these components; the same wherever it is made.

        Parameters
        ----------
        components : mapping of str to Component
        n_queries, n_classes : int
        n_parties : int
            Of the cohort.
        noise_stddev : mapping of str to float, optional
            Standard deviation of the noise on an entry of the sum over all parties, in units of the component.

        Raises
        ------
        DoesNotFit
            A component whose bounds and noise leave fewer than 20 bits for its range.
        """
        noise = tuple((noise_stddev or {}).get(name, 0.0) for name in components)
        return _layout(tuple(components.items()), n_queries, n_classes, n_parties, noise)

    def encode(self, summand: Summand) -> Ring:
        """One party's arrays, held against their declared bounds, as a vector of the ring.

        Raises
        ------
        InvalidAnswer
            A component that is missing, unknown, of another shape or outside its bounds; it is named.
        """
        if set(summand) != {entry.name for entry in self.entries}:
            raise InvalidAnswer(f"The summand holds {sorted(summand)}; the round is about {self.names}.")
        vector = np.empty(self.size, dtype=np.int64)
        for entry in self.entries:
            value, bounds = summand[entry.name], entry.component
            array = bounds.check(value, self.n_queries, self.n_classes, f"Component {entry.name!r}")
            inside = np.clip(array.ravel(), bounds.lower, bounds.upper)  # the check lets float32 round
            vector[entry.where] = np.rint((inside - bounds.lower) * entry.scale).astype(np.int64)
        return vector.view(np.uint64)

    def decode(self, total: Ring, n_present: int) -> dict[str, NDArray[np.float64]]:
        """The sum over ``n_present`` parties, by component, from the sum of their vectors (word,)."""
        signed = total.view(np.int64)
        return {
            entry.name: (signed[entry.where] / entry.scale + n_present * entry.component.lower).reshape(entry.shape)
            for entry in self.entries
        }

    @property
    def names(self) -> list[str]:
        """Of the components, in order."""
        return [entry.name for entry in self.entries]


@lru_cache(maxsize=64)  # all parties of one process have the same
def _layout(
    components: tuple[tuple[str, Component], ...],
    n_queries: int,
    n_classes: int,
    n_parties: int,
    noise: tuple[float, ...],
) -> Layout:
    entries, start = list[Entry](), 0
    for (name, component), stddev in zip(components, noise, strict=True):
        shape = component.shape(n_queries, n_classes)
        stop = start + math.prod(shape)
        scale = _scale(name, component, n_parties, stddev)
        entries.append(Entry(name, slice(start, stop), component, shape, scale))
        start = stop
    return Layout(tuple(entries), n_queries, n_classes, n_parties)


def _scale(name: str, component: Component, n_parties: int, stddev: float) -> float:
    reach = component.upper - component.lower
    room = n_parties * reach
    if not (math.isfinite(room) and room >= 0 and math.isfinite(stddev) and stddev >= 0):
        raise DoesNotFit(f"Component {name!r} has bounds or noise without an end: no sum of it fits a word.")
    bits = float(_FINEST_BITS - min(0.0, math.floor(math.log2(reach)))) if reach else float(_FINEST_BITS)
    if room:
        # one step of rounding up for each party is below the bit that is left free
        bits = min(bits, _ROOM_BITS - math.ceil(math.log2(room)))
    if stddev:
        bits = min(bits, _NOISE_BITS - math.ceil(math.log2(stddev)))
    if reach and bits + math.log2(reach) < _COARSEST_BITS:
        raise DoesNotFit(
            f"Component {name!r} from {component.lower:g} to {component.upper:g}, with noise of standard deviation "
            f"{stddev:g}, leaves {bits + math.log2(reach):.0f} bits for a value; {_COARSEST_BITS} are needed. "
            "Choose less noise."
        )
    return math.ldexp(1.0, int(bits))


def check_vector(value: Any, size: int) -> Ring | None:
    """``value`` as words of the ring if it is an array of ``size`` of them as sent; else None."""
    right = isinstance(value, np.ndarray) and value.dtype == np.dtype("<u8") and value.shape == (size,)
    return value if right else None
