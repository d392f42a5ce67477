"""Parties of tests on a real hosted link: threads of this process, or processes of their own."""

import os
import subprocess
import sys
import threading
from base64 import b64encode
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import fi_workbench as fi
from fi_workbench.core.identity import Identity
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.ports import ANNOUNCE
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.hosted.enrolment import enrol
from fi_workbench.transport.link import FlowerLink
from fi_workbench.transport.node.party_node import PartyNode
from fi_workbench.transport.tls import Tls
from fi_workbench.transport.wire import encode
from tests.harness import until

CLASSES, SHAPE = ("cat", "dog", "owl"), (4,)


def toy_party(name, classes=CLASSES, shape=SHAPE):
    def model(queries):
        return np.zeros((len(queries), len(classes)), np.float32)

    return fi.Party.from_callable(model, name=name, classes=classes, input_shape=shape, outputs="logits", probe=False)


def token_of(link, minutes=60.0):
    [command] = link.invite(1, minutes)
    return command.split("--token ")[1].split()[0]


class TestParty:
    """A party with keys, and a node in a thread; `handle(phase, body)` answers all but announcements."""

    __test__ = False

    def __init__(self, link, name, handle=None, *, party=None, identity=None, key=None, instance=None):
        status = link.status
        self.link, self.name, self.address = link, name, status.address
        self.tls = Tls(fingerprint=status.fingerprint)
        self.identity = identity or Identity(name)
        self.key = key or ec.generate_private_key(ec.SECP384R1())
        self.side = PartySide(party or toy_party(name), self.identity)
        self.handle, self.instance = handle or (lambda phase, body: {"n": body["n"]}), instance
        self.events, self.refusal, self.node, self.thread = [], None, None, None

    def enrol(self, token=None):
        enrol(self.address, self.tls, token or token_of(self.link), self.identity, self.key)
        return self

    def _answer(self, phase, body):
        return self.side.handle(phase, body) if phase == ANNOUNCE else self.handle(phase, body)

    def start(self, wait="online"):
        self.refusal = None
        app = client_app(self._answer, [ANNOUNCE, "answer"])
        self.node = PartyNode(
            app, self.address, self.key, tls=self.tls, on_event=self.events.append, instance=self.instance
        )

        def run():
            try:
                self.node.run()
            except fi.FederationError as error:
                self.refusal = str(error)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        if wait:
            assert self.link.roster.wait_for(lambda: self.state == wait, 20.0), self.entry
        return self

    @property
    def entry(self):
        return self.link.roster.of_key(self.identity.public.verify_key.hex())

    @property
    def state(self):
        return None if self.entry is None else self.entry.state

    @property
    def node_id(self):
        return self.entry.node

    def stop(self):
        if self.node is not None:
            self.node.stop()
            self.thread.join(10.0)
            assert not self.thread.is_alive()


def ask(link, nodes, n=1, timeout=20.0, group="round", grid=None):
    """Replies of these nodes to one message each, in their order of arrival."""
    grid = grid or link.grid
    messages = [grid.create_message(encode({"n": n}), "query.answer", node, group, ttl=timeout + 1) for node in nodes]
    return grid.send_and_receive(messages, timeout=timeout)


def rounds_link(link):
    """What asks whoever is a member, as a session does."""
    return FlowerLink(link.grid, {entry.name: (entry.node, entry.card) for entry in link.roster.members})


CHILD = """
import sys, threading
from base64 import b64decode
from cryptography.hazmat.primitives import serialization
import numpy as np
from fi_workbench.core.identity import Identity
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.ports import ANNOUNCE
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.hosted.enrolment import enrol
from fi_workbench.transport.node.party_node import PartyNode
from fi_workbench.transport.tls import Tls
from tests.transport.hosted.parties import toy_party
address, fingerprint, name, token, key, signing, opening = sys.argv[1:8]
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
identity = Identity(name, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(signing)),
                    X25519PrivateKey.from_private_bytes(bytes.fromhex(opening)))
node_key = serialization.load_pem_private_key(b64decode(key), None)
tls = Tls(fingerprint=fingerprint)
if token:
    enrol(address, tls, token, identity, node_key)
side = PartySide(toy_party(name), identity)
answer = np.zeros((64, 10), np.float32)
def handle(phase, body):
    return side.handle(phase, body) if phase == ANNOUNCE else {"answer": answer, "n": body["n"]}
PartyNode(client_app(handle, [ANNOUNCE, "answer"]), address, node_key, tls=tls).run()
"""


class PartyProcess:
    """A party in a process of its own, which may be killed and started again with the same keys."""

    def __init__(self, link, name):
        self.link, self.name = link, name
        key = ec.generate_private_key(ec.SECP384R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._keys = [b64encode(pem).decode(), os.urandom(32).hex(), os.urandom(32).hex()]
        self.process = None

    def start(self, token=None):
        status = self.link.status
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, status.address, status.fingerprint, self.name,
             token_of(self.link) if token is None else token, *self._keys],
            cwd=Path(__file__).parents[3], env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        )  # fmt: skip
        return self

    @property
    def entry(self):
        return next((entry for entry in self.link.roster.entries if entry.name == self.name), None)

    def online(self, seconds=30.0):
        assert self.link.roster.wait_for(lambda: self.entry is not None and self.entry.state == "online", seconds), (
            self.entry
        )
        return self

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait(10.0)


__all__ = ["PartyProcess", "TestParty", "ask", "rounds_link", "token_of", "toy_party", "until"]
