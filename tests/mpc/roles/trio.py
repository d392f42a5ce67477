"""One triple in three threads, and what went between them."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fi_workbench.core.peers import BadPeerMessage, PeerLate, Traffic
from fi_workbench.mpc import ring
from fi_workbench.mpc.assignment import Triple
from fi_workbench.mpc.compiled import LayerWeights
from fi_workbench.mpc.plan import Lift, Plan, Step
from fi_workbench.mpc.roles import DealerRole, EvaluatorRole, OwnerRole, Seen
from fi_workbench.mpc.streams import Lot, MaskSource, TripleKeys, query_mask, query_source

NAMES = Triple("ann", "eve", "dan")
ROLES = ("owner", "evaluator", "dealer")
SECONDS = 30.0


class Wires:
    """Channels between all in this process."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.mail: dict[tuple[str, str, str], bytes] = {}
        self.broken = False

    def cut(self) -> None:
        with self.changed:
            self.broken = True
            self.changed.notify_all()


class Wire:
    """One party's end."""

    relayed: frozenset[str] = frozenset()

    def __init__(self, wires: Wires, me: str) -> None:
        self.wires, self.me = wires, me
        self.sent: dict[str, Traffic] = {}

    def send(self, to: str, tag: str, *parts: memoryview) -> None:
        message = b"".join(bytes(part) for part in parts)
        before = self.sent.get(to, Traffic())
        self.sent[to] = Traffic(before.n_messages + 1, before.n_bytes + len(message))
        with self.wires.changed:
            assert (self.me, to, tag) not in self.wires.mail, f"{tag} was sent before"
            self.wires.mail[self.me, to, tag] = message
            self.wires.changed.notify_all()

    def receive(self, sender: str, tag: str, n_bytes: int, end: float) -> memoryview:
        place = (sender, self.me, tag)
        with self.wires.changed:
            there = lambda: place in self.wires.mail or self.wires.broken  # noqa: E731
            self.wires.changed.wait_for(there, max(0.0, end - time.monotonic()))
            if place not in self.wires.mail:
                raise PeerLate(sender, f"{sender} has not sent {tag}.")
            message = self.wires.mail[place]
        if len(message) != n_bytes:
            raise BadPeerMessage(sender, f"{tag} has {len(message)} bytes, not {n_bytes}.")
        return memoryview(message)

    def outgoing(self, seconds: float) -> list[tuple[str, bytes]]:
        raise NotImplementedError

    def incoming(self, sender: str, sealed: bytes) -> None:
        raise NotImplementedError

    def abort(self, fault: Exception) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def soon() -> float:
    return time.monotonic() + SECONDS


def together(calls: Sequence[Callable[[], object]], wires: Wires) -> list:
    """What each returns, all at once; the first exception is raised, and nobody waits any longer."""
    results: list = [None] * len(calls)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            results[number] = calls[number]()
        except BaseException as error:  # noqa: BLE001 (raised below)
            errors.append(error)
            wires.cut()

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SECONDS)
    if errors:
        raise errors[0]
    return results


class Trio:
    """A triple, set up; keys of its own unless they are given."""

    def __init__(self, plan: Plan, weights: Sequence[LayerWeights] = (), keys: Sequence[bytes] = ()) -> None:
        self.plan = plan
        self.owner_dealer, self.owner_evaluator, self.evaluator_dealer, self.query_seed = keys or [
            secrets.token_bytes(32) for _ in range(4)
        ]
        wires = self.all_wires = Wires()
        self.wires = {role: Wire(wires, getattr(NAMES, role)) for role in ROLES}
        held = {
            "owner": TripleKeys(self.owner_dealer, self.owner_evaluator),
            "evaluator": TripleKeys(None, self.owner_evaluator, self.evaluator_dealer, self.query_seed),
            "dealer": TripleKeys(self.owner_dealer, None, self.evaluator_dealer, self.query_seed),
        }
        self.owner = OwnerRole(NAMES, 0, plan, weights, held["owner"], self.wires["owner"])
        self.evaluator = EvaluatorRole(NAMES, 0, plan, held["evaluator"], self.wires["evaluator"])
        self.dealer = DealerRole(NAMES, 0, plan, held["dealer"], self.wires["dealer"])
        self.roles = (self.owner, self.evaluator, self.dealer)
        self.rounded: dict[tuple[Lot, int], np.ndarray] = {}
        rounding = self.owner._rounding
        self.owner._rounding = lambda here, n: self.rounded.setdefault((here.lot, here.step), rounding(here, n))
        self.seen: list[Seen] = []
        for role in self.roles:
            role.observer = self.seen.append
        self.client = query_source(self.query_seed)
        self.next_index: dict[int, int] = {}
        together([lambda role=role: role.set_up(soon()) for role in self.roles], wires)

    def offline(self, n_queries: int) -> tuple[Lot, list]:
        """The next lot of that size, and what each role needs for it."""
        index = self.next_index.get(n_queries, 0)
        self.next_index[n_queries] = index + 1
        lot = Lot(n_queries, index)
        return lot, together([lambda role=role: role.offline(lot, soon()) for role in self.roles], self.all_wires)

    def online(self, queries: np.ndarray, lot: Lot, materials: Sequence) -> tuple[np.ndarray, np.ndarray]:
        """The two shares of the output, for queries as words."""
        masked = queries - query_mask(self.client, lot, self.plan.input_shape)
        owner, evaluator, dealer = materials
        shares = together(
            [
                lambda: self.owner.online(lot, owner, soon(), masked),
                lambda: self.evaluator.online(lot, evaluator, soon()),
                lambda: self.dealer.online(lot, dealer, soon()),
            ],
            self.all_wires,
        )
        assert shares[2] is None
        return shares[0], shares[1]

    def words(self, queries: np.ndarray) -> np.ndarray:
        """The output of queries as words."""
        lot, materials = self.offline(len(queries))
        owner, evaluator = self.online(queries, lot, materials)
        return owner + evaluator

    def answers(self, queries: np.ndarray) -> np.ndarray:
        """The output of queries as numbers."""
        return ring.decode(self.words(ring.encode(queries)), 32)

    def dealt(self, lot: Lot, step: int, n: int, call: int = 0) -> np.ndarray:
        """r of one step, as the dealer has it."""
        parts = (
            MaskSource.of(key, "masks").at(lot, step, call).words(n)
            for key in (self.owner_dealer, self.evaluator_dealer)
        )
        return sum(parts, np.zeros(n, np.uint64))

    def rounding(self, lot: Lot, step: int) -> np.ndarray:
        """What the owner added to the values of one step before they were cut, as integers."""
        return self.rounded[lot, step].view(np.int64)

    def traffic(self) -> Mapping[tuple[str, str], Traffic]:
        """What went from role to role so far."""
        by_name = {getattr(NAMES, role): role for role in ROLES}
        return {(role, by_name[to]): sent for role, wire in self.wires.items() for to, sent in wire.sent.items()}


def encoded(step: int, weight: np.ndarray, bias: np.ndarray) -> LayerWeights:
    return LayerWeights(step, ring.encode(weight), ring.encode(bias, 32))


def on_words(*operations: Step, n: int, factor: int = 1) -> Plan:
    """A plan whose first value is the query itself as a shared one, and whose output is the last value as it is."""
    last = len(operations) + 1
    steps = (Step(Lift(1), (0,), (n,), "shared"), *operations)
    if operations[-1].held == "masked":
        steps += (Step(Lift(factor), (last,), operations[-1].shape, "shared"),)
    return Plan((n,), steps, 1.0)
