"""Sessions of parties in this process, over whichever way a test wants; and whoever carries what they relay."""

import secrets
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from fi_workbench.transport.peers.in_process import InProcessNetwork, Switchboard
from fi_workbench.transport.peers.tls import TlsNetwork

SESSION = "5e" * 32
WAYS = ("in process", "in process, relayed", "TLS", "TLS, relayed")


def soon(seconds=20.0):
    """A deadline that no test reaches unless something is wrong."""
    return time.monotonic() + seconds


def free_port():
    """Where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def pair_secrets(names):
    """By party, then by peer: 32 bytes that only the two know."""
    drawn = {frozenset(pair): secrets.token_bytes(32) for pair in ((a, b) for a in names for b in names if a < b)}
    return {me: {peer: drawn[frozenset((me, peer))] for peer in names if peer != me} for me in names}


def unreachable_network(patience_seconds=0.1):
    """Over TLS, at an address where nobody listens."""
    return TlsNetwork(advertised=[("127.0.0.1", free_port())], patience_seconds=patience_seconds)


def networks(way, names):
    """One for each name, not yet connected."""
    if way.startswith("in process"):
        board = Switchboard()
        return {name: InProcessNetwork(board, name, names if "relayed" in way else ()) for name in names}
    return {name: unreachable_network() if "relayed" in way else TlsNetwork() for name in names}


def connect_all(made, session=SESSION, secrets_of=None, announced=None, seconds=20.0):
    """Channels by name, or what connecting raised."""
    names = tuple(made)
    secrets_of = secrets_of or pair_secrets(names)
    texts = {name: network.announce(session) for name, network in made.items()}
    announced = announced or {}

    def connect(me):
        peers = {peer: announced.get((me, peer), texts[peer]) for peer in names if peer != me}
        try:
            return made[me].connect(session, me, peers, secrets_of[me], time.monotonic() + seconds)
        except Exception as error:  # noqa: BLE001 (what it raised is what is looked at)
            return error

    with ThreadPoolExecutor(len(names)) as threads:
        return dict(zip(names, threads.map(connect, names), strict=True))


class Carrier:
    """What a coordinator does for parties that cannot reach one another."""

    def __init__(self, channels):
        self._channels = channels
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.carried = []
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            for sender, one in self._channels.items():
                for to, sealed in one.outgoing(0.002):
                    self.carried.append((sender, to, sealed))
                    self._channels[to].incoming(sender, sealed)

    def stop(self):
        self._stop.set()
        self._thread.join()


@contextmanager
def session(way="TLS", names=("a", "b", "c")):
    """Channels by name, closed in the end."""
    made = networks(way, names)
    try:
        channels = connect_all(made)
        failed = [error for error in channels.values() if isinstance(error, Exception)]
        if failed:
            raise failed[0]
        carrier = Carrier(channels) if "relayed" in way else None
        try:
            yield channels
        finally:
            if carrier is not None:
                carrier.stop()
    finally:
        for network in made.values():
            network.close()


@contextmanager
def closing_all(**made):
    try:
        yield made
    finally:
        for network in made.values():
            network.close()


def send_on(channels, to):
    """Over a network the first go out before anybody says that they cannot."""
    for k in range(1000):
        channels.send(to, f"tag{k}", bytes(1000))
