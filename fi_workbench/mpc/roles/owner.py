"""The owner: holds W, and of each value v - B, or a share. Sees masked values only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.peers import Peers
from fi_workbench.mpc import ring
from fi_workbench.mpc.assignment import Triple
from fi_workbench.mpc.compare import lanes, selecting
from fi_workbench.mpc.compare.selecting import MaskShares
from fi_workbench.mpc.compiled import LayerWeights
from fi_workbench.mpc.plan import ROUNDING, Conv, Dense, Maximum, Plan, Relu, Sign, Truncate
from fi_workbench.mpc.roles.materials import (
    OwnerDifference,
    OwnerMaterial,
    OwnerPart,
    OwnerProduct,
    OwnerRelu,
    OwnerSign,
    OwnerTruncation,
)
from fi_workbench.mpc.roles.role import HeldValues, Place, RoleRunner, Words, local
from fi_workbench.mpc.roles.tournament import PADDING, Tournament
from fi_workbench.mpc.small_matrix import SmallMatrix
from fi_workbench.mpc.streams import SET_UP, Lot, MaskSource, TripleKeys
from fi_workbench.mpc.widths import SHORT


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
        self._matrices = {
            layer.step: SmallMatrix.of(layer.weight, self._bits[layer.step + 1])
            for layer in weights
            if isinstance(plan.steps[layer.step].operation, Dense)
        }
        self._private = MaskSource.private()

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
            made = local(step.operation, inputs, shape, adds_public=True)
            if made is None:
                made = self._evaluated(here, inputs[0], material.steps[place], end).reshape(shape)
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
            return (OwnerRelu(self._prepared_truncation(here, n, bits, end), thermometer, blinding),)
        if isinstance(step.operation, Sign):
            _, offset = self._offset(here, n, SHORT, end)
            return (OwnerSign(offset, self._thermometer(here, n), self._blinding(here, n)),)
        if isinstance(step.operation, Maximum):
            levels = Tournament.of(step.operation).n_pairs
            return tuple(
                self._prepared_difference(Place("offline", here.lot, here.step, level), n_pairs * n, bits, end)
                for level, n_pairs in enumerate(levels)
            )
        return ()

    def _close_lot(self, lot: Lot) -> None:
        super()._close_lot(lot)
        self._private.close_lot(lot)

    def _prepared_truncation(self, here: Place, n: int, bits: int, end: float) -> OwnerTruncation:
        _, offset = self._offset(here, n, SHORT, end)
        offset += self._rounding(here, n)
        high, top = self._receive(here, "dealer", "mask-parts", n, bits, end)
        return OwnerTruncation(offset, MaskShares(high, top))

    def _prepared_difference(self, here: Place, n: int, bits: int, end: float) -> OwnerDifference:
        mine, offset = self._offset(here, n, bits, end)
        return OwnerDifference(offset, mine, self._thermometer(here, n), self._blinding(here, n))

    def _offset(self, here: Place, n: int, bits: int, end: float) -> tuple[Words, Words]:
        """The owner's part of r, and what opens c."""
        mine = self._source("owner_dealer", "masks").at(here.lot, here.step, here.call).words(n)
        (offset,) = self._receive(here, "evaluator", "offset", n, bits, end)
        return mine, mine + offset + selecting.OFFSET

    def _rounding(self, here: Place, n: int) -> Words:
        """What this owner adds to each y before it is cut, so that where it is cut tells the dealer nothing.

        The dealer knows the low 16 bits of r, and an output steps by one unit where y and r carry: over many equal
        queries the client and the dealer would come to low16(y). Added to y, one number that is uniform over 2^16 makes
        the mean of the step the same for every y; the sum of four does so up to the fourth moment.
        """
        quarters = self._private.at(here.lot, here.step).words(n).view("<u2").reshape(n, 4)
        return np.asarray(quarters.sum(axis=1, dtype=np.uint64) - np.uint64(ROUNDING))

    def _blinding(self, here: Place, n: int) -> lanes.Blinding:
        return lanes.draw_blinding(self._source("owner_evaluator", "blinding").at(here.lot, here.step, here.call), n)

    def _thermometer(self, here: Place, n: int) -> NDArray[np.uint8]:
        draws = self._source("owner_dealer", "references").at(here.lot, here.step, here.call)
        return lanes.draw_reference_share(draws, n)

    def _evaluated(self, here: Place, value: Words, parts: Sequence[OwnerPart], end: float) -> Words:
        operation = self.plan.steps[here.step].operation
        if isinstance(operation, Maximum):
            return self._maximum(here, operation, value, parts, end)
        (part,) = parts
        if isinstance(operation, Dense | Conv) and isinstance(part, OwnerProduct):
            matrix = self._matrices.get(here.step)
            made = (
                ring.linear(operation, self._weights[here.step].weight, value)
                if matrix is None
                else matrix.times(value)
            )
            made += part.addend
            return made
        share = value.reshape(-1)
        if isinstance(part, OwnerRelu):
            return self._relu(here, share, part, end)
        if isinstance(part, OwnerTruncation):
            return self._truncated(here, share, part, end)
        if isinstance(part, OwnerSign):
            return self._signs(here, share, part, end)
        raise TypeError(f"Material of step {here.step} is that of another plan.")

    def _maximum(self, here: Place, operation: Maximum, value: Words, parts: Sequence[OwnerPart], end: float) -> Words:
        tournament = Tournament.of(operation)
        entries = ring.windows(operation, value, padding=PADDING)
        entries = entries.reshape(len(entries), -1)
        for level, part in enumerate(parts):
            if not isinstance(part, OwnerDifference):
                raise TypeError(f"Material of step {here.step} is that of another plan.")
            left, right, rest = tournament.paired(entries)
            there = Place("online", here.lot, here.step, level)
            winners = right + self._difference(there, (left - right).reshape(-1), part, end).reshape(right.shape)
            entries = np.concatenate([winners, rest])
        return np.asarray(entries[0])

    def _relu(self, here: Place, share: Words, part: OwnerRelu, end: float) -> Words:
        n, bits = share.size, self._bits[here.step + 1]
        high = selecting.high_part(share + part.truncation.offset)
        guess = self._compared(here, high, part)
        wraps = selecting.wraps_of(selecting.top_bit(high))
        truncated = selecting.truncated_share(high, wraps, part.truncation.mask)
        (remask,) = self._receive(here, "evaluator", "remask", n, bits, end)
        chosen, mask, top = self._receive(here, "dealer", "selection", n, bits, end)
        correction = selecting.truncated_correction(high, wraps, chosen, MaskShares(mask, top))
        return selecting.chosen_share(guess, truncated, correction) + remask

    def _truncated(self, here: Place, share: Words, part: OwnerTruncation, end: float) -> Words:
        n, bits = share.size, self._bits[here.step + 1]
        high = selecting.high_part(share + part.offset)
        top = selecting.top_bit(high)
        self._send(here, "evaluator", "top-bits", n, bits, top.astype(np.uint8))
        truncated = selecting.truncated_share(high, selecting.wraps_of(top), part.mask)
        (remask,) = self._receive(here, "evaluator", "remask", n, bits, end)
        return truncated + remask

    def _signs(self, here: Place, share: Words, part: OwnerSign, end: float) -> Words:
        n, bits = share.size, self._bits[here.step + 1]
        guess = self._compared(here, selecting.high_part(share + part.offset), part)
        (remask,) = self._receive(here, "evaluator", "remask", n, bits, end)
        (chosen,) = self._receive(here, "dealer", "sign-selection", n, bits, end)
        return selecting.sign_share(guess, chosen.astype(np.uint64), True) + remask

    def _difference(self, here: Place, share: Words, part: OwnerDifference, end: float) -> Words:
        """A share of max(0, y), not truncated."""
        n, bits = share.size, self._bits[here.step + 1]
        opened = share + part.offset
        if bits == SHORT:
            opened &= selecting.SHORT_MASK
        self._send(here, "evaluator", "opened-difference", n, bits, opened)
        high = selecting.high_part(opened)
        self._send(here, "dealer", "lanes", n, bits, lanes.lane_shares(high, part.thermometer, part.blinding, True))
        guess = selecting.guess_of(high, part.blinding.coins)
        whole = selecting.difference_share(opened, part.mask)
        (remask,) = self._receive(here, "evaluator", "remask", n, bits, end)
        chosen, mask = self._receive(here, "dealer", "difference-selection", n, bits, end)
        correction = selecting.difference_correction(opened, chosen, mask)
        return selecting.chosen_share(guess, whole, correction) + remask

    def _compared(self, here: Place, high: NDArray[np.uint32], part: OwnerRelu | OwnerSign) -> Words:
        """Send what is opened, and the lanes; what is known of the sign."""
        n, bits = len(high), self._bits[here.step + 1]
        self._send(here, "evaluator", "opened", n, bits, high)
        self._send(here, "dealer", "lanes", n, bits, lanes.lane_shares(high, part.thermometer, part.blinding, True))
        return selecting.guess_of(high, part.blinding.coins)
