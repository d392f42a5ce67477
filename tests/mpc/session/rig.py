"""A whole session in one process: its client, its parties, small models, and channels that can be tampered with."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from fi_workbench.core.peers import BadPeerMessage, PeerFault, PeerLate, PeerLost, Traffic
from fi_workbench.mpc.assignment import triples_of
from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.compiled import Compiled, LayerWeights
from fi_workbench.mpc.keys import SessionKey
from fi_workbench.mpc.party import SecureParty
from fi_workbench.mpc.plan import Dense, Plan, Relu, Step
from fi_workbench.mpc.session import Session
from fi_workbench.mpc.streams import Lot

N_IN, N_HIDDEN, N_OUT = 5, 4, 3
PLAN = Plan(
    (N_IN,),
    (
        Step(Dense(N_IN, N_HIDDEN), (0,), (N_HIDDEN,), "shared", "first"),
        Step(Relu(), (1,), (N_HIDDEN,), "masked", "relu"),
        Step(Dense(N_HIDDEN, N_OUT), (2,), (N_OUT,), "shared", "last"),
    ),
    input_bound=8.0,
)
LINEAR = Plan((N_IN,), (Step(Dense(N_IN, N_OUT), (0,), (N_OUT,), "shared", "only"),), input_bound=8.0)


def ring(values: np.ndarray, bits: int = 16) -> np.ndarray:
    return np.rint(np.asarray(values) * 2.0**bits).astype(np.int64).view(np.uint64)


class Model:
    """A small model in the clear, and compiled."""

    def __init__(self, seed: int, plan: Plan = PLAN) -> None:
        rng = np.random.default_rng(seed)
        self.layers = []
        weights = []
        for number, step in enumerate(plan.steps):
            if isinstance(step.operation, Dense):
                w = rng.normal(size=(step.operation.n_out, step.operation.n_in))
                b = rng.normal(size=step.operation.n_out)
                self.layers.append((w, b))
                weights.append(LayerWeights(number, ring(w), ring(b, 32)))
        self.compiled = Compiled(plan, tuple(weights), ())

    def __call__(self, queries: np.ndarray) -> np.ndarray:
        value = np.asarray(queries, float)
        for number, (w, b) in enumerate(self.layers):
            value = (np.maximum(value, 0) if number else value) @ w.T + b
        return value


Tamper = Callable[[str, str, str, bytes], bytes | None]
"""(sender, to, tag, message) -> what arrives; None for nothing."""


class Board:
    """Channels between all parties of this process; ``tamper`` stands in each."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.mail: dict[tuple[str, str, str], bytes] = {}
        self.gone: set[str] = set()
        self.log: list[tuple[str, str, str, bytes]] = []
        self.tamper: Tamper = lambda sender, to, tag, message: message

    def peers(self, me: str) -> BoardPeers:
        return BoardPeers(self, me)


class BoardPeers:
    relayed: frozenset[str] = frozenset()
    sent: Mapping[str, Traffic] = {}

    def __init__(self, board: Board, me: str) -> None:
        self.board, self.me = board, me
        self.fault: PeerFault | None = None

    def send(self, to: str, tag: str, *parts: bytes) -> None:
        message = b"".join(bytes(part) for part in parts)
        with self.board.changed:
            if self.fault is not None:
                raise self.fault
            if self.me in self.board.gone:
                raise PeerLost(self.me, "closed")
            self.board.log.append((self.me, to, tag, message))
        arriving = self.board.tamper(self.me, to, tag, message)
        with self.board.changed:
            if arriving is not None:
                assert (self.me, to, tag) not in self.board.mail
                self.board.mail[self.me, to, tag] = arriving
                self.board.changed.notify_all()

    def receive(self, sender: str, tag: str, n_bytes: int, end: float) -> memoryview:
        place = (sender, self.me, tag)
        board = self.board
        with board.changed:
            stops = lambda: place in board.mail or self.fault or sender in board.gone or self.me in board.gone  # noqa: E731
            board.changed.wait_for(stops, max(0.0, end - time.monotonic()))
            if self.fault is not None:
                raise self.fault
            if place in board.mail:
                message = board.mail.pop(place)
                if len(message) != n_bytes:
                    raise BadPeerMessage(sender, f"{sender} sent {len(message)} bytes for {tag}, not {n_bytes}.")
                return memoryview(message)
            if sender in board.gone or self.me in board.gone:
                raise PeerLost(sender, f"{sender} is gone, before {tag}.")
            raise PeerLate(sender, f"{sender} has not sent {tag} in time.")

    def outgoing(self, seconds: float) -> list[tuple[str, bytes]]:
        return []

    def incoming(self, sender: str, sealed: bytes) -> None:
        raise AssertionError("nothing is relayed here")

    def abort(self, fault: PeerFault) -> None:
        with self.board.changed:
            self.fault = self.fault or fault
            self.board.changed.notify_all()

    def close(self) -> None:
        with self.board.changed:
            self.board.gone.add(self.me)
            self.board.changed.notify_all()


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


def at_once(calls: Mapping[str, Callable[[], object]], seconds: float = 30.0) -> dict[str, object]:
    """What each call returns, or the exception that it raises; all at the same time."""
    results: dict[str, object] = {}

    def run(name: str, call: Callable[[], object]) -> None:
        try:
            results[name] = call()
        except Exception as error:  # noqa: BLE001 (looked at by the test)
            results[name] = error

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in calls.items()]
    for thread in threads:
        thread.start()
    end = soon(seconds)
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    stuck = set(calls) - set(results)
    assert not stuck, f"still running: {stuck}"
    return results


def first_error(results: Mapping[str, object]) -> Exception | None:
    return next((error for error in results.values() if isinstance(error, Exception)), None)


class Rig:
    """One session; a context manager that sets it up, and closes it."""

    def __init__(
        self,
        n_owners: int = 3,
        n_helpers: int = 0,
        plan: Plan = PLAN,
        pool_size: int = 1,
        first_size: int = 0,
        pool_bytes: int = 1 << 24,
        board: Board | None = None,
        observer: Callable[..., None] | None = None,
        opens: str = "sum",
    ) -> None:
        owners = [f"owner{number}" for number in range(n_owners)]
        helpers = [f"helper{number}" for number in range(n_helpers)]
        self.models = {name: Model(number, plan) for number, name in enumerate(owners)}
        names = (*owners, *helpers)
        keys = {name: SessionKey() for name in names}
        client_key = SessionKey()
        self.keys, self.client_key = keys, client_key
        triples = triples_of(owners, helpers)
        used = {role for triple in triples for role in (triple.owner, triple.evaluator, triple.dealer)}
        self.session = Session(
            binding=secrets.token_bytes(32),
            client_public=client_key.public,
            triples=triples,
            plans=dict.fromkeys(owners, plan),
            versions={name: f"{number:08x}" for number, name in enumerate(owners)},
            publics={name: keys[name].public for name in names if name in used},
            pool_size=pool_size,
            first_size=first_size,
            opens=opens,
        )
        self.board = board or Board()
        self.parties = {
            name: SecureParty(
                self.session,
                name,
                keys[name],
                self.board.peers(name),
                self.models[name].compiled if name in self.models else None,
                pool_bytes=pool_bytes,
                observer=observer,
            )
            for name in self.session.members
        }
        self.client = SecureClient(self.session, client_key)

    def set_up(self, seconds: float = 20.0) -> dict[str, object]:
        end = soon(seconds)
        return at_once({name: lambda party=party: party.set_up(end) for name, party in self.parties.items()})

    def __enter__(self) -> Rig:
        try:
            error = first_error(self.set_up())
            if error is not None:
                raise error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for party in self.parties.values():
            party.close()

    def answers(self, lot: Lot, sealed: Mapping[str, bytes], seconds: float = 20.0) -> dict[str, object]:
        end = soon(seconds)
        return at_once(
            {
                name: lambda name=name, party=party: party.answer(lot, sealed[name], end)
                for name, party in self.parties.items()
            }
        )

    def ask(self, queries: np.ndarray, seconds: float = 20.0) -> np.ndarray:
        lot, sealed = self.client.ask(queries)
        results = self.answers(lot, sealed, seconds)
        error = first_error(results)
        if error is not None:
            raise error
        return self.client.open(lot, results)

    def plain(self, queries: np.ndarray) -> np.ndarray:
        return sum(model(queries) for model in self.models.values())


def queries_of(n: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-4, 4, size=(n, N_IN))


def wait_for(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    end = soon(seconds)
    while not holds():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.005)
