"""One member of our sessions, and the process that it is elsewhere: `python -m benchmarks.secure.member`.

Data between members goes over the product's own TLS channels. The client's sealed question comes over a bare TCP
connection, in the place of a Flower message.
"""

from __future__ import annotations

import argparse
import hashlib
import socket
import sys
import threading
import time
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from benchmarks.secure import models
from benchmarks.secure.questions import read, write
from benchmarks.secure.serving import serve
from benchmarks.secure.told import session_from
from benchmarks.secure.tracing import CountedPeers, Depths
from fi_workbench.core.peers import PeerNetwork
from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.compiler import compile_module
from fi_workbench.mpc.keys import SessionKey, channel_secrets
from fi_workbench.mpc.party import SecureParty
from fi_workbench.mpc.plan_text import plan_to_text
from fi_workbench.mpc.session import Session
from fi_workbench.mpc.streams import Lot
from fi_workbench.transport.peers.tls import TlsNetwork

PATIENCE_SECONDS = 300.0
POOL_BYTES = 1 << 30
_LOOK_SECONDS = 0.005


@dataclass
class _Seat:
    """What a member has of one session."""

    key: SessionKey
    compiled: Compiled | None
    session: Session | None = None
    peers: CountedPeers | None = None
    party: SecureParty | None = None


class Member:
    """One member; sessions are known by a label.

    Parameters
    ----------
    name : str
    network : PeerNetwork
    depths : Depths, optional
        Where messages one behind another are counted, if they are.
    """

    def __init__(self, name: str, network: PeerNetwork, depths: Depths | None = None) -> None:
        self.name = name
        self._network, self._depths = network, depths
        self._seats: dict[str, _Seat] = {}
        self._compiled: tuple[tuple[str, int], Compiled] | None = None

    def offer(self, label: str, model: str | None, number: int = 0) -> dict[str, Any]:
        """A new key for a new session, and the plan of the model, if there is one."""
        compiled = None if model is None else self._compile(model, number)
        self._seats[label] = seat = _Seat(SessionKey(), compiled)
        version = hashlib.sha256(f"{model} {number}".encode()).hexdigest()
        plan = None if compiled is None else plan_to_text(compiled.plan)
        return {"public": seat.key.public.hex(), "plan": plan, "version": version}

    def announce(self, label: str, told: dict[str, Any]) -> str:
        """How this member can be reached in the session."""
        seat = self._seats[label]
        seat.session = session_from(told)
        return b64encode(self._network.announce(seat.session.id)).decode()

    def connect(self, label: str, announced: dict[str, str]) -> float:
        """Channels and set-up; seconds."""
        began, end = time.perf_counter(), time.monotonic() + PATIENCE_SECONDS
        seat = self._seats[label]
        assert seat.session is not None
        near = {name: b64decode(announced[name]) for name in seat.session.peers_of(self.name)}
        secrets = channel_secrets(seat.session, self.name, seat.key)
        channels = self._network.connect(seat.session.id, self.name, near, secrets, end)
        if channels.relayed:
            raise RuntimeError(f"{self.name} cannot reach {', '.join(sorted(channels.relayed))}.")
        seat.peers = CountedPeers(channels, self._depths)
        seat.party = SecureParty(seat.session, self.name, seat.key, seat.peers, seat.compiled, POOL_BYTES)
        seat.party.set_up(end)
        return time.perf_counter() - began

    def answer(self, label: str, lot: Lot, sealed: bytes) -> bytes:
        """To the client."""
        return self._party(label).answer(lot, sealed, time.monotonic() + PATIENCE_SECONDS)

    def fill(self, label: str) -> int:
        """Wait until all lots that are made ahead are there; how many."""
        party = self._party(label)
        while party.ready < party.capacity or party.producing:
            if party.ended:
                raise RuntimeError(party.ended)
            time.sleep(_LOOK_SECONDS)
        return party.ready

    def counted(self, label: str) -> dict[str, Any]:
        """What was sent in each phase."""
        peers = self._seats[label].peers
        assert peers is not None
        return {phase: asdict(traffic) for phase, traffic in peers.counted.items()}

    def finish(self, label: str) -> None:
        """Leave the session."""
        seat = self._seats.pop(label)
        if seat.party is not None:
            seat.party.close()

    def _party(self, label: str) -> SecureParty:
        party = self._seats[label].party
        assert party is not None
        return party

    def _compile(self, model: str, number: int) -> Compiled:
        if self._compiled is None or self._compiled[0] != (model, number):
            compiled = compile_module(
                models.make(model, number), models.INPUT_SHAPE, input_bound=models.INPUT_BOUND,
                sample=models.sample(), name=model,
            )  # fmt: skip
            self._compiled = ((model, number), compiled)
        return self._compiled[1]


def _listen(member: Member, host: str) -> int:
    """Answer questions in threads; the port."""
    server = socket.create_server((host, 0))

    def answer(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock, sock.makefile("rb") as stream:
            while (asked := read(stream)) is not None:
                about, sealed = asked
                try:
                    sealed = member.answer(about["label"], Lot(*about["lot"]), sealed)
                except Exception as error:  # noqa: BLE001 (the client raises it)
                    write(sock, {"error": f"{type(error).__name__}: {error}"}, b"")
                else:
                    write(sock, {}, sealed)

    def accept() -> None:
        while True:
            sock, _ = server.accept()
            threading.Thread(target=partial(answer, sock), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(server.getsockname()[1])


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    told = parser.parse_args()
    torch.set_num_threads(1)
    network = TlsNetwork(told.host)
    member = Member(told.name, network)
    port = _listen(member, told.host)
    commands = {name: getattr(member, name) for name in ("offer", "announce", "connect", "fill", "counted", "finish")}
    try:
        return serve({**commands, "address": lambda: [told.host, port]})
    finally:
        network.close()


if __name__ == "__main__":
    sys.exit(main())
