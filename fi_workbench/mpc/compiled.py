"""One compiled model: its public plan, and what of it only its owner ever holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fi_workbench.mpc.plan import Plan


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The numbers of one linear step, in the ring of integers modulo 2^64.

    Parameters
    ----------
    step : int
        Its place in the plan.
    weight : ndarray of uint64
        16 fractional bits; (n_out, n_in) of a :class:`~fi_workbench.mpc.plan.Dense`, ``weight_shape`` of a
        :class:`~fi_workbench.mpc.plan.Conv`.
    bias : ndarray of uint64
        32 fractional bits, (n_out,): for each output, or for each output channel.
    """

    step: int
    weight: NDArray[np.uint64]
    bias: NDArray[np.uint64]


@dataclass(frozen=True)
class LayerBound:
    """How large the value of one step gets, and how large it may; private to the owner.

    Parameters
    ----------
    step : int
        Its place in the plan.
    path : str
        Where it is in the model.
    bound : float
        No entry of the value is larger, either side of zero: as ``how`` knows it.
    limit : float
        No entry may be larger.
    how : {"proved", "calibrated"}
        For every query within the plan's bound, or on the owner's sample, with a margin.
    """

    step: int
    path: str
    bound: float
    limit: float
    how: Literal["proved", "calibrated"]


@dataclass(frozen=True, eq=False)
class Compiled:
    """A plan, the weights that go with it, and what is known of the values in between.

    Parameters
    ----------
    plan : Plan
        Public.
    weights : tuple of LayerWeights
        One for each Dense and Conv of the plan, in its order; private to the owner.
    bounds : tuple of LayerBound
        One for each step that has a limit; private to the owner.
    """

    plan: Plan
    weights: tuple[LayerWeights, ...]
    bounds: tuple[LayerBound, ...]
