"""A host that is killed in the middle of a round, and several notebooks on one link: real processes all."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from fi_workbench.transport.hosted import desk_client
from fi_workbench.transport.hosted.announced import announced
from fi_workbench.transport.hosted.attached import AttachedLink
from fi_workbench.transport.hosted.desk_client import Desk, DeskGone
from tests.attacks.far import ROOT, Memory, soon
from tests.session.far_parties import absences, asked, invitation, online
from tests.transport.superlink_process import free_port

NOTEBOOK = """
import sys
import numpy as np
import fi_workbench as fi
from tests.attacks.far import logits
name, seed, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with fi.attach(name, history=None, deadline_seconds=20.0) as federation:
    federation.wait_for(2, 60.0)
    for k in range(n):
        queries = np.random.default_rng([seed, k]).normal(size=(4, 4)).astype(np.float32)
        powers = [np.exp(logits(who, queries)) for who in ("Ada", "Bo")]
        expected = np.mean([one / one.sum(axis=1, keepdims=True) for one in powers], axis=0)
        record = federation.ask(queries)
        np.testing.assert_allclose(record.scores, expected, atol=1e-5)  # its own questions' answers, nobody else's
        print(k, flush=True)
"""


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path / "jupyter"


@pytest.fixture
def hosts(runtime):
    """Starts `fi-workbench host`, and waits until it is up."""
    made = []

    def start(address):
        process = subprocess.Popen(
            [sys.executable, "-m", "fi_workbench", "host", "--name", "class", "--address", address, "--json"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        made.append(process)
        assert json.loads(process.stdout.readline())["event"] == "up"
        return process

    yield start
    for process in made:
        process.kill()
        process.wait(10.0)
        process.stdout.close()


def test_a_host_killed_in_the_middle_of_a_round_costs_that_round(hosts, far):
    address = f"127.0.0.1:{free_port()}"
    host = hosts(address)
    [one] = announced()
    with AttachedLink.open(one) as link:
        where, given = invitation(link)
        ada = far("Ada", link=where, **given)
        assert online(link, "Ada", seconds=60.0), ada.said
        assert absences(asked(link)) == {}
        outcomes = []
        asking = threading.Thread(target=lambda: outcomes.append(asked(link, 5, seconds=20.0)))  # takes three seconds
        asking.start()
        soon(lambda: link.grid.waiting)
        host.send_signal(signal.SIGKILL)
        asking.join(30.0)
        assert outcomes[0].release.present == ()
        assert "host" in absences(outcomes[0])["Ada"], absences(outcomes[0])
        soon(lambda: link.status.state == "lost")
        assert not [
            path for path in Path(os.environ["JUPYTER_RUNTIME_DIR"]).rglob("*.json") if path.stat().st_mode & 0o77
        ]
        hosts(address)
        soon(lambda: link.status.state == "up", 30.0)
        assert online(link, "Ada", seconds=60.0), ada.said
        assert absences(asked(link)) == {}


def test_two_notebooks_ask_one_link_at_once_and_one_that_is_killed_harms_nobody(links, far, runtime):
    link = links(announce_by="kernel", announce_in=None)
    far("Ada", link)
    far("Bo", link)

    def notebook(seed, n):
        return subprocess.Popen(
            [sys.executable, "-c", NOTEBOOK, "class", str(seed), str(n)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    one, two = notebook(1, 40), notebook(2, 10**6)
    try:
        assert one.stdout.readline() == "0\n"
        assert two.stdout.readline() == "0\n"
        two.kill()
        two.wait(10.0)
        assert one.wait(60.0) == 0
        assert one.stdout.read().split()[-1] == "39"
        assert absences(asked(link)) == {}
    finally:
        for process in (one, two):
            process.kill()
            process.wait(10.0)
            process.stdout.close()


@pytest.mark.parametrize("head", ["", "content-encoding: gzip\r\n"])
def test_what_answers_in_the_place_of_a_desk_does_not_fill_its_askers_memory(monkeypatch, head):
    monkeypatch.setattr(desk_client, "_LARGEST_PULL_BYTES", 10_000_000)
    listener = socket.create_server(("127.0.0.1", 0))

    def endless():
        with suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{head}\r\n".encode())
                for _ in range(1000):
                    sock.sendall(b"f4240\r\n" + b"\x00" * 1_000_000 + b"\r\n")

    thread = threading.Thread(target=endless)
    thread.start()
    try:
        with (
            Memory() as memory,
            Desk(f"http://127.0.0.1:{listener.getsockname()[1]}", "token") as desk,
            pytest.raises(DeskGone, match="no desk does"),
        ):
            desk.status()
        assert memory.grown < 100e6
    finally:
        listener.close()
        thread.join(10.0)
