"""How tests are dealt out to the processes of one run."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import LONG_FIRST, MACHINE, pytest_collection_modifyitems, pytest_xdist_make_scheduler

HERE = Path(__file__).parent


def scope_of(nodeid):
    pytest.importorskip("xdist")
    config = SimpleNamespace(getvalue={"dist": "loadfile", "tx": ["2*popen"]}.get)
    return pytest_xdist_make_scheduler(config, None)._split_scope(nodeid)


@pytest.mark.parametrize("name", [*MACHINE, *LONG_FIRST])
def test_what_is_named_is_there(name):
    assert (HERE / name).exists()


def test_what_needs_the_machine_runs_in_one_process():
    scopes = {scope_of(f"tests/{name}/test_it.py::test_it[a@b]") for name in ("browser", "packaging", "soak")}
    assert scopes | {scope_of("tests/test_notebooks.py::test_it")} == {"machine"}


def test_a_module_stays_together_and_apart_from_others():
    assert scope_of("tests/core/test_digest.py::test_a[::]") == scope_of("tests/core/test_digest.py::TestB::test_b")
    assert scope_of("tests/core/test_digest.py::test_a") != scope_of("tests/core/test_arrays.py::test_a")
    assert scope_of("fi_workbench/browser.py::fi_workbench.browser") != "machine"


def test_other_ways_of_dealing_are_left_to_xdist():
    config = SimpleNamespace(getvalue={"dist": "load"}.get)
    assert pytest_xdist_make_scheduler(config, None) is None


def test_what_takes_long_begins_first_and_modules_keep_their_order():
    ids = [
        "fi_workbench/core/a.py::a", "tests/core/test_a.py::b", "tests/core/test_a.py::a", "tests/session/test_a.py::a",
        "tests/attacks/test_a.py::a", "tests/test_notebooks.py::a", "tests/browser/test_a.py::a",
    ]  # fmt: skip
    items = [SimpleNamespace(nodeid=nodeid) for nodeid in ids]
    pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == [
        "tests/test_notebooks.py::a", "tests/browser/test_a.py::a", "tests/attacks/test_a.py::a",
        "tests/session/test_a.py::a", "tests/core/test_a.py::b", "tests/core/test_a.py::a", "fi_workbench/core/a.py::a",
    ]  # fmt: skip


def test_each_process_has_folders_of_its_own():
    home, runtime = Path(os.environ["FI_WORKBENCH_HOME"]), Path(os.environ["JUPYTER_RUNTIME_DIR"])
    assert runtime.parent == home
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    assert home.name == worker if worker else home.name.startswith("fi-workbench-tests-")
