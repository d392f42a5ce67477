"""What the comparison of secure inference reads off its measurements, on made-up ones; nothing is measured here."""

import json
import subprocess
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmarks.secure import environments, measuring, tables, targets
from benchmarks.secure.environments import CannotInstall, Recipe
from benchmarks.secure.measuring import Case, measure
from benchmarks.secure.picture import picture
from benchmarks.secure.relay import Links
from benchmarks.secure.told import names_of, session_from, told_of
from benchmarks.secure.tracing import CountedPeers, Depths, phase_of
from benchmarks.secure.workers import WorkerFailed
from fi_workbench.core.peers import Traffic
from fi_workbench.mpc.keys import SessionKey
from fi_workbench.mpc.plan import Dense, Plan, Step
from fi_workbench.mpc.plan_text import plan_to_text


def system(median, **counted):
    return {
        "trust": "nobody", "samples": [median], "median_seconds": median, "quartile_seconds": (median, median),
        "counted": counted, "refused": "", "cpu_seconds": 0.0, "error": 1e-5,
    }  # fmt: skip


def case_of(model="lenet", n_models=1, where="loopback", **systems):
    named = {name.replace("_", " "): one for name, one in systems.items()}
    return {"title": "LeNet", "model": model, "n_queries": 1, "n_models": n_models, "where": where, "systems": named}


@pytest.fixture
def case():
    found = case_of(ours=system(0.001))
    found["systems"] = {
        targets.PLAIN: system(0.0002),
        targets.ONLINE: system(0.004),
        targets.TOTAL: system(0.01, n_bytes=0.8e6, online_bytes=0.4e6, n_messages=37, peak_bytes={"a": 1, "b": 2}),
        targets.REFERENCE: system(0.5, n_bytes=15e6, n_rounds=95),
        "SPU": {"trust": "one of three", "samples": [], "counted": {}, "refused": "load: it is not here"},
    }
    return found


def test_figures_are_ratios_to_the_reference_of_the_same_case(case):
    measured = {"cases": [case], "sustained": {}, "owners": []}
    found = {one.name: one for one in targets.figures(measured)}
    assert found["LeNet, loopback, total"].value == pytest.approx(50)
    assert found["LeNet, loopback, online"].value == pytest.approx(125)
    assert found["LeNet, online over plaintext"].value == pytest.approx(20)
    assert found["LeNet, bytes of a query, offline and online"].value == pytest.approx(0.8)
    assert all(one.met for one in found.values())
    case["systems"][targets.TOTAL]["median_seconds"] = 0.02
    slower = {one.name: one for one in targets.figures(measured)}
    assert not slower["LeNet, loopback, total"].met


def test_what_was_not_measured_makes_no_figure(case):
    case["systems"][targets.REFERENCE] = {"samples": [], "refused": "not here", "trust": "", "counted": {}}
    names = [one.name for one in targets.figures({"cases": [case]})]
    assert names == ["LeNet, bytes of a query, offline and online", "LeNet, online over plaintext"]
    assert targets.figures({"cases": []}) == []


def test_tables_and_picture_show_who_is_trusted_and_who_failed(case):
    console = Console(record=True, width=200)
    console.print(tables.case_table(case))
    console.print(tables.figure_table(targets.figures({"cases": [case]})))
    text = console.export_text()
    assert "it is not here" in text
    assert "nobody" in text
    assert "125x" in text  # CrypTen over ours online
    drawn = picture([case])
    assert {trace.name for trace in drawn.data} == set(case["systems"]) - {"SPU"}
    assert "0.01" not in json.dumps([list(trace.x) for trace in drawn.data])
    assert 10.0 in [value for trace in drawn.data for value in trace.x]  # milliseconds


class Fake:
    trust, whole = "nobody", True

    def __init__(self, name, log, failing=False):
        self.name, self.log, self.failing = name, log, failing
        self.workers = [SimpleNamespace(cpu_seconds=1.0)]

    def load(self, model, n_queries, n_models):
        return {}

    def prepare(self):
        """Nothing."""

    def ask(self):
        self.log.append(self.name)
        if self.failing and len(self.log) > 4:
            raise WorkerFailed("it has ended")
        return {"seconds": 0.5, "logits": [[0.0] * 10]}

    def count(self):
        return {"n_bytes": 7}


def test_systems_take_turns_and_one_that_fails_leaves_the_others(monkeypatch):
    monkeypatch.setattr(measuring, "TURN_SECONDS", 0.0)
    log, said = [], []
    systems = [Fake("a", log), Fake("b", log, failing=True), Fake("c", log)]
    found = measure(Case("mlp", 1, 1, 3), systems, said.append, wire=iter(range(100)).__next__)
    assert log[:3] == ["a", "b", "c"]
    assert log.count("b") == 2, "not asked again once it failed"
    assert found["b"].refused.startswith("answer in turn 0: it has ended")
    assert said
    assert len(found["a"].samples) == len(found["c"].samples) == 3
    assert found["a"].counted == {"n_bytes": 7, "wire_bytes": 1}
    assert found["a"].error > 0, "held against the model in the clear"
    assert "".join(log[3:]).startswith("ccbaa" + "aacc" + "ccaa"), "the order alternates; the first of two is dropped"


def test_a_link_has_a_delay_and_a_width():
    links = Links(one_way_seconds=0.1, bytes_per_second=1000.0)
    assert links.arrival(0, 1, 100, now=0.0) == pytest.approx(0.2)
    assert links.arrival(0, 1, 100, now=0.0) == pytest.approx(0.3), "behind the first"
    assert links.arrival(1, 0, 100, now=0.0) == pytest.approx(0.2), "the other way is another link"
    assert links.arrival(0, 1, 100, now=9.0) == pytest.approx(9.2), "the link was free again"
    assert sum(links.n_bytes.values()) == 400


class Silent:
    """Channels that lead nowhere."""

    def __init__(self, me):
        self.me = me

    def send(self, to, tag, *parts):
        """Nowhere."""

    def receive(self, sender, tag, n_bytes, end):
        return memoryview(b"")


def test_messages_are_counted_by_phase_and_by_what_they_wait_for():
    depths = Depths()
    a, b = CountedPeers(Silent("a"), depths), CountedPeers(Silent("b"), depths)
    a.send("b", "0/offline/1.0/0/mask", b"123", b"45")
    b.receive("a", "0/offline/1.0/0/mask", 5, 0.0)
    a.send("b", "0/online/1.0/0/c", b"1")
    a.send("b", "0/online/1.0/1/c", b"1")  # waits for nothing: as deep as the first
    b.receive("a", "0/online/1.0/0/c", 1, 0.0)
    b.receive("a", "0/online/1.0/1/c", 1, 0.0)
    b.send("a", "0/online/1.0/0/back", b"1")
    a.receive("b", "0/online/1.0/0/back", 1, 0.0)
    b.send("a", "1/online/1.0/0/c", b"1")  # another model's
    a.receive("b", "1/online/1.0/0/c", 1, 0.0)
    assert depths.critical("1.0") == 4  # question, there, back, answer
    assert depths.critical("1.1") == 2
    assert a.counted["offline"] == Traffic(1, 5)
    assert a.counted["online"] == Traffic(2, 2)
    assert [phase_of(tag) for tag in ("0/set_up/query", "3/online/1.0/2/c", "odd")] == ["set_up", "online", "set_up"]


def test_a_session_is_the_same_at_all_who_are_told_of_it():
    plan = Plan((4,), (Step(Dense(4, 2), (0,), (2,), "shared", "last"),), 1.0)
    owners, helpers = names_of(2)
    assert helpers, "below three owners, helpers play the other roles"
    assert names_of(3)[1] == ()
    offers = {
        name: {
            "public": SessionKey().public.hex(),
            "plan": plan_to_text(plan) if name in owners else None,
            "version": "0a",
        }
        for name in (*owners, *helpers)
    }
    told = told_of(offers, SessionKey().public.hex(), "00" * 32, 2, 1)
    session = session_from(json.loads(json.dumps(told)))
    assert session.id == session_from(told).id
    assert session.members == ("owner0", "helper0", "helper1", "owner1")
    assert session_from({**told, "binding": "11" * 32}).id != session.id


def test_an_environment_that_cannot_be_made_says_why_and_is_tried_again(monkeypatch, tmp_path):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setattr(environments.venv, "create", lambda folder, with_pip: folder.mkdir(parents=True))
    tried = []

    def refuse(python, step):
        tried.append(step)
        raise subprocess.CalledProcessError(1, ["pip"], stderr="a line\nERROR: no matching distribution\n")

    monkeypatch.setattr(environments, "_pip", refuse)
    recipe = Recipe("odd", (("odd==1",), ("odder",)))
    for _ in range(2):
        with pytest.raises(CannotInstall, match="no matching distribution"):
            environments.python_of(recipe)
    assert tried == [("odd==1",)] * 2
    monkeypatch.setattr(environments, "_pip", lambda python, step: tried.append(step))
    assert environments.python_of(recipe) == environments.python_of(recipe)
    assert tried[2:] == [("odd==1",), ("odder",)], "made once"
    assert Recipe("odd", (("odd==2",),)).digest != recipe.digest
