"""The evaluator: holds M = W - A, and of each value its mask, or a share that it knows ahead of time.

All that it does with values is done offline; online it computes its lanes, and passes on what it holds of a result
under the next mask.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.peers import Peers
from fi_workbench.mpc import ring
from fi_workbench.mpc.assignment import Triple
from fi_workbench.mpc.compare import lanes, selecting
from fi_workbench.mpc.plan import Conv, Dense, Maximum, Plan, Sign, Truncate
from fi_workbench.mpc.roles.dealing import deal_choice, deal_difference, deal_mask
from fi_workbench.mpc.roles.materials import (
    EvaluatorDifference,
    EvaluatorMaterial,
    EvaluatorPart,
    EvaluatorRelu,
    EvaluatorSign,
    EvaluatorTruncation,
)
from fi_workbench.mpc.roles.role import HeldValues, Place, RoleRunner, Words, local
from fi_workbench.mpc.roles.tournament import Tournament
from fi_workbench.mpc.roles.weights import weight_shape
from fi_workbench.mpc.streams import SET_UP, Draws, Lot, MaskSource, TripleKeys, query_mask, query_source
from fi_workbench.mpc.widths import SHORT


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
                self._masked_weights[place] = masked.reshape(shape)
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
                parts: tuple[EvaluatorPart, ...] = ()
                made = local(step.operation, inputs, shape)
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
        for place, parts in enumerate(material.steps):
            for call, part in enumerate(parts):
                here = Place("online", lot, place, call)
                if isinstance(part, EvaluatorRelu):
                    self._relu(here, part, end)
                elif isinstance(part, EvaluatorTruncation):
                    self._truncated(here, part, end)
                elif isinstance(part, EvaluatorSign):
                    self._signs(here, part, end)
                else:
                    self._difference(here, part, end)
        return material.output

    def _close_lot(self, lot: Lot) -> None:
        super()._close_lot(lot)
        self._queries.close_lot(lot)
        self._private.close_lot(lot)

    def _prepared(self, here: Place, value: Words, end: float) -> tuple[Words, tuple[EvaluatorPart, ...]]:
        """What the evaluator holds of the value that a step makes, and what it needs online."""
        operation = self.plan.steps[here.step].operation
        n, bits = self._n(here.lot, here.step + 1), self._bits[here.step + 1]
        if isinstance(operation, Dense | Conv):
            made = ring.linear(operation, self._masked_weights[here.step], value)
            (product,) = self._receive(here, "dealer", "masked-product", n, bits, end)
            return made.reshape(-1) + product, ()
        if isinstance(operation, Maximum):
            return self._prepared_maximum(here, operation, value, end)
        draws, share = self._source("evaluator_dealer", "masks").at(here.lot, here.step), value.reshape(-1)
        if isinstance(operation, Sign):
            kept = self._private.at(here.lot, here.step).words(n)
            return kept, (self._prepared_sign(here, share, kept, draws, end),)
        dealt = deal_mask(draws, n)
        self._send(here, "owner", "offset", n, SHORT, share + dealt.mine)
        next_mask = self._source("evaluator_dealer", "values").at(here.lot, here.step).words(n)
        truncation = EvaluatorTruncation(dealt.mask, next_mask)
        if isinstance(operation, Truncate):
            return next_mask, (truncation,)
        choice, blinding = deal_choice(draws, n), self._blinding(here, n)
        return next_mask, (EvaluatorRelu(truncation, self._thermometer(here, n, end), blinding, choice),)

    def _prepared_sign(self, here: Place, share: Words, kept: Words, draws: Draws, end: float) -> EvaluatorSign:
        n = share.size
        dealt = deal_difference(draws, n)
        self._send(here, "owner", "offset", n, SHORT, share + dealt.mine)
        return EvaluatorSign(kept, self._thermometer(here, n, end), self._blinding(here, n), dealt.chosen)

    def _prepared_maximum(
        self, here: Place, operation: Maximum, value: Words, end: float
    ) -> tuple[Words, tuple[EvaluatorDifference, ...]]:
        tournament, bits = Tournament.of(operation), self._bits[here.step + 1]
        entries = ring.windows(operation, value, padding=0)
        entries = entries.reshape(len(entries), -1)
        parts = []
        for level in range(len(tournament.n_pairs)):
            there = Place("offline", here.lot, here.step, level)
            left, right, rest = tournament.paired(entries)
            n = left.size
            dealt = deal_difference(self._source("evaluator_dealer", "masks").at(here.lot, here.step, level), n)
            self._send(there, "owner", "offset", n, bits, (left - right).reshape(-1) + dealt.mine)
            # known to nobody else: the share of the winners that it will have, once it has passed on the rest
            kept = self._private.at(here.lot, here.step, level).words(n)
            parts.append(
                EvaluatorDifference(
                    dealt.mine,
                    kept - right.reshape(-1),
                    self._thermometer(there, n, end),
                    self._blinding(there, n),
                    dealt.chosen,
                    dealt.chosen_mask,
                )
            )
            entries = np.concatenate([kept.reshape(left.shape), rest])
        return entries[0], tuple(parts)

    def _blinding(self, here: Place, n: int) -> lanes.Blinding:
        return lanes.draw_blinding(self._source("owner_evaluator", "blinding").at(here.lot, here.step, here.call), n)

    def _thermometer(self, here: Place, n: int, end: float) -> NDArray[np.uint8]:
        (thermometer,) = self._receive(here, "dealer", "reference", n, SHORT, end)
        shares: NDArray[np.uint8] = thermometer.reshape(lanes.N_THERMOMETER, n)
        return shares

    def _relu(self, here: Place, part: EvaluatorRelu, end: float) -> None:
        next_mask = part.truncation.next_mask
        n, bits = next_mask.size, self._bits[here.step + 1]
        (high,) = self._receive(here, "owner", "opened", n, bits, end)
        guess = self._compared(here, high, part)
        wraps = selecting.wraps_of(selecting.top_bit(high))
        share = selecting.chosen_share(
            guess,
            selecting.truncated_share(None, wraps, part.truncation.mask),
            selecting.truncated_correction(high, wraps, part.choice.chosen, part.choice.mask),
        )
        self._send(here, "owner", "remask", n, bits, share - next_mask)

    def _truncated(self, here: Place, part: EvaluatorTruncation, end: float) -> None:
        n, bits = part.next_mask.size, self._bits[here.step + 1]
        (top,) = self._receive(here, "owner", "top-bits", n, bits, end)
        share = selecting.truncated_share(None, selecting.wraps_of(top.astype(np.uint64)), part.mask)
        self._send(here, "owner", "remask", n, bits, share - part.next_mask)

    def _signs(self, here: Place, part: EvaluatorSign, end: float) -> None:
        n, bits = part.next_mask.size, self._bits[here.step + 1]
        (high,) = self._receive(here, "owner", "opened", n, bits, end)
        share = selecting.sign_share(self._compared(here, high, part), part.chosen, False)
        self._send(here, "owner", "remask", n, bits, share - part.next_mask)

    def _difference(self, here: Place, part: EvaluatorDifference, end: float) -> None:
        n, bits = part.next_mask.size, self._bits[here.step + 1]
        (opened,) = self._receive(here, "owner", "opened-difference", n, bits, end)
        share = selecting.chosen_share(
            self._compared(here, selecting.high_part(opened), part),
            selecting.difference_share(None, part.mask),
            selecting.difference_correction(opened, part.chosen, part.chosen_mask),
        )
        self._send(here, "owner", "remask", n, bits, share - part.next_mask)

    def _compared(
        self, here: Place, high: NDArray[np.uint32], part: EvaluatorRelu | EvaluatorSign | EvaluatorDifference
    ) -> Words:
        """Send the lanes; what is known of the sign."""
        n, bits = len(high), self._bits[here.step + 1]
        shares = lanes.lane_shares(high, part.thermometer, part.blinding, False)
        self._send(here, "dealer", "lanes", n, bits, shares)
        return selecting.guess_of(high, part.blinding.coins)
