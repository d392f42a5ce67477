"""What each role needs to answer one lot: made offline, used once online."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.mpc.compare.lanes import Blinding
from fi_workbench.mpc.compare.selecting import MaskShares
from fi_workbench.mpc.roles.dealing import Choice
from fi_workbench.mpc.streams import Lot

Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class OwnerProduct:
    """What the owner adds to W (v - B): its share of A B, and the bias."""

    addend: Words


@dataclass(frozen=True, eq=False)
class OwnerTruncation:
    """For a truncation.

    Parameters
    ----------
    offset : ndarray of uint64
        (entry,): added to the owner's share of y, it opens c.
    mask : MaskShares
        Of r >> 16, and of the top bit of r.
    """

    offset: Words
    mask: MaskShares


@dataclass(frozen=True, eq=False)
class OwnerRelu:
    """For a ReLU: what a truncation needs, and a comparison.

    Parameters
    ----------
    truncation : OwnerTruncation
    thermometer : ndarray of uint8
        (thermometer, entry): the owner's share of the dealer's.
    blinding : Blinding
    """

    truncation: OwnerTruncation
    thermometer: Bytes
    blinding: Blinding


@dataclass(frozen=True, eq=False)
class OwnerDifference:
    """For a comparison without truncation: ``mask`` is the owner's part of r."""

    offset: Words
    mask: Words
    thermometer: Bytes
    blinding: Blinding


@dataclass(frozen=True, eq=False)
class OwnerSign:
    """For a sign: what a comparison needs."""

    offset: Words
    thermometer: Bytes
    blinding: Blinding


@dataclass(frozen=True, eq=False)
class EvaluatorTruncation:
    """For a truncation.

    Parameters
    ----------
    mask : MaskShares
        Of r >> 16, and of the top bit of r.
    next_mask : ndarray of uint64
        (entry,): under which its part of the result goes to the owner.
    """

    mask: MaskShares
    next_mask: Words


@dataclass(frozen=True, eq=False)
class EvaluatorRelu:
    """For a ReLU: what a truncation needs, a comparison, and shares of what the dealer chooses."""

    truncation: EvaluatorTruncation
    thermometer: Bytes
    blinding: Blinding
    choice: Choice


@dataclass(frozen=True, eq=False)
class EvaluatorDifference:
    """For a comparison without truncation: ``mask`` is the evaluator's part of r, ``chosen_mask`` a share of d r."""

    mask: Words
    next_mask: Words
    thermometer: Bytes
    blinding: Blinding
    chosen: Words
    chosen_mask: Words


@dataclass(frozen=True, eq=False)
class EvaluatorSign:
    """For a sign: what a comparison needs, and a share of d."""

    next_mask: Words
    thermometer: Bytes
    blinding: Blinding
    chosen: Words


@dataclass(frozen=True, eq=False)
class DealerRelu:
    """For the comparisons of a ReLU.

    Parameters
    ----------
    sign : ndarray of bool
        (entry,): bit 46 of r.
    clear : MaskShares
        r >> 16 and its top bit, not shared.
    choice : Choice
        The evaluator's shares.
    """

    sign: NDArray[np.bool_]
    clear: MaskShares
    choice: Choice


@dataclass(frozen=True, eq=False)
class DealerDifference:
    """For a comparison without truncation: ``clear`` is r, the last two are the evaluator's shares of d and d r."""

    sign: NDArray[np.bool_]
    clear: Words
    chosen: Words
    chosen_mask: Words


@dataclass(frozen=True, eq=False)
class DealerSign:
    """For a sign."""

    sign: NDArray[np.bool_]
    chosen: Words


class Material:
    """What one role needs to answer one lot."""

    @property
    def n_bytes(self) -> int:
        """Memory that its arrays take."""
        return _n_bytes(self)


OwnerPart: TypeAlias = OwnerProduct | OwnerTruncation | OwnerRelu | OwnerDifference | OwnerSign
EvaluatorPart: TypeAlias = EvaluatorTruncation | EvaluatorRelu | EvaluatorDifference | EvaluatorSign
DealerPart: TypeAlias = DealerRelu | DealerDifference | DealerSign


@dataclass(frozen=True, eq=False)
class OwnerMaterial(Material):
    """All that the owner needs to answer one lot.

    Parameters
    ----------
    lot : Lot
    steps : tuple
        For each step of the plan what it needs, in the order of its use.
    """

    lot: Lot
    steps: tuple[tuple[OwnerPart, ...], ...]


@dataclass(frozen=True, eq=False)
class EvaluatorMaterial(Material):
    """All that the evaluator needs to answer one lot.

    Parameters
    ----------
    lot : Lot
    steps : tuple
        For each step of the plan what it needs, in the order of its use.
    output : ndarray of uint64
        The evaluator's share of the output: (query, n_outputs).
    """

    lot: Lot
    steps: tuple[tuple[EvaluatorPart, ...], ...]
    output: Words


@dataclass(frozen=True, eq=False)
class DealerMaterial(Material):
    """All that the dealer needs to answer one lot.

    Parameters
    ----------
    lot : Lot
    steps : tuple
        For each step of the plan what it needs, in the order of its use.
    """

    lot: Lot
    steps: tuple[tuple[DealerPart, ...], ...]


def _n_bytes(part: object) -> int:
    if isinstance(part, np.ndarray):
        return part.nbytes
    if isinstance(part, tuple):
        return sum(map(_n_bytes, part))
    if dataclasses.is_dataclass(part):
        return sum(_n_bytes(getattr(part, field.name)) for field in dataclasses.fields(part))
    return 0
