"""Fitted combiners as data: kept on disk and by name, and refused where they are not whole."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from fi_workbench.aggregation import combiner as combiner_module
from fi_workbench.aggregation.combiner import Combiner, CombinerStore, Training
from fi_workbench.core.errors import (
    CorruptFile,
    DoesNotFit,
    UnknownName,
)
from tests.aggregation.learned_cases import random_combiner


@pytest.mark.parametrize("kind", ["stacked", "deep_set"])
def test_a_saved_combiner_is_loaded_bit_for_bit(kind, tmp_path):
    fitted = random_combiner(kind)
    loaded = Combiner.load(fitted.save(tmp_path / "one.safetensors"))
    for field in ("kind", "parties", "n_classes", "options", "training", "digest"):
        assert getattr(loaded, field) == getattr(fitted, field)
    for name, array in fitted.weights.items():
        assert loaded.weights[name].tobytes() == array.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]


def test_the_digest_covers_what_decides_the_answers_and_nothing_else():
    fitted = random_combiner("stacked")
    same = Combiner("stacked", fitted.parties, 4, fitted.weights, fitted.options, Training(1, None, 9.0))
    assert same.digest == fitted.digest
    moved = {name: np.nextafter(array, 2, dtype=np.float32) for name, array in fitted.weights.items()}
    assert Combiner("stacked", fitted.parties, 4, moved, fitted.options).digest != fitted.digest
    assert Combiner("stacked", ("A", "C", "B"), 4, fitted.weights, fitted.options).digest != fitted.digest
    assert Combiner("stacked", fitted.parties, 4, fitted.weights, {"seed": 9}).digest != fitted.digest


def test_weights_cannot_be_changed_from_outside():
    array = np.zeros(4, dtype=np.float32)
    fitted = Combiner("stacked", ("A",), 4, {"weight": np.zeros((1, 4, 4), dtype=np.float32), "bias": array})
    array[0] = 1
    assert fitted.weights["bias"][0] == 0
    with pytest.raises(ValueError, match="read-only"):
        fitted.weights["bias"][0] = 1


@pytest.mark.parametrize(("change", "error"), [
    ({"kind": "other"}, UnknownName),
    ({"parties": ("A", "A", "C")}, DoesNotFit),
    ({"parties": ("A", "B")}, DoesNotFit),
    ({"n_classes": 5}, DoesNotFit),
    ({"weights": {"weight": np.zeros((3, 4, 4), np.float32)}}, DoesNotFit),
    ({"weights": {"weight": np.zeros((3, 4, 4)), "bias": np.zeros(4)}}, DoesNotFit),
    ({"weights": {"weight": np.zeros((3, 4, 4), np.float32), "bias": np.full(4, np.nan, np.float32)}}, DoesNotFit),
])  # fmt: skip
def test_a_combiner_that_cannot_be_is_refused(change, error):
    fitted = random_combiner("stacked")
    given = {"kind": "stacked", "parties": fitted.parties, "n_classes": 4, "weights": fitted.weights} | change
    with pytest.raises(error):
        Combiner(**given)


def test_files_that_hold_no_whole_combiner_are_refused_by_name(tmp_path):
    path = random_combiner().save(tmp_path / "good.safetensors")
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[-3] ^= 1
    renamed = content.replace(b"deep_set", b"deepness")
    bad = {"cut": content[:-5], "head": content[:20], "empty": b"", "text": b"not a combiner",
           "flipped": bytes(flipped), "renamed": renamed}  # fmt: skip
    for name, changed in bad.items():
        (tmp_path / name).write_bytes(changed)
        with pytest.raises(CorruptFile, match=name):
            Combiner.load(tmp_path / name)
        assert (tmp_path / name).exists()
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "foreign")
    with pytest.raises(CorruptFile, match="foreign"):
        Combiner.load(tmp_path / "foreign")
    fields = {"format": combiner_module.FORMAT, "combiner": json.dumps({"kind": "stacked"})}
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "bare", fields)
    with pytest.raises(CorruptFile, match="bare"):
        Combiner.load(tmp_path / "bare")
    with pytest.raises(FileNotFoundError, match="missing"):
        Combiner.load(tmp_path / "missing")


def test_the_next_kernel_finds_a_combiner_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    fitted = random_combiner()
    name = CombinerStore().add(fitted)
    assert name == fitted.digest[:16]
    elsewhere = CombinerStore()
    assert list(elsewhere) == [name]
    assert elsewhere.get(name).digest == fitted.digest
    assert elsewhere.get(name) is elsewhere.get(name)
    with pytest.raises(UnknownName, match=name):
        elsewhere.get("0" * 16)


def test_a_name_cannot_lead_out_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    (tmp_path / "state").mkdir()
    outside = random_combiner().save(tmp_path / "state" / "outside.safetensors")
    with pytest.raises(UnknownName):
        CombinerStore().get("../outside")
    assert outside.exists()


def test_a_damaged_file_is_set_aside_and_a_swapped_one_noticed(tmp_path, monkeypatch):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    first, second = random_combiner(seed=1), random_combiner(seed=2)
    CombinerStore().add(first)
    folder = tmp_path / "state" / "combiners"
    second.save(folder / f"{first.name}.safetensors")
    with pytest.raises(CorruptFile, match="corrupt-1"):
        CombinerStore().get(first.name)
    CombinerStore().add(first)
    assert CombinerStore().get(first.name).digest == first.digest


def test_a_folder_that_cannot_be_written_to_keeps_the_process_going(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path / "file"))
    store, fitted = CombinerStore(), random_combiner()
    with pytest.warns(UserWarning, match="this process only"):
        name = store.add(fitted)
    assert store.get(name) is fitted
    with pytest.raises(UnknownName):
        CombinerStore().get(name)
