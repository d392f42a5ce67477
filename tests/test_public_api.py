"""What `import fi_workbench as fi` promises: every name, and nothing heavy before it is needed."""

import inspect
import json
import re
import subprocess
import sys

import pytest

import fi_workbench as fi


@pytest.mark.parametrize("name", fi.__all__)
def test_every_public_name_is_there_and_described(name):
    thing = getattr(fi, name)
    assert thing is getattr(fi, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert inspect.getdoc(thing)
        assert thing.__name__ == name


def test_the_list_of_names_is_complete():
    assert sorted(set(fi.__all__)) == sorted(fi.__all__)
    assert dir(fi) == sorted(fi.__all__)
    for name in ("Federation", "Party", "Workbench", "aggregate", "contributions", "fairness", "rules", "mechanisms"):
        assert name in fi.__all__


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match=r"fi_workbench has no 'Federaton'\. It has: .*Federation.*rules"):
        _ = fi.Federaton


def test_type_checkers_see_the_same_names():
    source = inspect.getsource(fi)
    imported = source.split("if TYPE_CHECKING:")[1].split("def __getattr__")[0]
    for name in set(fi.__all__) - {"__version__"}:
        assert re.search(rf"\b{name}\b", imported), name


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


HEAVY = ("torch", "flwr", "ipywidgets", "anywidget", "plotly", "pandas", "sklearn", "jupyter_server", "numpy")


def loaded(statement):
    return run(f"{statement}\nimport json, sys\nprint(json.dumps([m for m in {HEAVY!r} if m in sys.modules]))")


def test_importing_the_package_loads_nothing_but_itself():
    before = "import json, sys; before = set(sys.modules)"
    new = run(f"{before}\nimport fi_workbench\nprint(json.dumps(sorted(set(sys.modules) - before)))")
    assert [name for name in new if name.split(".")[0] not in sys.stdlib_module_names] == ["fi_workbench"]
    assert not {"asyncio", "concurrent", "email", "http", "multiprocessing", "urllib.request"} & set(new)


def test_pure_functions_need_only_numpy():
    statement = """
import fi_workbench as fi
logits = [[[1.0, 0.0]], [[0.0, 2.0]]]
assert fi.aggregate(logits, rule="soft_vote").shape == (1, 2)
assert fi.contributions(logits, method="equal").shape == (2,)
fi.fairness([1.0, 2.0], [0.4, 0.6])
"""
    assert set(loaded(statement)) <= {"numpy"}


def test_a_federation_needs_neither_torch_nor_widgets():
    statement = """
import fi_workbench as fi
import numpy as np
party = fi.Party.from_callable(lambda x: np.full((len(x), 2), 0.5), name="A", classes=("a", "b"), input_shape=(1,))
with fi.Federation([party], history=None) as federation:
    federation.ask(np.zeros((1, 1)))
"""
    assert not {"torch", "ipywidgets", "anywidget", "jupyter_server"} & set(loaded(statement))
