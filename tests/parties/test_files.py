"""A party from its owner's own files: Python, saved models with a schema, and what is said when they are wrong."""

import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from fi_workbench.core.errors import InvalidParty, UnknownName
from fi_workbench.parties.files import PartyFileFailed, party_of
from fi_workbench.parties.model_files import LOADERS
from fi_workbench.parties.models import build_model

MY_PARTY = """
import numpy as np
import fi_workbench as fi
import beside

def model(queries):
    return np.tile(beside.ANSWER, (len(queries), 1))

def build():
    return fi.Party.from_callable(model, name="Bo", classes=("cat", "dog"), input_shape=(4,))

def with_options(depth):
    return build()

party = fi.Party.from_callable(model, name="Ada", classes=("cat", "dog"), input_shape=(4,))
number = 7
"""

SCHEMA = """
name = "clinic"
classes = ["cat", "dog", "owl"]
input_shape = [4]
class_counts = [5, 3, 9]
temperature = 1.5
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_party.py").write_text(MY_PARTY)
    (tmp_path / "beside.py").write_text("ANSWER = [0.25, 0.75]")
    yield tmp_path
    sys.modules.pop("beside", None)
    sys.modules.pop("fi_party_my_party", None)


@pytest.mark.parametrize(("attribute", "name"), [(":party", "Ada"), ("", "Ada"), (":build", "Bo")])
def test_a_python_file_holds_a_party_or_makes_one(folder, attribute, name):
    before = list(sys.path)
    party = party_of(f"{folder}/my_party.py{attribute}")
    assert party.name == name
    assert party.predict(np.zeros((2, 4))).tolist() == [[0.25, 0.75]] * 2
    assert sys.path == before
    assert party_of(f"{folder}/my_party.py{attribute}", name="Eve").name == "Eve"


def test_a_file_named_like_a_library_does_not_stand_in_for_it(folder):
    import json

    (folder / "json.py").write_text(MY_PARTY)
    party_of(str(folder / "json.py"))
    assert sys.modules["json"] is json
    del sys.modules["fi_party_json"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("none.py:party", "There is no file"),
        ("my_party.py:paty", r"no 'paty'\. It has: party, model\(\), build\(\), with_options\(\)"),
        ("my_party.py:number", "is int, not a party"),
        ("my_party.py:with_options", "cannot be called without arguments"),
        ("my_party.py:model", "cannot be called without arguments"),
        ("my_party.txt", r"known are \.py, \.pt2"),
        ("my_party", "is no file that holds a party"),
        ("", "is no file that holds a party"),
    ],
)
def test_what_is_wrong_with_a_spec_is_said(folder, spec, said):
    with pytest.raises(InvalidParty, match=said):
        party_of(f"{folder}/{spec}" if spec else spec)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_what_a_file_raises_is_shown_to_its_owner(folder, line, said):
    (folder / "my_party.py").write_text(f"x = 1\n{line}\n")
    with pytest.raises(PartyFileFailed, match=said) as told:
        party_of(f"{folder}/my_party.py")
    assert "my_party.py" in told.value.traceback
    assert line.split()[0] in told.value.traceback
    assert "fi_party_my_party" not in sys.modules


def test_a_function_that_raises_says_which(folder):
    (folder / "my_party.py").write_text("def party():\n    return {}['model']\n")
    with pytest.raises(PartyFileFailed, match=r"party\(\) in .*KeyError"):
        party_of(f"{folder}/my_party.py")


def test_a_party_that_declares_itself_wrongly_keeps_its_own_words(folder):
    (folder / "my_party.py").write_text(
        MY_PARTY.replace('name="Ada", classes=("cat", "dog")', 'name="Ada", classes=()')
    )
    with pytest.raises(InvalidParty, match="at least two classes"):
        party_of(f"{folder}/my_party.py")


@pytest.fixture
def saved(tmp_path):
    """Writes a model of a kind and a schema beside it; the path, and what it answers to zeros."""

    def save(ending, schema=SCHEMA):
        path = tmp_path / f"model{ending}"
        module = build_model("mlp", (4,), 3, torch.Generator().manual_seed(1)).eval()
        if ending == ".joblib":
            x = np.random.default_rng(0).normal(size=(60, 4))
            model = LogisticRegression().fit(x, np.arange(60) % 3)
            joblib.dump(model, path)
            expected = model.predict_proba(np.zeros((2, 4)))
        else:
            expected = module(torch.zeros(2, 4)).detach().numpy()
        if ending == ".safetensors":
            save_file(module.state_dict(), path)
        elif ending == ".pt2":
            query = torch.export.Dim("query")
            torch.export.save(torch.export.export(module, (torch.zeros(2, 4),), dynamic_shapes=({0: query},)), path)
        elif ending == ".pt":
            torch.save(module.state_dict(), path)
        path.with_suffix(".toml").write_text(schema)
        return path, expected

    return save


@pytest.mark.parametrize("ending", LOADERS)
def test_a_saved_model_with_a_schema_is_a_party(saved, ending):
    tensors = ending in (".pt", ".safetensors")
    path, expected = saved(ending, SCHEMA + ('architecture = "mlp"' if tensors else ""))
    party = party_of(str(path))
    assert (party.name, party.classes, party.input_shape) == ("clinic", ("cat", "dog", "owl"), (4,))
    assert party.outputs == ("probabilities" if ending == ".joblib" else "logits")
    assert party.facts.names() == {"class_counts", "data_size", "temperature"}
    assert party.model == ("LogisticRegression" if ending == ".joblib" else "mlp" if tensors else "torch model")
    np.testing.assert_allclose(party.predict(np.zeros((2, 4), np.float32)), expected, rtol=1e-6)
    assert party.predict(np.zeros((7, 4), np.float32)).shape == (7, 3)
    assert not party.made_here


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch would rather have torch.export
def test_torchscript_is_a_party(saved, tmp_path):
    path, expected = saved(".pt")
    module = build_model("mlp", (4,), 3, torch.Generator().manual_seed(1)).eval()
    torch.jit.trace(module, torch.zeros(2, 4)).save(path)
    party = party_of(str(path), name="Eve")
    assert party.name == "Eve"
    np.testing.assert_allclose(party.predict(np.zeros((2, 4), np.float32)), expected, rtol=1e-6)


def test_a_schema_may_lie_elsewhere(saved, tmp_path):
    path, _ = saved(".joblib")
    path.with_suffix(".toml").rename(tmp_path / "of another name.toml")
    with pytest.raises(InvalidParty, match=r"There is no schema .*model\.toml"):
        party_of(str(path))
    assert party_of(str(path), tmp_path / "of another name.toml").name == "clinic"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (SCHEMA.replace("name =", "nmae ="), "nmae, which is unknown. Known: name, classes"),
        (SCHEMA.replace('name = "clinic"', ""), "lacks name"),
        (SCHEMA.replace("[4]", '"4"'), "input_shape is a list of whole numbers, not \"?'4"),
        (SCHEMA.replace("[4]", "[true]"), "input_shape is a list of whole numbers"),
        (SCHEMA + 'outputs = "votes"', 'outputs is "logits" or "probabilities"'),
        (SCHEMA.replace("temperature = 1.5", "temperature = true"), "temperature is a number"),
        (SCHEMA.replace("[5, 3, 9]", "[5, 3]"), "class_counts of length 2"),
        (SCHEMA.replace("[4]", "[5]"), "fitted on 4 features"),
        (SCHEMA + 'architecture = "mlp"', "leave architecture out"),
        ("name = ", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_schema_is_said(saved, schema, said):
    path, _ = saved(".joblib", schema)
    with pytest.raises(InvalidParty, match=said):
        party_of(str(path))


def test_parameters_need_their_architecture(saved):
    path, _ = saved(".safetensors")
    with pytest.raises(InvalidParty, match=r"name its architecture.*mlp"):
        party_of(str(path))
    path, _ = saved(".safetensors", SCHEMA + 'architecture = "mpl"')
    with pytest.raises(UnknownName, match="Did you mean 'mlp'"):
        party_of(str(path))
    path, _ = saved(".safetensors", SCHEMA + 'architecture = "logistic_regression"')
    with pytest.raises(InvalidParty, match="no model that can be loaded"):
        party_of(str(path))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("ending", LOADERS)
def test_a_torn_model_is_refused_by_name(saved, ending):
    path, _ = saved(ending, SCHEMA + ('architecture = "mlp"' if ending == ".safetensors" else ""))
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InvalidParty, match=f"model{ending} holds no model that can be loaded"):
        party_of(str(path))


def test_a_state_dict_is_read_as_tensors_only(saved):
    path, _ = saved(".pt", SCHEMA + 'architecture = "mlp"')
    torch.save({"weight": Path("runs code when it is loaded otherwise")}, path)
    with pytest.raises(InvalidParty, match="UnpicklingError"):
        party_of(str(path))


def test_a_model_exported_for_one_batch_size_is_refused_with_the_way_out(saved):
    path, _ = saved(".pt2")
    module = build_model("mlp", (4,), 3, torch.Generator()).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(1, 4),)), path)
    with pytest.raises(InvalidParty, match=r"cannot answer 3 queries .*dynamic_shapes"):
        party_of(str(path))


def test_a_model_with_other_classes_than_declared_is_refused(saved):
    path, _ = saved(".pt2", SCHEMA.replace(', "owl"', "").replace(", 9", ""))
    with pytest.raises(InvalidParty, match="does not answer as its schema says"):
        party_of(str(path))


def test_a_model_has_no_attributes_and_python_no_schema(saved, folder):
    path, _ = saved(".joblib")
    with pytest.raises(InvalidParty, match="leave out ':party'"):
        party_of(f"{path}:party")
    with pytest.raises(InvalidParty, match="declares its party itself"):
        party_of(f"{folder}/my_party.py", path.with_suffix(".toml"))


def test_a_numpy_party_imports_no_torch(folder):
    code = f"""
import sys
from fi_workbench.parties.files import party_of
import fi_workbench.session.joining, fi_workbench.session.dry_run, fi_workbench.session.limits
party_of({str(folder / "my_party.py")!r})
print(sorted({{"torch", "sklearn", "pandas", "ipywidgets", "plotly", "uvicorn"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
