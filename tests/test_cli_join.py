"""`fi-workbench join` and `key`: real processes on a real link, what they print, and their exit status."""

import json
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import psutil
import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key
from rich.console import Console

from fi_workbench.cli import main
from fi_workbench.cli.host import _say_who
from fi_workbench.cli.join import _status_lines
from fi_workbench.core.keyfile import KeyFile
from fi_workbench.privacy import mechanisms
from fi_workbench.session.party_event import PartyEvent
from tests.harness import until
from tests.session.far_parties import absences, asked, hosted, online

MY_PARTY = """
import sys
import time
import numpy as np
import fi_workbench as fi

WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

def model(queries):
    if len(queries) == 5:
        print("at work", flush=True)
        time.sleep(1.0)
    return queries @ WEIGHTS

party = fi.Party.from_callable(
    model, name="Ada", classes=("cat", "dog", "owl"), input_shape=(4,), outputs="logits", class_counts=[5, 3, 9]
)

def broken():
    raise LookupError("where is the model?")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "my_party.py").write_text(MY_PARTY)
    return tmp_path


@pytest.fixture
def link(folder):
    with hosted(folder / "link") as made:
        yield made


@pytest.fixture
def ran(folder, capsys):
    """Runs a command in this process; its exit status, and what it printed to stdout and stderr."""

    def run(command, *arguments, model="my_party.py:party"):
        joins = ["--model", f"{folder}/{model}", "--key", str(folder / "party.key")] if command == "join" else []
        try:
            status = main([command, *joins, *map(str, arguments)])
        except SystemExit as exit_:
            status = exit_.code
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


class Process:
    """A party's process: its lines as they come."""

    def __init__(self, *arguments):
        self.lines = []
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "fi_workbench", *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.reader = threading.Thread(target=lambda: self.lines.extend(iter(self.popen.stdout.readline, "")))
        self.reader.start()

    def said(self, text):
        return until(lambda: any(text in line for line in self.lines))

    def end(self, number):
        self.popen.send_signal(number)
        return self.wait()

    def wait(self):
        status = self.popen.wait(30)
        self.reader.join(10)
        return status


@contextmanager
def process(*arguments):
    made = Process(*arguments)
    try:
        yield made
    finally:
        if made.popen.poll() is None:
            made.popen.kill()
            made.popen.wait()
        made.reader.join(10)
        made.popen.stdout.close()
        made.popen.stderr.close()


def command(link, folder, *more):
    """The command that a host gives out, with the files of this test in it."""
    [given] = link.invite()
    words = given.split()[1:]
    words[words.index("--model") + 1] = str(folder / "my_party.py:party")
    words[words.index("--key") + 1] = str(folder / "party.key")
    return [*words, *more]


def without(words, option):
    at = words.index(option)
    return words[:at] + words[at + 2 :]


def test_the_command_that_a_host_gives_out_joins_answers_and_ends_in_order(link, folder):
    words = command(link, folder, "--max-batch", 100, "--log", folder / "ada.log")
    with process(*words) as ada:
        assert online(link, "Ada", seconds=40)
        assert absences(asked(link)) == {}
        assert "101 queries at once; this party takes 100" in absences(asked(link, 101))["Ada"]
        assert ada.said("6 queries, soft_vote under plain")
        assert ada.said("refused round")
        maps = {one.path for one in psutil.Process(ada.popen.pid).memory_maps()}
        assert any("numpy" in path for path in maps)
        assert not [path for path in maps if "/torch/" in path], "a numpy party imports no torch"
        assert ada.end(signal.SIGTERM) == 0
        assert "Traceback" not in ada.popen.stderr.read()
    shown = "".join(ada.lines)
    for text in ("enrolled: ", "connected: ", "announced itself", "stopped: "):
        assert text in shown
    assert link.roster.wait_for(lambda: link.roster.entry("Ada").state == "offline", 10)
    logged = (folder / "ada.log").read_text()
    assert " answered phase=answer round=" in logged
    assert "reason=101 queries at once" in logged
    # and again, with neither token nor fingerprint
    with process(*without(without(words, "--token"), "--fingerprint"), "--json") as ada:
        assert online(link, "Ada", seconds=40)
        assert absences(asked(link)) == {}
        assert until(lambda: len(ada.lines) >= 3)
        assert ada.end(signal.SIGINT) == 130
    events = [json.loads(line) for line in ada.lines]
    assert [event["kind"] for event in events] == ["connected", "asked", "asked", "stopped"]
    assert events[2]["asked"]["n_queries"] == 6
    assert re.fullmatch("[0-9a-f]{64}", events[2]["asked"]["client"])


def test_the_message_under_way_is_finished_before_a_signal_ends_the_party(link, folder):
    with process(*command(link, folder)) as ada:
        assert online(link, "Ada", seconds=40)
        outcomes = []
        asking = threading.Thread(target=lambda: outcomes.append(asked(link, 5)))
        asking.start()
        assert ada.said("at work")
        assert ada.end(signal.SIGTERM) == 0
        asking.join(30)
    assert absences(outcomes[0]) == {}


def test_a_killed_party_comes_back_with_its_budget(link, folder):
    words = command(link, folder, "--query-budget", 10)
    from fi_workbench.protocol.client_side import ClientSide

    client = ClientSide()
    with process(*words) as ada:
        assert online(link, "Ada", seconds=40)
        assert absences(asked(link, 6, client=client)) == {}
        assert ada.end(signal.SIGKILL) == -signal.SIGKILL
    with process(*words) as ada:
        assert ada.said("connected")
        assert until(lambda: link.roster.entry("Ada").state == "online")
        said = absences(asked(link, 6, client=client))["Ada"]
        assert "4 of 10 left" in said
        assert ada.end(signal.SIGTERM) == 0


def test_what_retrying_cannot_mend_ends_with_status_two(link, folder):
    words = command(link, folder)
    words[words.index("--token") + 1] = "of-my-own-making"
    with process(*words) as ada:
        assert ada.wait() == 2
        assert "EnrolRefused" in ada.popen.stderr.read()
    assert "token" not in "".join(ada.lines), "said once, as the error that ends the command"


def test_tries_that_fail_alike_are_shown_once_in_a_while(capsys):
    at = {"lost": [0.0], "retrying": [0.0, 0.5, 1.0, 16.0, 17.0]}
    with Console(soft_wrap=True) as out:
        show = _status_lines(out)
        show(PartyEvent("lost", "The link is not reached: nobody there", at=at["lost"][0]))
        for second in at["retrying"]:
            show(PartyEvent("retrying", f"Trying again in {second:.1f} s: nobody there", seconds=second, at=second))
        show(PartyEvent("retrying", "Trying again in 3.0 s: it closes", seconds=3.0, at=17.5))
        show(PartyEvent("connected", "Connected.", at=18.0))
        show(PartyEvent("retrying", "Trying again in 4.0 s: it closes", seconds=4.0, at=18.5))
    shown = [line.split(" ", 1)[1] for line in capsys.readouterr().out.splitlines()]
    assert [re.sub("Trying again in | s:.*", "", line) for line in shown] == [
        "lost: The link is not reached: nobody there", "retrying: 0.0", "retrying: 16.0", "retrying: 3.0",
        "connected: Connected.", "retrying: 4.0",
    ]  # fmt: skip


def test_a_party_that_has_to_be_approved_is_told_and_its_host_sees_it(folder, capsys):
    with hosted(folder / "link", approve=True) as link:
        known = _say_who(Console(), link.roster.entries, {})
        with process(*command(link, folder)) as ada:
            assert ada.said("approve this party before it is asked")
            assert until(lambda: any(entry.name == "Ada" for entry in link.roster.entries))
            known = _say_who(Console(), link.roster.entries, known)
            link.approve("Ada")
            assert online(link, "Ada", seconds=40)
            known = _say_who(Console(), link.roster.entries, known)
            _say_who(Console(), link.roster.entries, known)
            assert ada.end(signal.SIGTERM) == 0
    assert re.sub(r"\d\d:\d\d:\d\d ", "", capsys.readouterr().out) == "Ada waiting\nAda online\n"


def test_a_link_that_is_gone_is_said_and_retried(folder):
    with hosted(folder / "link") as link, process(*command(link, folder)) as ada:
        assert online(link, "Ada", seconds=40)
        link.close()
        assert ada.said("lost: ")
        assert ada.said("retrying: ")
        assert ada.end(signal.SIGTERM) == 0


def test_a_dry_run_shows_what_would_be_disclosed_and_leaves_nothing_behind(ran, folder):
    status, out, _ = ran("join", "--dry-run", "--max-batch", 32)
    assert status == 0
    for text in (
        "It would announce", "Ada", "3: cat, dog, owl", "logits", "class_counts, data_size",
        "one is made when it joins",
        "ms per query", "Who would see what under plain", "Who would see what under commit_reveal", "other parties",
        "Limits: max_batch 32.", "Nothing was sent.",
    ):  # fmt: skip
        assert text in out, text
    plain = out.split("under plain")[1].split("under commit_reveal")[0]
    rows = {line.split()[0]: line.split() for line in plain.splitlines() if line.strip()}
    assert rows["answers"][1:] == ["sees", "sees", "-", "-", "sees"]
    assert sorted(path.name for path in folder.iterdir()) == ["my_party.py"]


def test_a_dry_run_shows_only_what_its_limits_accept(ran, folder):
    (folder / "limits.toml").write_text('mechanisms = ["plain"]\nqueries_per_minute = 100\nmax_batch = 8\n')
    (folder / "my_party.py").write_text(MY_PARTY.replace(", class_counts=[5, 3, 9]", ""))
    KeyFile.load_or_create(folder / "party.key", "Ada")
    status, out, _ = ran("join", "--dry-run", "--limits", folder / "limits.toml", "--max-batch", 9, "--json")
    found = json.loads(out)
    assert status == 0
    assert [shown["mechanism"] for shown in found["shown"]] == ["plain"]
    assert found["shown"][0]["sees"]["class_counts"] == [], "who holds none discloses none"
    assert found["unserved"] == {name: "not accepted" for name in mechanisms if name != "plain"}
    assert (found["limits"]["queries_per_minute"], found["limits"]["max_batch"]) == (100, 9)
    assert found["key_exists"]
    public = KeyFile.load(folder / "party.key", "Ada").identity.public
    assert found["card"]["key"] == public.verify_key.hex()
    assert sum(found["label_counts"]) == 64


def test_a_dry_run_asks_the_owners_sample(ran, folder):
    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    sample = np.random.default_rng(5).normal(size=(10, 4)).astype(np.float32)
    np.save(folder / "sample.npy", sample)
    status, out, _ = ran("join", "--dry-run", "--json", "--sample", folder / "sample.npy")
    assert status == 0
    expected = np.bincount((sample @ weights).argmax(axis=1), minlength=3).tolist()
    assert json.loads(out)["label_counts"] == expected
    np.save(folder / "sample.npy", sample[0])
    assert (
        sum(json.loads(ran("join", "--dry-run", "--json", "--sample", folder / "sample.npy")[1])["label_counts"]) == 1
    )


def bad_samples(folder):
    np.save(folder / "shape.npy", np.zeros((3, 5), np.float32))
    np.save(folder / "nan.npy", np.full((3, 4), np.nan, np.float32))
    np.save(folder / "object.npy", np.array([{}], dtype=object))
    (folder / "text.npy").write_text("no array")


@pytest.mark.parametrize("name", ["shape", "nan", "object", "text", "none"])
def test_a_sample_that_cannot_be_asked_ends_with_status_two(ran, folder, name):
    bad_samples(folder)
    status, _, err = ran("join", "--dry-run", "--sample", folder / f"{name}.npy")
    assert (status, "InvalidQuery" in err) == (2, True), err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--link is missing"),
        (["--link", "127.0.0.1:9", "--sample", "x.npy"], "--sample is for --dry-run"),
        (["--link", "192.0.2.1:9", "--insecure"], "reads queries and answers"),
        (["--link", "http://127.0.0.1:9"], "no address"),
        (["--link", "127.0.0.1:9", "--fingerprint", "12"], "no SHA-256 fingerprint"),
        (["--dry-run", "--mechanism", "plian"], "Did you mean 'plain'"),
        (["--dry-run", "--rule", "soft"], "There is no rule called 'soft'"),
        (["--dry-run", "--client", "Ada"], "is no client's key"),
        (["--dry-run", "--max-batch", "0"], "max_batch is a whole number from 1"),
        (["--dry-run", "--behave", "nice"], "There is no behaviour called 'nice'"),
        (["--dry-run", "--limits", "none.toml"], "cannot be read"),
        (["--link", "127.0.0.1:9", "--insecure", "--fingerprint", "ab"], "not allowed with"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_cannot_be_ends_with_status_two_and_the_way_out(ran, arguments, said):
    status, _, err = ran("join", *arguments)
    assert (status, said in err) == (2, True), err


@pytest.mark.parametrize(
    ("limits", "said"),
    [("max_bach = 3", "max_bach, which is unknown. Known: clients"), ("max_batch =", "is no TOML"),
     ('rules = "soft_vote"', "is a list of names"), ("max_batch = true", "max_batch is a whole number")],
)  # fmt: skip
def test_what_is_wrong_with_a_file_of_limits_is_said(ran, folder, limits, said):
    (folder / "limits.toml").write_text(limits)
    status, _, err = ran("join", "--dry-run", "--limits", folder / "limits.toml")
    assert (status, said in err) == (2, True), err


def test_what_the_owners_file_raises_is_shown_to_its_owner(ran):
    status, _, err = ran("join", "--dry-run", model="my_party.py:broken")
    assert status == 2
    for text in ("PartyFileFailed", "where is the model?", "Traceback", "in broken"):
        assert text in err


def test_key_shows_what_it_made(ran, folder):
    status, out, _ = ran("key", folder / "new.key")
    assert status == 0
    public = KeyFile.load(folder / "new.key", "").identity.public
    assert f"ed25519      {public.verify_key.hex()}" in out
    assert f"fingerprint  {public.fingerprint}" in out
    assert ran("key", folder / "new.key", "--name", "Ada")[1] == out


def test_key_writes_what_flower_reads(ran, folder):
    status, _, _ = ran("key", folder / "new.key", "--name", "Ada", "--flower-key", folder / "node")
    assert status == 0
    assert (folder / "node").stat().st_mode & 0o777 == 0o600
    private = load_ssh_private_key((folder / "node").read_bytes(), None)
    assert load_ssh_public_key((folder / "node.pub").read_bytes()) == private.public_key()
    assert private.private_numbers() == KeyFile.load(folder / "new.key", "").node.private_numbers()
    before = (folder / "node").read_bytes()
    status, _, err = ran("key", folder / "new.key", "--flower-key", folder / "node")
    assert (status, "is there already" in err) == (2, True)
    assert (folder / "node").read_bytes() == before


def test_key_refuses_what_it_did_not_make(ran, folder):
    status, _, err = ran("key", folder / "my_party.py")
    assert (status, "left as it is" in err or "chmod 600" in err) == (2, True)
    assert (folder / "my_party.py").read_text() == MY_PARTY


def test_help_waits_for_nothing_heavy():
    code = """
import sys
from fi_workbench.cli import main
for words in (["--help"], ["join", "--help"], ["key", "--help"], ["ledger", "--help"], ["demo", "--help"]):
    try:
        main(words)
    except SystemExit as done:
        assert done.code == 0
print(sorted({"numpy", "torch", "flwr", "cryptography", "sqlite3"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
