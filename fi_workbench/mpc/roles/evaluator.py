"""The evaluator: holds M = W - A, and of each value its mask, or a share that it knows ahead of time.

All that it does with values is done offline; online it computes its lanes, and passes on what it holds of a result under
the next mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.peers import Peers
from fi_workbench.mpc import ring
from fi_workbench.mpc.assignment import Triple
from fi_workbench.mpc.compare import lanes, selecting
from fi_workbench.mpc.compare.selecting import Shares
from fi_workbench.mpc.plan import Conv, Dense, Maximum, Plan, Relu, Truncate
from fi_workbench.mpc.roles.role import HeldValues, Place, RoleRunner, Words, local
from fi_workbench.mpc.roles.selections import DealtMask, deal_mask
from fi_workbench.mpc.roles.tournament import Tournament
from fi_workbench.mpc.roles.weights import weight_shape
from fi_workbench.mpc.streams import SET_UP, Lot, MaskSource, TripleKeys, query_mask, query_source
from fi_workbench.mpc.widths import SHORT


@dataclass(frozen=True, eq=False)
class EvaluatorComparison:
    """What the evaluator needs for a ReLU, a truncation, or one level of a maximum.

    Parameters
    ----------
    mask : Shares
        Of r >> 16 and of its top bit; of r itself in a maximum.
    next_mask : ndarray of uint64
        (entry,): under which its part of the result goes to the owner.
    thermometer : ndarray of uint8 or None
        (thermometer, entry); None in a truncation, as the next two.
    blinding : Blinding or None
    chosen : ndarray of uint64 or None
        A share of d.
    chosen_mask : Shares or None
        Of the same as ``mask``, times d.
    """

    mask: Shares
    next_mask: Words
    thermometer: NDArray[np.uint8] | None = None
    blinding: lanes.Blinding | None = None
    chosen: Words | None = None
    chosen_mask: Shares | None = None

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        sizes = [self.mask.n_bytes, self.next_mask.nbytes]
        sizes += [array.nbytes for array in (self.thermometer, self.chosen) if array is not None]
        sizes += [part.n_bytes for part in (self.blinding, self.chosen_mask) if part is not None]
        return sum(sizes)


@dataclass(frozen=True, eq=False)
class EvaluatorMaterial:
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
    steps: tuple[tuple[EvaluatorComparison, ...], ...]
    output: Words

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return self.output.nbytes + sum(part.n_bytes for step in self.steps for part in step)


class EvaluatorRole(RoleRunner):
    """The evaluator of a model in one session.

    Parameters
    ----------
    triple : Triple
    number : int
        The triple's index in the session.
    plan : Plan
    keys : TripleKeys
    peers : Peers
    """

    def __init__(self, triple: Triple, number: int, plan: Plan, keys: TripleKeys, peers: Peers) -> None:
        super().__init__("evaluator", triple, number, plan, keys, peers)
        if keys.query is None:
            raise ValueError("The evaluator holds the seed of the query's masks.")
        self._queries = query_source(keys.query)
        self._private = MaskSource.private()
        self._masked_weights: dict[int, Words] = {}

    def set_up(self, end: float) -> None:
        """Receive M = W - A of each layer.

        Raises
        ------
        PeerFault
        """
        for place, step in enumerate(self.plan.steps):
            if isinstance(step.operation, Dense | Conv):
                shape = weight_shape(step.operation)
                here, bits = Place("set_up", SET_UP, place), self._bits[place + 1]
                (masked,) = self._receive(here, "owner", "masked-weight", int(np.prod(shape)), bits, end)
                self._masked_weights[place] = masked.astype(np.uint64).reshape(shape)
        self._close_lot(SET_UP)

    def offline(self, lot: Lot, end: float) -> EvaluatorMaterial:
        """Draw and receive what a lot needs, and compute what the evaluator holds of each value.

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
            values = HeldValues(self.plan, self._last_use, query_mask(self._queries, lot, self.plan.input_shape))
            steps = []
            for place, step in enumerate(self.plan.steps):
                here, inputs, shape = Place("offline", lot, place), values.inputs(place), self._shape(lot, place + 1)
                made, parts = local(step.operation, inputs, shape), ()
                if made is None:
                    made, parts = self._prepared(here, inputs[0], end)
                    made = made.reshape(shape)
                self._holds(here, "mask" if step.held == "masked" else "share", made, place + 1)
                values.put(place, made)
                steps.append(parts)
        finally:
            self._close_lot(lot)
        return EvaluatorMaterial(lot, tuple(steps), values[len(self.plan.steps)])

    def online(self, lot: Lot, material: EvaluatorMaterial, end: float, query: Words | None = None) -> Words:
        """Answer a lot.

        Parameters
        ----------
        lot : Lot
        material : EvaluatorMaterial
            Of this lot, used once.
        end : float
            Monotonic seconds.
        query : None
            Only the owner has a part of the query.

        Returns
        -------
        ndarray of uint64
            The evaluator's share of the output: (query, n_outputs), 32 fractional bits.

        Raises
        ------
        PeerFault, MaskReused
        """
        self._spend(lot, material.lot)
        for place, step in enumerate(self.plan.steps):
            here, parts = Place("online", lot, place), material.steps[place]
            if isinstance(step.operation, Relu):
                self._relu(here, parts[0], end)
            elif isinstance(step.operation, Truncate):
                self._truncated(here, parts[0], end)
            elif isinstance(step.operation, Maximum):
                for level, part in enumerate(parts):
                    self._difference(Place("online", lot, place, level), part, end)
        return material.output

    def _close_lot(self, lot: Lot) -> None:
        super()._close_lot(lot)
        self._queries.close_lot(lot)
        self._private.close_lot(lot)

    def _prepared(self, here: Place, value: Words, end: float) -> tuple[Words, tuple[EvaluatorComparison, ...]]:
        """What the evaluator holds of the value that a step makes, and what it needs online."""
        operation = self.plan.steps[here.step].operation
        n, bits = self._n(here.lot, here.step + 1), self._bits[here.step + 1]
        if isinstance(operation, Dense | Conv):
            made = ring.linear(operation, self._masked_weights[here.step], value)
            (product,) = self._receive(here, "dealer", "masked-product", n, bits, end)
            return made.reshape(-1) + product, ()
        if isinstance(operation, Maximum):
            return self._prepared_maximum(here, operation, value, end)
        dealt = deal_mask(self._source("evaluator_dealer", "masks").at(here.lot, here.step), n, True)
        self._send(here, "owner", "offset", n, SHORT, value.reshape(-1) + dealt.mine)
        next_mask = self._source("evaluator_dealer", "values").at(here.lot, here.step).words(n)
        if isinstance(operation, Truncate):
            return next_mask, (EvaluatorComparison(dealt.mask, next_mask),)
        return next_mask, (self._comparison(here, dealt, next_mask, n, bits, end),)

    def _prepared_maximum(
        self, here: Place, operation: Maximum, value: Words, end: float
    ) -> tuple[Words, tuple[EvaluatorComparison, ...]]:
        tournament, bits = Tournament.of(operation), self._bits[here.step + 1]
        entries = ring.windows(operation, value, padding=0)
        entries = entries.reshape(len(entries), -1)
        parts = []
        for level in range(len(tournament.n_pairs)):
            there = Place("offline", here.lot, here.step, level)
            left, right, rest = tournament.paired(entries)
            n = left.size
            dealt = deal_mask(self._source("evaluator_dealer", "masks").at(here.lot, here.step, level), n, False)
            self._send(there, "owner", "offset", n, bits, (left - right).reshape(-1) + dealt.mine)
            # known to nobody else: the share of the winners that it will have, once it has passed on the rest
            kept = self._private.at(here.lot, here.step, level).words(n)
            parts.append(self._comparison(there, dealt, kept - right.reshape(-1), n, bits, end))
            entries = np.concatenate([kept.reshape(left.shape), rest])
        return entries[0], tuple(parts)

    def _comparison(
        self, here: Place, dealt: DealtMask, next_mask: Words, n: int, bits: int, end: float
    ) -> EvaluatorComparison:
        blinding = lanes.draw_blinding(
            self._source("owner_evaluator", "blinding").at(here.lot, here.step, here.call), n
        )
        (thermometer,) = self._receive(here, "dealer", "reference", n, bits, end)
        shared = thermometer.astype(np.uint8, copy=False).reshape(lanes.N_THERMOMETER, n)
        return EvaluatorComparison(dealt.mask, next_mask, shared, blinding, dealt.chosen, dealt.chosen_mask)

    def _relu(self, here: Place, part: EvaluatorComparison, end: float) -> None:
        n, bits = part.next_mask.size, self._bits[here.step + 1]
        (opened,) = self._receive(here, "owner", "opened", n, bits, end)
        high = opened.astype(np.uint32, copy=False)
        guess = self._send_lanes(here, part, high, n, bits)
        assert part.chosen is not None
        assert part.chosen_mask is not None
        wraps = selecting.wraps_of(selecting.top_bit(high))
        share = selecting.chosen_share(
            guess,
            selecting.truncated_share(None, wraps, part.mask),
            selecting.truncated_correction(high, wraps, part.chosen, part.chosen_mask),
        )
        self._send(here, "owner", "remask", n, bits, share - part.next_mask)

    def _truncated(self, here: Place, part: EvaluatorComparison, end: float) -> None:
        n, bits = part.next_mask.size, self._bits[here.step + 1]
        (top,) = self._receive(here, "owner", "top-bits", n, bits, end)
        share = selecting.truncated_share(None, selecting.wraps_of(top.astype(np.uint64)), part.mask)
        self._send(here, "owner", "remask", n, bits, share - part.next_mask)

    def _difference(self, here: Place, part: EvaluatorComparison, end: float) -> None:
        n, bits = part.next_mask.size, self._bits[here.step + 1]
        (opened,) = self._receive(here, "owner", "opened-difference", n, bits, end)
        words = opened.astype(np.uint64, copy=False)
        guess = self._send_lanes(here, part, selecting.high_part(words), n, bits)
        assert part.chosen is not None
        assert part.chosen_mask is not None
        share = selecting.chosen_share(
            guess,
            selecting.difference_share(None, part.mask.high),
            selecting.difference_correction(words, part.chosen, part.chosen_mask.high),
        )
        self._send(here, "owner", "remask", n, bits, share - part.next_mask)

    def _send_lanes(self, here: Place, part: EvaluatorComparison, high: NDArray[np.uint32], n: int, bits: int) -> Words:
        """Send the lanes; what is known of the sign."""
        assert part.thermometer is not None
        assert part.blinding is not None
        shares = lanes.lane_shares(high, part.thermometer, part.blinding, False)
        self._send(here, "dealer", "lanes", n, bits, shares)
        return selecting.guess_of(high, part.blinding.coins)
