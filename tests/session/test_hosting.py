"""`fi-workbench host`: a real process with demo parties on real connections, attached to from here."""

import json
import re
import signal
import subprocess
import sys

import pytest

import fi_workbench as fi
from fi_workbench.core.errors import InvalidOption
from fi_workbench.session.demo import Demo
from fi_workbench.session.hosting import Host, _of_size
from tests.harness import until

SECONDS = 120.0


class Hosting:
    """A host's process, and the events that it printed."""

    def __init__(self, *options):
        command = [sys.executable, "-m", "fi_workbench", "host", *options, "--until-eof", "--json"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = []

    def until(self, *kinds):
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] in kinds:
                return self.events[-1]
        raise AssertionError(f"it ended with {self.process.wait()} after {self.events}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def test_a_host_with_demo_parties_is_attached_to_scaled_and_ended(tmp_path):
    with Hosting("--name", "class", "--parties", "2", "--model", "logistic_regression") as host:
        up = host.until("up", "error")
        assert up["name"] == "class"
        assert {event["event"] for event in host.events[:-1]} == {"preparing"}
        with fi.attach("class", history=None) as federation:
            federation.wait_for(2, SECONDS)
            images, labels = federation.test_set
            record = federation.ask(images[:32], labels[:32])
            assert record.present == ("A", "B")
            assert record.accuracy > 0.5
            with fi.Federation.demo(n_parties=2, model="logistic_regression", history=None) as embedded:
                assert embedded.ask(images[:32], labels[:32]).digest == record.digest
            desk = federation.link._at_desk()
            desk.post("/scale", parties=3)
            federation.wait_for(3, SECONDS)
            assert federation.ask(images[:32]).present == ("A", "B", "C")
            desk.post("/scale", parties=1)
            assert until(lambda: [party.name for party in federation.parties] == ["A"], SECONDS)
            assert federation.ask(images[:32]).parties == ("A",)
            desk.post("/scale", parties=2)  # B comes back with its key
            assert until(lambda: [party.name for party in federation.parties] == ["A", "B"], SECONDS)
            assert federation.wait_for(2, SECONDS).ask(images[:32]).present == ("A", "B")
            with pytest.raises(fi.FederationError, match="1 to 50"):
                desk.post("/scale", parties=51)
            host.process.stdin.close()
            assert host.process.wait(20) == 0
            assert until(lambda: federation.link.status.state == "lost", SECONDS)
            with pytest.raises(fi.NoAnswer, match="away"):
                federation.ask(images[:8])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_and_its_announcement(number, status):
    with Hosting("--name", "ends") as host:
        host.until("up")
        host.process.send_signal(number)
        assert host.process.wait(20) == status
    with pytest.raises(fi.FederationError, match="'ends'"):
        fi.attach("ends")


def test_stopped_from_its_desk():
    with Hosting("--name", "stops") as host:
        host.until("up")
        with fi.attach("stops", history=None) as federation:
            federation.link._at_desk().post("/stop")
            assert host.process.wait(20) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--parties", "-1"], "--parties must be 0 or more"),
        (["--parties", "51"], "1 to 50 demo parties, not 51"),
        (["--certificate", "c.pem"], "go together"),
        (["--parties", "2", "--dataset", "nowhere"], "nowhere"),
        (["--address", "127.0.0.1:99999"], "99999"),
    ],
)
def test_what_cannot_be_hosted_is_said_as_an_event_and_by_the_status(options, said):
    with Hosting("--name", "wrong", *options) as host:
        assert said in host.until("error")["text"]
        assert host.process.wait(20) == 2


def test_the_end_of_its_input_ends_training_too(tmp_path, monkeypatch):
    """As when the server that started it is killed."""
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))  # nothing is trained yet
    with Hosting("--name", "trains", "--parties", "20", "--model", "lenet") as host:
        host.until("preparing")
        host.process.stdin.close()
        assert host.process.wait(20) == 0
        assert "up" not in host.process.stdout.read()


def test_several_of_one_name_are_told_apart_by_their_ids(tmp_path):
    with fi.Federation.host(history=None) as one, fi.Federation.host(history=None) as other:
        with pytest.raises(fi.FederationError, match="Several federations fit") as several:
            fi.attach("federation", history=None)
        assert {one.link.announced.id, other.link.announced.id} <= set(re.findall(r"[0-9a-f]{16}", str(several.value)))
        with fi.attach(other.link.announced.id, history=None) as attached:
            assert attached.link.status.address == other.link.status.address


def test_two_hosts_of_one_name():
    with Host("twice"), pytest.raises(fi.FederationError, match="twice"):
        Host("twice")
    Host("twice").close()  # the name is free again


def test_more_parties_of_the_same_demo():
    demo = Demo(n_parties=3, model=("mlp", "mlp", "lenet"))
    assert _of_size(demo, 2) is demo
    assert _of_size(demo, 5).joined == ("lenet", "lenet")
    assert _of_size(_of_size(demo, 5), 4).joined == ("lenet", "lenet")
    with pytest.raises(InvalidOption, match="1 to 50"):
        Host("never", demo=Demo(n_parties=60))


def test_in_a_terminal_it_says_how_parties_join():
    command = [sys.executable, "-m", "fi_workbench", "host", "--name", "terminal", "--invite", "2", "--until-eof"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as process:
        said = ""
        while "Ctrl-C ends it" not in said:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said += line
        process.stdin.close()
        assert "has ended" in process.stderr.read()
    assert process.returncode == 0
    assert said.count("fi-workbench join --link 127.0.0.1:") == 2
    assert 'fi.attach("terminal")' in said
    assert "certificate SHA-256" in said
