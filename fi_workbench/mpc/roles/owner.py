"""The owner: holds W, and of each value v - B, or a share. Sees masked values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.peers import Peers
from fi_workbench.mpc import ring
from fi_workbench.mpc.assignment import Triple
from fi_workbench.mpc.compare import lanes, selecting
from fi_workbench.mpc.compare.selecting import Shares
from fi_workbench.mpc.compiled import LayerWeights
from fi_workbench.mpc.plan import Conv, Dense, Maximum, Plan, Relu, Truncate
from fi_workbench.mpc.roles.role import HeldValues, Place, RoleRunner, Words, local
from fi_workbench.mpc.roles.tournament import PADDING, Tournament
from fi_workbench.mpc.streams import SET_UP, Lot, TripleKeys
from fi_workbench.mpc.widths import SHORT


@dataclass(frozen=True, eq=False)
class OwnerComparison:
    """What the owner needs for the comparisons of a ReLU, or of one level of a maximum.

    Parameters
    ----------
    offset : ndarray of uint64
        (entry,): added to the owner's share of y, it opens c.
    thermometer : ndarray of uint8
        (thermometer, entry).
    blinding : Blinding
    mask : Shares
        Of r >> 16 and of its top bit; of r itself in a maximum.
    """

    offset: Words
    thermometer: NDArray[np.uint8]
    blinding: lanes.Blinding
    mask: Shares

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return self.offset.nbytes + self.thermometer.nbytes + self.blinding.n_bytes + self.mask.n_bytes


@dataclass(frozen=True, eq=False)
class OwnerTruncation:
    """What the owner needs for a truncation: as in a comparison."""

    offset: Words
    mask: Shares

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return self.offset.nbytes + self.mask.n_bytes


@dataclass(frozen=True, eq=False)
class OwnerProduct:
    """What the owner adds to W (v - B): its share of A B, and the bias."""

    addend: Words

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return self.addend.nbytes


OwnerPart: TypeAlias = OwnerProduct | OwnerTruncation | OwnerComparison


@dataclass(frozen=True, eq=False)
class OwnerMaterial:
    """All that the owner needs to answer one lot.

    Parameters
    ----------
    lot : Lot
    steps : tuple
        For each step of the plan what it needs, in the order of its use.
    """

    lot: Lot
    steps: tuple[tuple[OwnerPart, ...], ...]

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return sum(part.n_bytes for step in self.steps for part in step)


class OwnerRole(RoleRunner):
    """The owner of a model in one session.

    Parameters
    ----------
    triple : Triple
    number : int
        The triple's index in the session.
    plan : Plan
    weights : sequence of LayerWeights
    keys : TripleKeys
    peers : Peers
    """

    def __init__(
        self,
        triple: Triple,
        number: int,
        plan: Plan,
        weights: Sequence[LayerWeights],
        keys: TripleKeys,
        peers: Peers,
    ) -> None:
        super().__init__("owner", triple, number, plan, keys, peers)
        self._weights = {layer.step: layer for layer in weights}

    def set_up(self, end: float) -> None:
        """Send M = W - A of each layer to the evaluator.

        Raises
        ------
        PeerFault
        """
        for place, layer in self._weights.items():
            bits = self._bits[place + 1]
            drawn = self._source("owner_dealer", "weights").at(SET_UP, place).words(layer.weight.size)
            here = Place("set_up", SET_UP, place)
            self._holds(here, "weight", layer.weight)
            masked = layer.weight - drawn.reshape(layer.weight.shape)
            self._send(here, "evaluator", "masked-weight", masked.size, bits, masked)
        self._close_lot(SET_UP)

    def offline(self, lot: Lot, end: float) -> OwnerMaterial:
        """Draw and receive what a lot needs.

        Parameters
        ----------
        lot : Lot
        end : float
            Monotonic seconds.

        Raises
        ------
        PeerFault, MaskReused
        """
        try:
            steps = tuple(self._prepared(Place("offline", lot, place), end) for place in range(len(self.plan.steps)))
        finally:
            self._close_lot(lot)
        return OwnerMaterial(lot, steps)

    def online(self, lot: Lot, material: OwnerMaterial, end: float, query: Words | None = None) -> Words:
        """Answer a lot.

        Parameters
        ----------
        lot : Lot
        material : OwnerMaterial
            Of this lot, used once.
        end : float
            Monotonic seconds.
        query : ndarray of uint64
            x - m: (query, ...).

        Returns
        -------
        ndarray of uint64
            The owner's share of the output: (query, n_outputs), 32 fractional bits.

        Raises
        ------
        PeerFault, MaskReused
        """
        if query is None or query.shape != self._shape(lot, 0):
            raise ValueError(f"The masked query of this lot has shape {self._shape(lot, 0)}.")
        self._spend(lot, material.lot)
        values = HeldValues(self.plan, self._last_use, query)
        self._holds(Place("online", lot, 0), "masked query", query, 0)
        for place, step in enumerate(self.plan.steps):
            here, inputs, shape = Place("online", lot, place), values.inputs(place), self._shape(lot, place + 1)
            made = local(step.operation, inputs, shape)
            if made is None:
                made = self._evaluated(here, inputs[0], material, end).reshape(shape)
            self._holds(here, "masked value" if step.held == "masked" else "share", made, place + 1)
            values.put(place, made)
        return values[len(self.plan.steps)]

    def _prepared(self, here: Place, end: float) -> tuple[OwnerPart, ...]:
        step = self.plan.steps[here.step]
        n, bits = self._n(here.lot, here.step + 1), self._bits[here.step + 1]
        if isinstance(step.operation, Dense | Conv):
            share = self._source("owner_dealer", "products").at(here.lot, here.step).words(n)
            bias = self._weights[here.step].bias.reshape(-1, *(1,) * (len(step.shape) - 1))
            return (OwnerProduct(share.reshape(self._shape(here.lot, here.step + 1)) + bias),)
        if isinstance(step.operation, Truncate):
            return (self._prepared_truncation(here, n, bits, end),)
        if isinstance(step.operation, Relu):
            blinding, thermometer = self._blinding(here, n), self._thermometer(here, n)
            truncation = self._prepared_truncation(here, n, bits, end)
            return (OwnerComparison(truncation.offset, thermometer, blinding, truncation.mask),)
        if isinstance(step.operation, Maximum):
            levels = Tournament.of(step.operation).n_pairs
            return tuple(
                self._prepared_difference(Place("offline", here.lot, here.step, level), n_pairs * n, bits, end)
                for level, n_pairs in enumerate(levels)
            )
        return ()

    def _prepared_truncation(self, here: Place, n: int, bits: int, end: float) -> OwnerTruncation:
        mine = self._source("owner_dealer", "masks").at(here.lot, here.step, here.call).words(n)
        (offset,) = self._receive(here, "evaluator", "offset", n, SHORT, end)
        high, top = self._receive(here, "dealer", "mask-parts", n, bits, end)
        mine += offset
        mine += selecting.OFFSET
        return OwnerTruncation(mine, Shares(_as_words(high), _as_words(top)))

    def _prepared_difference(self, here: Place, n: int, bits: int, end: float) -> OwnerComparison:
        mine = self._source("owner_dealer", "masks").at(here.lot, here.step, here.call).words(n)
        blinding, thermometer = self._blinding(here, n), self._thermometer(here, n)
        (offset,) = self._receive(here, "evaluator", "offset", n, bits, end)
        return OwnerComparison(mine + offset + selecting.OFFSET, thermometer, blinding, Shares(mine))

    def _blinding(self, here: Place, n: int) -> lanes.Blinding:
        return lanes.draw_blinding(self._source("owner_evaluator", "blinding").at(here.lot, here.step, here.call), n)

    def _thermometer(self, here: Place, n: int) -> NDArray[np.uint8]:
        return lanes.draw_reference_share(
            self._source("owner_dealer", "references").at(here.lot, here.step, here.call), n
        )

    def _evaluated(self, here: Place, value: Words, material: OwnerMaterial, end: float) -> Words:
        operation, parts = self.plan.steps[here.step].operation, material.steps[here.step]
        if isinstance(operation, Maximum):
            return self._maximum(here, operation, value, parts, end)
        (part,) = parts
        if isinstance(part, OwnerProduct):
            assert isinstance(operation, Dense | Conv)
            made = ring.linear(operation, self._weights[here.step].weight, value)
            made += part.addend
            return made
        if isinstance(part, OwnerComparison):
            return self._relu(here, value.reshape(-1), part, end)
        return self._truncated(here, value.reshape(-1), part, end)

    def _maximum(
        self,
        here: Place,
        operation: Maximum,
        value: Words,
        parts: Sequence[OwnerPart],
        end: float,
    ) -> Words:
        tournament = Tournament.of(operation)
        entries = ring.windows(operation, value, padding=PADDING)
        entries = entries.reshape(len(entries), -1)
        for level, part in enumerate(parts):
            assert isinstance(part, OwnerComparison)
            there = Place("online", here.lot, here.step, level)
            left, right, rest = tournament.paired(entries)
            winners = right + self._difference(there, (left - right).reshape(-1), part, end).reshape(right.shape)
            (remask,) = self._receive(there, "evaluator", "remask", winners.size, self._bits[here.step + 1], end)
            entries = np.concatenate([winners + remask.reshape(winners.shape), rest])
        return entries[0]

    def _relu(self, here: Place, share: Words, part: OwnerComparison, end: float) -> Words:
        n, bits = share.size, self._bits[here.step + 1]
        high = selecting.high_part(share + part.offset)
        self._send(here, "evaluator", "opened", n, bits, high)
        self._send(here, "dealer", "lanes", n, bits, lanes.lane_shares(high, part.thermometer, part.blinding, True))
        guess, wraps = (
            selecting.guess_of(high, part.blinding.coins),
            selecting.wraps_of(selecting.top_bit(high)),
        )
        truncated = selecting.truncated_share(high, wraps, part.mask)
        (remask,) = self._receive(here, "evaluator", "remask", n, bits, end)
        chosen, mask, top = self._receive(here, "dealer", "selection", n, bits, end)
        correction = selecting.truncated_correction(
            high, wraps, _as_words(chosen), Shares(_as_words(mask), _as_words(top))
        )
        return selecting.chosen_share(guess, truncated, correction) + _as_words(remask)

    def _truncated(self, here: Place, share: Words, part: OwnerTruncation, end: float) -> Words:
        n, bits = share.size, self._bits[here.step + 1]
        high = selecting.high_part(share + part.offset)
        top = selecting.top_bit(high)
        self._send(here, "evaluator", "top-bits", n, bits, top.astype(np.uint8))
        truncated = selecting.truncated_share(high, selecting.wraps_of(top), part.mask)
        (remask,) = self._receive(here, "evaluator", "remask", n, bits, end)
        return truncated + _as_words(remask)

    def _difference(self, here: Place, share: Words, part: OwnerComparison, end: float) -> Words:
        """A share of max(0, y), not truncated."""
        n, bits = share.size, self._bits[here.step + 1]
        opened = share + part.offset
        if bits == SHORT:
            opened &= selecting.SHORT_MASK
        self._send(here, "evaluator", "opened-difference", n, bits, opened)
        high = selecting.high_part(opened)
        self._send(here, "dealer", "lanes", n, bits, lanes.lane_shares(high, part.thermometer, part.blinding, True))
        guess = selecting.guess_of(high, part.blinding.coins)
        whole = selecting.difference_share(opened, part.mask.high)
        chosen, mask = self._receive(here, "dealer", "difference-selection", n, bits, end)
        correction = selecting.difference_correction(opened, _as_words(chosen), _as_words(mask))
        return selecting.chosen_share(guess, whole, correction)


def _as_words(array: NDArray[np.generic]) -> Words:
    """An array of a message that is one of words, for the type checker."""
    return array.astype(np.uint64, copy=False)
