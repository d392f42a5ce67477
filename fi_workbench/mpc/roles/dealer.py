"""The dealer: holds A and the masks of all values, and compares blindly. Sees fair coins and uniform residues."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.peers import Peers
from fi_workbench.mpc import ring
from fi_workbench.mpc.assignment import Triple
from fi_workbench.mpc.compare import lanes, selecting
from fi_workbench.mpc.compare.selecting import MaskShares
from fi_workbench.mpc.plan import Conv, Dense, Maximum, Plan, Relu, Sign, Truncate
from fi_workbench.mpc.roles.dealing import deal_choice, deal_difference, deal_mask
from fi_workbench.mpc.roles.materials import DealerDifference, DealerMaterial, DealerPart, DealerRelu, DealerSign
from fi_workbench.mpc.roles.role import HeldValues, Place, RoleRunner, Words, local
from fi_workbench.mpc.roles.tournament import Tournament
from fi_workbench.mpc.roles.weights import weight_shape
from fi_workbench.mpc.streams import SET_UP, Lot, TripleKeys, query_mask, query_source
from fi_workbench.mpc.widths import SHORT


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
                here = Place("offline", lot, place)
                made: Words | None = None
                parts: tuple[DealerPart, ...] = ()
                if isinstance(step.operation, Dense | Conv):
                    self._deal_product(here, step.operation, values.inputs(place)[0])
                elif isinstance(step.operation, Relu | Truncate | Maximum | Sign):
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
                self._choose(Place("online", lot, place, call), part, end)

    def _close_lot(self, lot: Lot) -> None:
        super()._close_lot(lot)
        self._queries.close_lot(lot)

    def _deal_product(self, here: Place, operation: Dense | Conv, mask: Words) -> None:
        n, bits = self._n(here.lot, here.step + 1), self._bits[here.step + 1]
        product = ring.linear(operation, self._weight_masks[here.step], mask).reshape(-1)
        product -= self._source("owner_dealer", "products").at(here.lot, here.step).words(n)
        self._send(here, "evaluator", "masked-product", n, bits, product)

    def _prepared(self, here: Place) -> tuple[Words | None, tuple[DealerPart, ...]]:
        """The mask of the value that a step makes, if it has one, and what is needed online."""
        operation = self.plan.steps[here.step].operation
        n, bits = self._n(here.lot, here.step + 1), self._bits[here.step + 1]
        if isinstance(operation, Maximum):
            levels = Tournament.of(operation).n_pairs
            return None, tuple(
                self._dealt_difference(Place("offline", here.lot, here.step, level), n_pairs * n)
                for level, n_pairs in enumerate(levels)
            )
        if isinstance(operation, Sign):
            dealt = self._dealt_difference(here, n)
            return None, (DealerSign(dealt.sign, dealt.chosen),)
        draws = self._source("evaluator_dealer", "masks").at(here.lot, here.step)
        mask = deal_mask(draws, n)
        high = selecting.high_part(self._mine(here, n) + mask.mine)
        clear = MaskShares(high.astype(np.uint64), selecting.top_bit(high))
        parts: tuple[DealerPart, ...] = ()
        if isinstance(operation, Relu):
            self._deal_reference(here, high)
            parts = (DealerRelu(selecting.sign_bit(high), clear, deal_choice(draws, n)),)
        shares = (clear.high - mask.mask.high, clear.top - mask.mask.top)
        self._send(here, "owner", "mask-parts", n, bits, *shares)
        made = self._source("evaluator_dealer", "values").at(here.lot, here.step).words(n)
        return made.reshape(self._shape(here.lot, here.step + 1)), parts

    def _dealt_difference(self, here: Place, n: int) -> DealerDifference:
        dealt = deal_difference(self._source("evaluator_dealer", "masks").at(here.lot, here.step, here.call), n)
        drawn = self._mine(here, n) + dealt.mine
        high = selecting.high_part(drawn)
        self._deal_reference(here, high)
        return DealerDifference(selecting.sign_bit(high), drawn, dealt.chosen, dealt.chosen_mask)

    def _mine(self, here: Place, n: int) -> Words:
        """The owner's part of r."""
        return self._source("owner_dealer", "masks").at(here.lot, here.step, here.call).words(n)

    def _deal_reference(self, here: Place, high: NDArray[np.uint32]) -> None:
        n = len(high)
        draws = self._source("owner_dealer", "references").at(here.lot, here.step, here.call)
        shares = lanes.share_reference(high, lanes.draw_reference_share(draws, n))
        self._send(here, "evaluator", "reference", n, SHORT, shares)

    def _choose(self, here: Place, part: DealerPart, end: float) -> None:
        """Add up the lanes, and share out what follows from them."""
        n, bits = len(part.sign), self._bits[here.step + 1]
        (owners,) = self._receive(here, "owner", "lanes", n, bits, end)
        (evaluators,) = self._receive(here, "evaluator", "lanes", n, bits, end)
        below = lanes.outcome(owners.reshape(lanes.N_LANES, n), evaluators.reshape(lanes.N_LANES, n))
        chosen = (below ^ part.sign).astype(np.uint64)
        if isinstance(part, DealerSign):
            self._send(here, "owner", "sign-selection", n, bits, chosen - part.chosen)
        elif isinstance(part, DealerDifference):
            mask = chosen * part.clear - part.chosen_mask
            self._send(here, "owner", "difference-selection", n, bits, chosen - part.chosen, mask)
        else:
            high = chosen * part.clear.high - part.choice.mask.high
            top = chosen * part.clear.top - part.choice.mask.top
            self._send(here, "owner", "selection", n, bits, chosen - part.choice.chosen, high, top)
