"""Registries: names, suggestions, and plug-ins of other distributions, installed for real."""

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from fi_workbench.core.errors import DuplicateName, UnknownName
from fi_workbench.core.registry import Registry

PLUGIN = '''
import numpy as np
from typing import Annotated
import fi_workbench as fi
from fi_workbench.core.options import Between

assert "soft_vote" in fi.rules, "a plug-in may look up what is there"

@fi.aggregation_rule(needs="each")
def loudest(answers, *, pick: Annotated[int, Between(0, 3)] = 0):
    """The answer of the most certain party."""
    best = answers.max(axis=2).argmax(axis=0)
    return answers[best, np.arange(answers.shape[1])]

@fi.contribution_method(needs="nothing")
def first_takes_all(view):
    """All to the first."""
    return np.eye(view.n_parties)[0]
'''


def test_names_are_unique_identifiers():
    things = Registry("thing")
    member = object()
    assert things.add("one", member) is member
    with pytest.raises(DuplicateName, match="already a thing called 'one'"):
        things.add("one", object())
    assert things["one"] is member
    with pytest.raises(ValueError, match="identifier, not 'two words'"):
        things.add("two words", member)


def test_an_unknown_name_lists_the_known_and_suggests_the_closest():
    things = Registry("thing")
    things.add("soft_vote", 1)
    things.add("hard_vote", 2)
    with pytest.raises(UnknownName) as refusal:
        things["soft_vot"]
    assert str(refusal.value) == (
        "There is no thing called 'soft_vot'. Did you mean 'soft_vote'? Known: hard_vote, soft_vote."
    )
    assert refusal.value.known == ("hard_vote", "soft_vote")
    for strange in (None, 3, [], {}):
        with pytest.raises(UnknownName, match="Known: hard_vote, soft_vote"):
            things[strange]
    with pytest.raises(UnknownName, match="Known: none"):
        Registry("nothing")["x"]


def test_a_member_can_be_replaced_by_removing_it():
    things = Registry("thing")
    things.add("one", 1)
    things.remove("one")
    assert "one" not in things
    assert len(things) == 0
    things.add("one", 2)
    assert things.items() == (("one", 2),)
    assert list(things) == ["one"]
    with pytest.raises(UnknownName):
        things.remove("two")


def installed(folder, name, code, entries):
    """A distribution as pip leaves it: a module beside its dist-info."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


def run(folder, code):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(Path.cwd())])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plugins_of_an_installed_distribution_are_there_and_a_broken_one_only_warns(tmp_path):
    site = tmp_path / "site"
    entries = "[fi_workbench.rules]\nloudest = fi_extra:loudest\n\n[fi_workbench.contributions]\nall = fi_extra\n"
    installed(site, "fi_extra", PLUGIN, entries)
    installed(site, "fi_broken", "raise RuntimeError('half written')", "[fi_workbench.rules]\nbroken = fi_broken\n")
    out = run(
        site,
        """
        import warnings
        import numpy as np
        import fi_workbench as fi
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert "loudest" in fi.rules
        assert [str(w.message) for w in caught] == [
            "Plug-in 'broken' (fi_broken) could not be loaded: half written"], caught
        answers = np.array([[[0.6, 0.4]], [[0.1, 0.9]]])
        assert fi.aggregate(np.log(answers), rule="loudest").argmax() == 1
        assert fi.contributions(np.log(answers), method="first_takes_all").tolist() == [1.0, 0.0]
        try:
            fi.aggregate(np.log(answers), rule="loudest", pick=9)
        except ValueError as error:
            print(error)
        """,
    )
    assert "a number from 0 to 3" in out


def test_a_lookup_while_plugins_load_waits_for_all_of_them(monkeypatch):
    things = Registry("thing")
    loading, go_on = threading.Event(), threading.Event()

    class Entry:
        name = value = "slow"

        def load(self):
            loading.set()
            assert go_on.wait(10)
            things.add("late", 1)

    monkeypatch.setattr("fi_workbench.core.registry.entry_points", lambda group: [Entry()])
    found = []
    first = threading.Thread(target=lambda: found.append("late" in things))
    second = threading.Thread(target=lambda: found.append(things["late"]))
    first.start()
    assert loading.wait(10)
    second.start()
    second.join(0.1)
    assert second.is_alive(), "it must not answer from half a registry"
    go_on.set()
    first.join(10)
    second.join(10)
    assert sorted(map(bool, found)) == [True, True]
