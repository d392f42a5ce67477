"""A link that ends, or is killed, and is started again: its parties come back, with the keys that they have."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import fi_workbench as fi
from fi_workbench.transport.hosted.attached import AttachedLink
from fi_workbench.transport.hosted.link import HostedLink
from fi_workbench.transport.wire import decode
from tests.transport.hosted.parties import ask, until
from tests.transport.hosted.raw import RawNode, n_open_files

ROOT = Path(__file__).parents[3]

HOST = """
    import sys, time
    from pathlib import Path
    from fi_workbench.transport.hosted.link import HostedLink
    folder, runtime, address = sys.argv[1:4]
    link = HostedLink.open(address, name="class", folder=Path(folder), announce_by="cli", announce_in=Path(runtime))
    print(link.status.address, link.status.fingerprint, link.invite(1)[0].split("--token ")[1].split()[0], flush=True)
    link.on_stop = lambda: (link.close(), __import__("os")._exit(0))
    time.sleep(600)
"""


class Host:
    """A link hosted by a process of its own."""

    def __init__(self, folder, runtime, address="127.0.0.1:0"):
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOST), str(folder), str(runtime), address],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        line = self.process.stdout.readline()
        assert line, "the host did not start"
        self.address, self.fingerprint, self.token = line.split()

    def kill(self, number=signal.SIGKILL):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(20.0)
        self.process.stdout.close()


@pytest.fixture
def hosts(tmp_path):
    made = []

    def start(address="127.0.0.1:0"):
        made.append(Host(tmp_path / "class", tmp_path / "runtime", address))
        return made[-1]

    yield start
    for host in made:
        host.kill()


def test_parties_of_a_killed_host_come_back_by_themselves(hosts, links, parties, tmp_path):
    host = hosts()
    seen = links("class-seen")  # lends its status, so that parties know where to go
    party = parties(seen, "Ada")
    party.address, party.tls = host.address, type(party.tls)(fingerprint=host.fingerprint)
    party.enrol(host.token)
    party.start(wait=None)
    assert until(lambda: '"card": null' not in (tmp_path / "class" / "link.json").read_text())
    host.kill()
    assert until(lambda: any(event.kind == "lost" for event in party.events))
    link = links(address=host.address, folder=tmp_path / "class")
    assert link.status.fingerprint == host.fingerprint, "the same certificate"
    assert link.roster.entries[0].name == "Ada"
    assert link.roster.entries[0].member, "known from before, with its card"
    party.link = link
    assert link.roster.wait_for(lambda: party.state == "online", 40.0), party.entry
    [reply] = ask(link, [party.node_id], n=5)
    assert decode(reply.content) == {"n": 5}


def test_who_was_expelled_and_which_tokens_were_used_outlives_a_restart(links, parties, tmp_path):
    link = links()
    address = link.status.address
    ada, bo = parties(link, "Ada"), parties(link, "Bo")
    used, fresh = (command.split("--token ")[1].split()[0] for command in link.invite(2))
    ada.enrol(used)
    link.expel("Ada")
    link.close()
    link = links(address=address)
    bo.link = link
    with pytest.raises(fi.FederationError, match="used already"):
        bo.enrol(used)
    bo.enrol(fresh)
    with pytest.raises(fi.FederationError, match="expelled"):
        ada.enrol(fresh)
    assert [entry.state for entry in link.roster.entries] == ["expelled", "offline"]


def test_a_pull_of_before_the_restart_is_enough_to_be_back(links, parties):
    link = links()
    party = parties(link, "Ada", instance="raw").enrol().start()
    party.stop()
    link.close()
    link = links(address=link.status.address)
    party.link, node = link, RawNode(link, party)
    [asked] = node.pull()
    assert asked.metadata.message_type == "query.announce", "it is asked who it is, as it was not seen yet"


def test_closing_is_quick_and_leaves_no_thread_no_descriptor_and_no_port(tmp_path, parties):
    others = set(threading.enumerate())  # of tests before this one, whose parties may still hang

    def threads():
        made = set(threading.enumerate()) - others
        return {thread.name for thread in made if thread.name.startswith("fi-")}

    HostedLink.open(name="first", folder=tmp_path / "first").close()  # what is imported and opened once
    assert until(lambda: not threads())
    before = n_open_files()
    link = HostedLink.open(name="x", folder=tmp_path / "x", announce_by="kernel", announce_in=tmp_path / "runtime")
    address = link.status.address
    made = [parties(link, name).enrol().start() for name in ("Ada", "Bo")]
    attached = AttachedLink.open(link.announced, folder=tmp_path / "runtime")
    assert until(lambda: len(link._app.parking) == 2), "both hang in a long poll"
    began = time.monotonic()
    link.close()
    assert time.monotonic() - began < 2.0
    link.close()
    attached.close()
    for party in made:
        party.stop()
    assert until(lambda: not threads(), 30.0), threads()
    assert until(lambda: n_open_files() <= before), (n_open_files(), before)
    again = HostedLink.open(address, name="y", folder=tmp_path / "y")
    again.close()


def test_a_link_within_a_running_loop_is_no_business_of_that_loop(links):
    import asyncio

    async def cell():
        link = links()
        tasks = asyncio.all_tasks()
        link.close()
        return len(tasks)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert asyncio.run(cell()) == 1
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_port_that_is_taken_is_named_and_leaves_the_folder_free(links, tmp_path):
    link = links()
    with pytest.raises(fi.FederationError, match="Nothing can listen on"):
        links("other", address=link.status.address)
    links("other").close()


def test_a_link_without_a_folder_is_forgotten():
    link = HostedLink.open(name="passing")
    folder = link._keeping.folder
    assert folder.stat().st_mode & 0o777 == 0o700
    link.close()
    assert not folder.exists()


def test_an_old_certificate_is_renewed_and_a_given_one_is_used(links, tmp_path, monkeypatch):
    import datetime as dt

    from fi_workbench.transport.hosted import certificates

    first = links()
    first.close()
    again = links()
    assert again.status.fingerprint == first.status.fingerprint
    again.close()
    now = certificates._now()
    monkeypatch.setattr(certificates, "_now", lambda: now + dt.timedelta(days=701))
    renewed = links()
    assert renewed.status.fingerprint != first.status.fingerprint
    given = links("given", certificate=(tmp_path / "class" / "link.crt", tmp_path / "class" / "link.key"))
    assert given.status.fingerprint == renewed.status.fingerprint
    with pytest.raises(fi.FederationError, match="cannot be read"):
        links("third", certificate=(tmp_path / "none.crt", tmp_path / "none.key"))
