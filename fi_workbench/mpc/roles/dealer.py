"""The dealer: holds A and the masks of all values, and compares blindly. Sees fair coins and uniform residues."""

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
from fi_workbench.mpc.roles.selections import deal_mask
from fi_workbench.mpc.roles.tournament import Tournament
from fi_workbench.mpc.roles.weights import weight_shape
from fi_workbench.mpc.streams import SET_UP, Lot, TripleKeys, query_mask, query_source


@dataclass(frozen=True, eq=False)
class DealerComparison:
    """What the dealer needs for the comparisons of a ReLU, or of one level of a maximum.

    Parameters
    ----------
    sign : ndarray of bool
        (entry,): bit 46 of r.
    clear : Shares
        r >> 16 and its top bit, or r itself.
    chosen : ndarray of uint64
        (entry,): the evaluator's share of d.
    chosen_mask : Shares
        The evaluator's, of ``clear`` times d.
    """

    sign: NDArray[np.bool_]
    clear: Shares
    chosen: Words
    chosen_mask: Shares

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return self.sign.nbytes + self.clear.n_bytes + self.chosen.nbytes + self.chosen_mask.n_bytes


@dataclass(frozen=True, eq=False)
class DealerMaterial:
    """All that the dealer needs to answer one lot.

    Parameters
    ----------
    lot : Lot
    steps : tuple
        For each step of the plan what it needs, in the order of its use.
    """

    lot: Lot
    steps: tuple[tuple[DealerComparison, ...], ...]

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return sum(part.n_bytes for step in self.steps for part in step)


class DealerRole(RoleRunner):
    """The dealer of a model in one session.

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
        super().__init__("dealer", triple, number, plan, keys, peers)
        if keys.query is None:
            raise ValueError("The dealer holds the seed of the query's masks.")
        self._queries = query_source(keys.query)
        self._weight_masks: dict[int, Words] = {}

    def set_up(self, end: float) -> None:
        """Draw A of each layer."""
        for place, step in enumerate(self.plan.steps):
            if isinstance(step.operation, Dense | Conv):
                shape = weight_shape(step.operation)
                drawn = self._source("owner_dealer", "weights").at(SET_UP, place).words(int(np.prod(shape)))
                self._weight_masks[place] = drawn.reshape(shape)
                self._holds(Place("set_up", SET_UP, place), "weight mask", drawn)
        self._close_lot(SET_UP)

    def offline(self, lot: Lot, end: float) -> DealerMaterial:
        """Draw what a lot needs, and deal it out.

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
                here, parts = Place("offline", lot, place), ()
                made: Words | None = None
                if isinstance(step.operation, Dense | Conv):
                    self._deal_product(here, step.operation, values.inputs(place)[0])
                elif isinstance(step.operation, Relu | Truncate | Maximum):
                    made, parts = self._prepared(here)
                elif step.held == "masked":
                    made = local(step.operation, values.inputs(place), self._shape(lot, place + 1))
                if made is not None:
                    self._holds(here, "mask", made, place + 1)
                values.put(place, made)
                steps.append(parts)
        finally:
            self._close_lot(lot)
        return DealerMaterial(lot, tuple(steps))

    def online(self, lot: Lot, material: DealerMaterial, end: float, query: Words | None = None) -> None:
        """Answer a lot.

        Parameters
        ----------
        lot : Lot
        material : DealerMaterial
            Of this lot, used once.
        end : float
            Monotonic seconds.
        query : None
            Only the owner has a part of the query.

        Raises
        ------
        PeerFault, MaskReused
        """
        self._spend(lot, material.lot)
        for place, parts in enumerate(material.steps):
            for call, part in enumerate(parts):
                self._compare(Place("online", lot, place, call), part, end)

    def _close_lot(self, lot: Lot) -> None:
        super()._close_lot(lot)
        self._queries.close_lot(lot)

    def _deal_product(self, here: Place, operation: Dense | Conv, mask: Words) -> None:
        n, bits = self._n(here.lot, here.step + 1), self._bits[here.step + 1]
        product = ring.linear(operation, self._weight_masks[here.step], mask).reshape(-1)
        product -= self._source("owner_dealer", "products").at(here.lot, here.step).words(n)
        self._send(here, "evaluator", "masked-product", n, bits, product)

    def _prepared(self, here: Place) -> tuple[Words | None, tuple[DealerComparison, ...]]:
        """The mask of the value that a step makes, if it has one, and what is needed online."""
        operation = self.plan.steps[here.step].operation
        n, bits = self._n(here.lot, here.step + 1), self._bits[here.step + 1]
        if isinstance(operation, Maximum):
            levels = Tournament.of(operation).n_pairs
            return None, tuple(
                self._deal_difference(Place("offline", here.lot, here.step, level), n_pairs * n, bits)
                for level, n_pairs in enumerate(levels)
            )
        mine = self._source("owner_dealer", "masks").at(here.lot, here.step).words(n)
        dealt = deal_mask(self._source("evaluator_dealer", "masks").at(here.lot, here.step), n, True)
        drawn = mine + dealt.mine
        high = selecting.high_part(drawn)
        clear = Shares(high.astype(np.uint64), selecting.top_bit(high))
        assert clear.top is not None
        assert dealt.mask.top is not None
        made = self._source("evaluator_dealer", "values").at(here.lot, here.step).words(n)
        made = made.reshape(self._shape(here.lot, here.step + 1))
        parts: tuple[DealerComparison, ...] = ()
        if isinstance(operation, Relu):
            self._deal_reference(here, high, bits)
            parts = (DealerComparison(selecting.sign_bit(high), clear, dealt.chosen, dealt.chosen_mask),)
        self._send(here, "owner", "mask-parts", n, bits, clear.high - dealt.mask.high, clear.top - dealt.mask.top)
        return made, parts

    def _deal_difference(self, here: Place, n: int, bits: int) -> DealerComparison:
        mine = self._source("owner_dealer", "masks").at(here.lot, here.step, here.call).words(n)
        dealt = deal_mask(self._source("evaluator_dealer", "masks").at(here.lot, here.step, here.call), n, False)
        drawn = mine + dealt.mine
        high = selecting.high_part(drawn)
        self._deal_reference(here, high, bits)
        return DealerComparison(selecting.sign_bit(high), Shares(drawn), dealt.chosen, dealt.chosen_mask)

    def _deal_reference(self, here: Place, high: NDArray[np.uint32], bits: int) -> None:
        n = len(high)
        draws = self._source("owner_dealer", "references").at(here.lot, here.step, here.call)
        shared = lanes.share_reference(high, lanes.draw_reference_share(draws, n))
        self._send(here, "evaluator", "reference", n, bits, shared)

    def _compare(self, here: Place, part: DealerComparison, end: float) -> None:
        n, bits = len(part.sign), self._bits[here.step + 1]
        (owners,) = self._receive(here, "owner", "lanes", n, bits, end)
        (evaluators,) = self._receive(here, "evaluator", "lanes", n, bits, end)
        below = lanes.outcome(_as_lanes(owners, n), _as_lanes(evaluators, n))
        kept = (below ^ part.sign).astype(np.uint64)
        chosen = kept - part.chosen
        chosen_mask = kept * part.clear.high - part.chosen_mask.high
        if part.clear.top is None:
            self._send(here, "owner", "difference-selection", n, bits, chosen, chosen_mask)
            return
        assert part.chosen_mask.top is not None
        chosen_top = kept * part.clear.top - part.chosen_mask.top
        self._send(here, "owner", "selection", n, bits, chosen, chosen_mask, chosen_top)


def _as_lanes(array: NDArray[np.generic], n: int) -> NDArray[np.uint8]:
    return array.astype(np.uint8, copy=False).reshape(lanes.N_LANES, n)
