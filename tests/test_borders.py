"""Borders that import-linter cannot draw: it sees another package as one thing."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fi_workbench"
PUBLIC_FLOWER = {"flwr.app", "flwr.clientapp", "flwr.serverapp"}


def imported_by(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def internals_of_flower(source):
    return {name for name in imported_by(source) if name.split(".")[0] == "flwr" and name not in PUBLIC_FLOWER}


def test_only_the_adapter_touches_what_flower_does_not_publish():
    touching = {
        str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if internals_of_flower(path.read_text())
    }
    assert touching
    assert all(path.startswith("transport/flower_internals/") for path in touching), touching


def test_the_check_itself_sees_internals():
    assert internals_of_flower("from flwr.supercore.run import Run") == {"flwr.supercore.run"}
    assert internals_of_flower("from flwr.app import Message") == set()


@pytest.mark.parametrize("forbidden", ["pickle", "dill", "cloudpickle", "marshal", "shelve"])
def test_nothing_unpickles(forbidden):
    using = [path.name for path in PACKAGE.rglob("*.py") if forbidden in set(imported_by(path.read_text()))]
    assert using == []
