"""Affine maps of a party's logits: what a rule's summand must be for models that compute on hidden values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Affine:
    """z -> matrix z + offset, for the logits z (class,) of one query.

    Parameters
    ----------
    matrix : array (output, class)
    offset : array (output,)
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def stacked(cls, maps: Mapping[str, Affine]) -> Affine:
        """One map whose outputs are those of all, in their order."""
        parts = list(maps.values())
        return cls(np.concatenate([one.matrix for one in parts]), np.concatenate([one.offset for one in parts]))


@dataclass(frozen=True, eq=False)
class AffineSummand:
    """A summand that is affine in the logits, component by component, while no logit is clipped.

    Parameters
    ----------
    maps : mapping of str to Affine
        By component; constants that every party adds alike are not in it. A component without a class axis has one
        output.
    reach : float
        Logits, centred on their mean over the classes, beyond which the rule clips, either side of zero.
    """

    maps: Mapping[str, Affine]
    reach: float
