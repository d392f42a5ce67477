"""What the three roles have in common: their place, their mask sources, and messages as named arrays."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.peers import Buffer, Peers
from fi_workbench.mpc import pairing, ring
from fi_workbench.mpc.assignment import Role as RoleName
from fi_workbench.mpc.assignment import Triple
from fi_workbench.mpc.compare.selecting import SHORT_MASK
from fi_workbench.mpc.plan import Add, Lift, Operation, Pairs, Plan, Reshape, SumPool, Wins
from fi_workbench.mpc.roles.messages import Name, Phase, fields_of
from fi_workbench.mpc.streams import SET_UP, Lot, LotSet, MaskReused, MaskSource, TripleKeys
from fi_workbench.mpc.widths import SHORT, value_bits
from fi_workbench.mpc.words import Array, packed, unpacked

Words = NDArray[np.uint64]
Pair: TypeAlias = Literal["owner_dealer", "owner_evaluator", "evaluator_dealer"]


@dataclass(frozen=True)
class Place:
    """Where in a session something is sent or drawn.

    Parameters
    ----------
    phase : {"set_up", "offline", "online"}
    lot : Lot
        :data:`~fi_workbench.mpc.streams.SET_UP` before all lots.
    step : int
        Of the plan.
    call : int
        Counts what one step does several times.
    """

    phase: Phase
    lot: Lot
    step: int
    call: int = 0


@dataclass(frozen=True, eq=False)
class Seen:
    """What a role sends, receives or holds, for tests and for the teaching view.

    Parameters
    ----------
    number : int
        Of the triple in its session.
    place : Place
    role : {"owner", "evaluator", "dealer"}
    act : {"sends", "receives", "holds"}
    peer : str
        To or from whom; empty where the role holds something.
    name : str
    array : ndarray
        Read-only.
    """

    number: int
    place: Place
    role: RoleName
    act: Literal["sends", "receives", "holds"]
    peer: str
    name: str
    array: NDArray[np.generic]

    @property
    def lot(self) -> Lot | None:
        """Of which lot it is; None in the set-up."""
        return None if self.place.lot == SET_UP else self.place.lot

    @property
    def phase(self) -> Phase:
        """When it is."""
        return self.place.phase

    @property
    def step(self) -> int:
        """Of which step of the plan."""
        return self.place.step


class RoleRunner:
    """One role of one triple in one session; may be used from several threads, each with a lot of its own.

    Parameters
    ----------
    role : {"owner", "evaluator", "dealer"}
    triple : Triple
    number : int
        The triple's index in the session.
    plan : Plan
    keys : TripleKeys
        Those that the role holds.
    peers : Peers
    """

    def __init__(self, role: RoleName, triple: Triple, number: int, plan: Plan, keys: TripleKeys, peers: Peers) -> None:
        self.observer: Callable[[Seen], None] | None = None
        self.plan = plan
        self._role: RoleName = role
        self._triple = triple
        self._number = number
        self._keys = keys
        self._peers = peers
        self._bits = value_bits(plan)
        self._last_use = {value: place for place, step in enumerate(plan.steps) for value in step.inputs}
        self._sources: dict[tuple[Pair, str], MaskSource] = {}
        self._spent = LotSet()
        self._spending = threading.Lock()

    def _source(self, pair: Pair, purpose: str) -> MaskSource:
        """The masks of one purpose that a pair has in common."""
        source = self._sources.get((pair, purpose))
        if source is None:
            root: bytes | None = getattr(self._keys, pair)
            if root is None:
                raise ValueError(f"The {self._role} holds no masks of {pair.replace('_', ' and ')}.")
            # whoever comes first: several lots may be prepared at once, and there is one source for all
            source = self._sources.setdefault((pair, purpose), MaskSource.of(root, purpose))
        return source

    def _close_lot(self, lot: Lot) -> None:
        """No mask of this lot is drawn any more."""
        for source in tuple(self._sources.values()):
            source.close_lot(lot)

    def _spend(self, lot: Lot, material_lot: Lot) -> None:
        """Book a lot before anything of it is sent online.

        Raises
        ------
        MaskReused
            It was booked before, or the material is another lot's.
        """
        with self._spending:
            if lot in self._spent or lot != material_lot:
                raise MaskReused(f"Lot {lot.index} of {lot.n_queries} queries was used before. Take the next lot.")
            self._spent.add(lot)

    def _n(self, lot: Lot, value: int) -> int:
        """How many entries a value has, for all queries of the lot."""
        return lot.n_queries * math.prod(self.plan.shape_of(value))

    def _shape(self, lot: Lot, value: int) -> tuple[int, ...]:
        return (lot.n_queries, *self.plan.shape_of(value))

    def _send(self, place: Place, to: RoleName, message: Name, n: int, bits: int, *arrays: Array) -> None:
        """Send one message of a step, whose arrays are those of :func:`fields_of`."""
        peer = self._name_of(to)
        parts: list[Buffer] = []
        for field, array in zip(fields_of(message, n, bits), arrays, strict=True):
            parts += packed(field, array)
            self._show(place, "sends", peer, field.name, array)
        self._peers.send(peer, self._tag(place, message), *parts)

    def _receive(self, place: Place, sender: RoleName, message: Name, n: int, bits: int, end: float) -> list[Array]:
        """The arrays of one message of a step.

        Raises
        ------
        PeerFault
        """
        peer, fields = self._name_of(sender), fields_of(message, n, bits)
        n_bytes = sum(field.n_bytes for field in fields)
        data = self._peers.receive(peer, self._tag(place, message), n_bytes, end)
        arrays: list[Array] = []
        for field in fields:
            arrays.append(unpacked(field, data[: field.n_bytes]))
            data = data[field.n_bytes :]
            self._show(place, "receives", peer, field.name, arrays[-1])
        return arrays

    def _tag(self, place: Place, message: Name) -> str:
        name = f"{message}.{place.call}" if place.call else message
        return f"{self._number}/{place.phase}/{place.lot.n_queries}.{place.lot.index}/{place.step}/{name}"

    def _name_of(self, role: RoleName) -> str:
        name: str = getattr(self._triple, role)
        return name

    def _holds(self, place: Place, name: str, array: Words, value: int | None = None) -> None:
        """Tell the observer what is held after a step: of a value, the bits that it is held with."""
        if self.observer is not None:
            short = value is not None and self._bits[value] == SHORT
            self._show(place, "holds", "", name, array & SHORT_MASK if short else array)

    def _show(
        self,
        place: Place,
        act: Literal["sends", "receives", "holds"],
        peer: str,
        name: str,
        array: NDArray[np.generic],
    ) -> None:
        if self.observer is not None:
            view = array.view()
            view.flags.writeable = False
            self.observer(Seen(self._number, place, self._role, act, peer, name, view))


class HeldValues:
    """What a role holds of the values of a plan, each for as long as a later step takes it."""

    def __init__(self, plan: Plan, last_use: dict[int, int], query: Words | None) -> None:
        self._plan = plan
        self._last_use = last_use
        self._values: dict[int, Words] = {} if query is None else {0: query}

    def __getitem__(self, value: int) -> Words:
        return self._values[value]

    def __contains__(self, value: int) -> bool:
        return value in self._values

    def inputs(self, place: int) -> list[Words]:
        """What a step takes."""
        return [self._values[value] for value in self._plan.steps[place].inputs]

    def put(self, place: int, made: Words | None) -> None:
        """Keep what a step made, where this role holds something of it, and forget what it took last."""
        if made is not None:
            self._values[place + 1] = made
        for value in self._plan.steps[place].inputs:
            if self._last_use[value] == place:
                self._values.pop(value, None)


def local(
    operation: Operation, inputs: Sequence[Words], shape: tuple[int, ...], adds_public: bool = False
) -> Words | None:
    """A step that every role takes on what it holds, without a message; None where it is not one.

    Parameters
    ----------
    operation : Operation
    inputs : sequence of ndarray of uint64
        Shares, or a masked value, or its mask: each (query, ...).
    shape : tuple of int
        Of what it makes, with the query axis.
    adds_public : bool
        Whether this role adds what is public; one of the two that share a value does.
    """
    if isinstance(operation, SumPool):
        return ring.sum_pool(operation, inputs[0])
    if isinstance(operation, Reshape):
        return inputs[0].reshape(shape)
    if isinstance(operation, Lift):
        return inputs[0] * np.uint64(operation.factor)
    if isinstance(operation, Add):
        return inputs[0] + inputs[1]
    if isinstance(operation, Pairs):
        return pairing.pairs(inputs[0])
    if isinstance(operation, Wins):
        return pairing.wins(inputs[0], adds_public)
    return None
