"""One model's session of secure inference with all three roles in this process, and a record of what they do."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import UnknownName
from fi_workbench.core.peers import Buffer, Peers
from fi_workbench.mpc.assignment import Triple
from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.crew import Crew
from fi_workbench.mpc.keys import SessionKey, channel_secrets
from fi_workbench.mpc.party import SecureParty
from fi_workbench.mpc.roles import Seen
from fi_workbench.mpc.session import Session
from fi_workbench.mpc.streams import Lot
from fi_workbench.mpc.watched import WatchedPeers
from fi_workbench.session.secure_seen import (
    Phase,
    Player,
)
from fi_workbench.transport.peers.in_process import InProcessNetwork, Switchboard

LIMIT_SECONDS = 120.0


@dataclass(frozen=True, eq=False)
class _Held:
    when: float
    seen: Seen


@dataclass(frozen=True, eq=False)
class Sent:
    """One message, as it was sent."""

    when: float
    place: tuple[Phase, int, int, int]  # phase, n_queries, lot, step
    sender: str
    receiver: str
    name: str
    n_bytes: int
    arrays: tuple[tuple[str, NDArray[Any]], ...]


@dataclass(frozen=True, eq=False)
class Asked:
    """One question: its lot, what was sealed for the members and by them, and how long it took."""

    lot: Lot
    sealed: Mapping[str, bytes]
    answers: Mapping[str, bytes]
    seconds: float


class Recorder:
    """What was sent and held, in its order; arrays of the first lot and the set-up, times of all."""

    def __init__(self) -> None:
        self.held: list[_Held] = []
        self.sent: list[Sent] = []
        self._sending = threading.local()

    def see(self, seen: Seen) -> None:
        """Hear of what a role sends or holds."""
        if seen.act == "holds":
            self.held.append(_Held(time.perf_counter(), seen))
        elif seen.act == "sends":
            self._sending.arrays = [*getattr(self._sending, "arrays", []), (seen.name, seen.array)]

    def send(self, sender: str, receiver: str, tag: str, parts: tuple[Buffer, ...]) -> None:
        """Hear of a message; what its sender said last of what it sends is in it."""
        arrays, self._sending.arrays = tuple(getattr(self._sending, "arrays", ())), []
        _, phase, *rest = tag.split("/")
        if len(rest) != 3:  # the root of the query masks, which no role's step sends
            return
        lot, step, name = rest
        n_queries, index = map(int, lot.split("."))
        n_bytes = sum(memoryview(part).nbytes for part in parts)
        self.sent.append(
            Sent(time.perf_counter(), (phase, n_queries, index, int(step)), sender, receiver, name, n_bytes, arrays)  # type: ignore[arg-type]
        )


class _RecordedPeers(WatchedPeers):
    def __init__(self, peers: Peers, recorder: Recorder) -> None:
        super().__init__(peers)
        self._recorder = recorder

    def send(self, to: str, tag: str, *parts: Buffer) -> None:
        self._recorder.send(self.me, to, tag, parts)
        super().send(to, tag, *parts)


class Rehearsal:
    """One session of one model, its three roles in this process; a context manager that sets it up and ends it."""

    def __init__(self, triple: Triple, compiled: Compiled) -> None:
        self.triple, self.compiled, self.recorder = triple, compiled, Recorder()
        names = (triple.owner, triple.evaluator, triple.dealer)
        keys, client_key = {name: SessionKey() for name in names}, SessionKey()
        self.session = Session(
            binding=secrets.token_bytes(32),
            client_public=client_key.public,
            triples=(triple,),
            plans={triple.owner: compiled.plan},
            versions={triple.owner: secrets.token_hex(16)},
            publics={name: key.public for name, key in keys.items()},
            pool_size=1,
            first_size=1,
        )
        self._keys, self.client = keys, SecureClient(self.session, client_key)
        self._crew, self._switchboard = Crew("fi secure view"), Switchboard()
        self._parties: dict[str, SecureParty] = {}
        self.set_up_seconds = 0.0

    def __enter__(self) -> Rehearsal:
        try:
            clock = time.perf_counter()
            self._parties = self._all(self._joined)
            self._all(lambda name, end: self._parties[name].set_up(end))
            self.set_up_seconds = time.perf_counter() - clock
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for party in self._parties.values():
            party.close()
        self._crew.close()

    def ask(self, queries: NDArray[Any]) -> tuple[Asked, NDArray[np.float64]]:
        """One question, and what the client opens."""
        clock = time.perf_counter()
        lot, sealed = self.client.ask(queries)
        answers = self._all(lambda name, end: self._parties[name].answer(lot, sealed[name], end))
        opened = self.client.open(lot, answers)
        return Asked(lot, sealed, answers, time.perf_counter() - clock), opened

    def offline_seconds(self, lot: Lot) -> float:
        """From the first thing that was made ahead for a lot to the last."""
        whens = [one.when for one in self.recorder.held if one.seen.lot == lot and one.seen.phase == "offline"]
        whens += [one.when for one in self.recorder.sent if one.place[:3] == ("offline", lot.n_queries, lot.index)]
        return max(whens) - min(whens) if whens else 0.0

    def role_of(self, name: str) -> Player:
        """What a member plays."""
        role = self.triple.role_of(name)
        if role is None:
            raise UnknownName("member", name, self.session.members)
        return role

    def _joined(self, name: str, end: float) -> SecureParty:
        session, key = self.session, self._keys[name]
        near = dict.fromkeys(session.peers_of(name), b"")
        network = InProcessNetwork(self._switchboard, name)
        peers = network.connect(session.id, name, near, channel_secrets(session, name, key), end)
        compiled = self.compiled if name == self.triple.owner else None
        return SecureParty(
            session, name, key, _RecordedPeers(peers, self.recorder), compiled, observer=self.recorder.see
        )

    def _all(self, call: Callable[[str, float], Any]) -> dict[str, Any]:
        """The same of all three, at the same time."""
        end = time.monotonic() + LIMIT_SECONDS
        names = self.session.members
        results = self._crew.run([lambda name=name: call(name, end) for name in names], end)  # type: ignore[misc]
        return dict(zip(names, results, strict=True))
