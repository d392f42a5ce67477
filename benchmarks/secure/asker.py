"""The client of our sessions, a process of its own: `python -m benchmarks.secure.asker`."""

from __future__ import annotations

import secrets
import socket
import sys
import time
from typing import Any, BinaryIO

from benchmarks.secure import models
from benchmarks.secure.questions import read, write
from benchmarks.secure.serving import serve
from benchmarks.secure.told import session_from, told_of
from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.keys import SessionKey


class Asker:
    """Asks all members of a session at once, and adds up what they answer."""

    def __init__(self) -> None:
        self._keys: dict[str, SessionKey] = {}
        self._clients: dict[str, SecureClient] = {}
        self._links: dict[str, tuple[socket.socket, BinaryIO]] = {}

    def reach(self, addresses: dict[str, list[Any]]) -> None:
        """Connect to members."""
        for name, (host, port) in addresses.items():
            sock = socket.create_connection((host, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links[name] = (sock, sock.makefile("rb"))

    def begin(self, label: str, offers: dict[str, Any], pool_size: int, first_size: int) -> dict[str, Any]:
        """A new session with those who offered; what they are to be told."""
        key = SessionKey()
        told = told_of(offers, key.public.hex(), secrets.token_hex(32), pool_size, first_size)
        self._clients[label] = SecureClient(session_from(told), key)
        return told

    def ask(self, label: str, n_queries: int) -> dict[str, Any]:
        """One batch, from queries in the clear to logits in the clear."""
        client, queries = self._clients[label], models.queries(n_queries)
        began = time.perf_counter()
        lot, sealed = client.ask(queries)
        for name, one in sealed.items():
            write(self._links[name][0], {"label": label, "lot": [lot.n_queries, lot.index]}, one)
        answers = {name: self._answer(name) for name in sealed}
        logits = client.open(lot, answers)
        return {
            "seconds": time.perf_counter() - began,
            "logits": logits.tolist(),
            "question_bytes": sum(map(len, sealed.values())),
            "answer_bytes": sum(map(len, answers.values())),
        }

    def sustain(self, label: str, n_queries: int, seconds: float) -> dict[str, Any]:
        """One batch after another for so long."""
        began, taken = time.perf_counter(), list[float]()
        while time.perf_counter() - began < seconds:
            taken.append(self.ask(label, n_queries)["seconds"])
        return {"seconds": time.perf_counter() - began, "each": taken}

    def finish(self, label: str) -> None:
        """Forget the session."""
        del self._clients[label]

    def _answer(self, name: str) -> bytes:
        found = read(self._links[name][1])
        if found is None:
            raise RuntimeError(f"{name} has gone.")
        about, sealed = found
        if "error" in about:
            raise RuntimeError(f"{name}: {about['error']}")
        return sealed


def main() -> int:
    asker = Asker()
    return serve({name: getattr(asker, name) for name in ("reach", "begin", "ask", "sustain", "finish")})


if __name__ == "__main__":
    sys.exit(main())
