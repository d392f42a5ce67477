"""A real `flower-superlink` of this environment, on loopback and a port of its own; and parties that join it."""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.control_pb2 import RegisterNodeRequest  # noqa: TID251 (what `flwr supernode register` sends)

from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.ports import ANNOUNCE
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.flower_internals.fleet import node_public_bytes
from fi_workbench.transport.link import FlowerLink
from fi_workbench.transport.node.party_node import Tls
from fi_workbench.transport.protobuf_http import Address, Connection
from fi_workbench.transport.superlink import SuperLinkLink
from tests.harness import linear_party, until
from tests.transport.fake_link import self_signed
from tests.transport.node_cases import running

SCRIPTS = Path(sysconfig.get_path("scripts"))
START_SECONDS = 60.0


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def environment(folder, **more):
    """Of a process that a test starts: Flower keeps its files in `folder`, and asks nobody for updates."""
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "FLWR_HOME": str(folder / "flwr")}
    return {**os.environ, **quiet, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", **more}


class SuperLinkProcess:
    """`flower-superlink --isolation process`, started by entering it.

    `kind` is `"memory"`, `"database"`, or `"tls"` (TLS and node authentication).
    """

    def __init__(self, folder, kind="memory"):
        self.folder, self.kind, self.port = folder, kind, free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.root = None
        self._flags = ["--insecure"]
        if kind == "database":
            self._flags += ["--database", str(folder / "superlink.db")]
        elif kind == "tls":
            (root, _), _, authority = self_signed(folder, "authority")
            (certificate, key), _, _ = self_signed(folder, "server", authority)
            self.root = root.read_bytes()
            files = ["--ssl-ca-certfile", str(root), "--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)]
            self._flags = [*files, "--enable-supernode-auth"]
        self._process = None

    @property
    def tls(self):
        return Tls(insecure=self.root is None, root_certificates=self.root)

    def start(self):
        command = [SCRIPTS / "flower-superlink", "--isolation", "process", "--host", "127.0.0.1"]
        with (self.folder / "superlink.log").open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port), *self._flags],
                stdout=log, stderr=log, env=environment(self.folder), cwd=self.folder,
            )  # fmt: skip
        assert until(self._listens, START_SECONDS), (self.folder / "superlink.log").read_text()
        return self

    def _listens(self):
        assert self._process.poll() is None, (self.folder / "superlink.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self):
        """As a crash does."""
        self._process.kill()
        self._process.wait(START_SECONDS)

    def pause(self, paused):
        os.kill(self._process.pid, signal.SIGSTOP if paused else signal.SIGCONT)

    def register(self, key):
        """What the operator does for each node where nodes are authenticated."""
        connection = Connection(Address.parse(self.address), self.tls, self.tls.context())
        request = RegisterNodeRequest(public_key=node_public_bytes(key))
        connection.post("/v1/control/register-node", request.SerializeToString(), {}, START_SECONDS)
        connection.close()

    def open(self, **options):
        return SuperLinkLink.open(self.address, root_certificates=self.root, insecure=self.root is None, **options)

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10.0)
            except subprocess.TimeoutExpired:
                self.kill()


class Crowd:
    """Parties that join a SuperLink from threads of this process, each with its own node."""

    def __init__(self, superlink, stack):
        self.superlink, self._stack = superlink, stack
        self.sides, self.keys, self.nodes, self._exits = {}, {}, {}, {}

    def join(self, name, *, wrap=lambda handle: handle, side=None):
        side = self.sides[name] = side or self.sides.get(name) or PartySide(linear_party(name))
        if name not in self.keys:
            self.keys[name] = ec.generate_private_key(ec.SECP384R1())
            if self.superlink.kind == "tls":
                self.superlink.register(self.keys[name])
        app = client_app(wrap(side.handle), [ANNOUNCE, "answer", "ping"])
        exits = self._exits[name] = ExitStack()
        self._stack.callback(exits.close)
        options = {"tls": self.superlink.tls, "key": self.keys[name]}
        self.nodes[name] = exits.enter_context(running(self.superlink.address, app=app, **options))
        return self.nodes[name]

    def leave(self, name):
        self._exits[name].close()


@contextmanager
def crowd(superlink, *names, wrap=lambda handle: handle):
    with ExitStack() as stack:
        joined = Crowd(superlink, stack)
        for name in names:
            joined.join(name, wrap=wrap)
        yield joined


def ponging(handle):
    """A party that answers the message `query.ping`, too."""
    return lambda phase, body: {**body, "pong": True} if phase == "ping" else handle(phase, body)


def states(link):
    return {entry.name: entry.state for entry in link.roster.entries}


def ask(link, *, seconds=20.0, phase="ping", parties=None):
    """One message to each member; replies and absences by party."""
    members = {entry.name: (entry.node, entry.card) for entry in link.roster.members}
    way = FlowerLink(link.grid, members)
    bodies = {name: {"to": name} for name in parties or members}
    [_, *came] = way.exchange(phase, bodies, round_id="round", seconds=seconds, cancelled=threading.Event())
    return {one.party: one for one in came}


PARTY = """
import sys, time
from fi_workbench.core.keyfile import KeyFile
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.node.party_node import PartyNode, Tls
from tests.harness import linear_party
address, name, key, hang = sys.argv[1:]
keys = KeyFile.load_or_create(key, name)
side = PartySide(linear_party(name), keys.identity)
def handle(phase, body):
    if phase == "ping":
        print("asked", flush=True)
        time.sleep(float(hang))
        return {**body, "pong": True}
    return side.handle(phase, body)
app = client_app(handle, ["announce", "ping"])
node = PartyNode(app, address, keys.node, tls=Tls(insecure=True), on_event=lambda event: print(event.kind, flush=True))
node.run()
"""


def party_process(superlink, name, key_file, hang_seconds=0.0):
    """A party in a process of its own, which may be killed; it prints its events."""
    command = [sys.executable, "-c", PARTY, superlink.address, name, str(key_file), str(hang_seconds)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root,
        env=environment(superlink.folder, PYTHONPATH=str(root)),
    )  # fmt: skip
