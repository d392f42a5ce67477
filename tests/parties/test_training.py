import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from fi_workbench.core.errors import InvalidData, InvalidOption, InvalidParty, UnknownName
from fi_workbench.parties import (
    Dataset,
    architectures,
    cache,
    default_epochs,
    demo_parties,
    load_dataset,
    party_names,
    train_party,
    training,
)
from fi_workbench.parties.models import build_model
from fi_workbench.parties.threads import one_torch_thread


def train(tiny, **changes):
    given = {"indices": np.arange(30), "name": "A", "epochs": 2, "device": "cpu", "cache": False} | changes
    return train_party(tiny, given.pop("indices"), given.pop("name"), **given)


def parameters(party):
    return party.function.module.state_dict()


def same(a, b):
    a, b = parameters(a), parameters(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def files(home, pattern="*.safetensors"):
    return sorted((home / "cache" / "parties").glob(pattern))


class TestModels:
    @pytest.mark.parametrize("name", list(architectures))
    @pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 20), (1, 4, 4)])
    def test_every_architecture(self, name, shape):
        module = build_model(name, shape, 4, torch.Generator().manual_seed(0)).eval()
        again = build_model(name, shape, 4, torch.Generator().manual_seed(0)).eval()
        queries = torch.rand(3, *shape, generator=torch.Generator().manual_seed(1))
        answer = module(queries)
        assert answer.shape == (3, 4)
        assert torch.isfinite(answer).all()
        assert torch.equal(answer, again(queries))
        other = build_model(name, shape, 4, torch.Generator().manual_seed(1)).eval()
        assert not torch.equal(answer, other(queries))

    def test_lenet_is_the_classic_on_28x28(self):
        module = build_model("lenet", (1, 28, 28), 10, torch.Generator())
        assert sum(parameter.numel() for parameter in module.parameters()) == 61_706

    @pytest.mark.parametrize("name", ["lenet", "resnet"])
    def test_images_are_needed(self, name):
        for shape in ((20,), (1, 3, 3)):
            with pytest.raises(InvalidParty, match="mlp takes any shape"):
                build_model(name, shape, 3, torch.Generator())

    def test_a_layer_that_cannot_be_drawn_reproducibly(self):
        architectures.add("bilinear_for_test", lambda shape, n: torch.nn.Bilinear(2, 2, n))
        try:
            with pytest.raises(InvalidParty, match=r"Bilinear.*Party.from_torch"):
                build_model("bilinear_for_test", (2,), 3, torch.Generator())
        finally:
            architectures.remove("bilinear_for_test")


class TestTraining:
    @pytest.mark.parametrize("model", list(architectures))
    def test_learns_and_is_the_same_bit_for_bit(self, tiny, model):
        first, second = (train(tiny, model=model, epochs=12, indices=np.arange(90)) for _ in range(2))
        assert same(first, second)
        logits = first.predict(tiny.test_images)
        assert np.array_equal(logits, second.predict(tiny.test_images))
        assert (logits.argmax(1) == tiny.test_labels).mean() > 0.6
        assert (first.outputs, first.model, first.made_here) == ("logits", model, True)
        assert not first.function.module.training

    def test_facts(self, tiny):
        party = train(tiny, indices=[0, 3, 4])
        assert party.facts.class_counts.tolist() == [2, 1, 0]
        assert party.facts.data_size == 3

    def test_what_makes_a_difference(self, tiny):
        first = train(tiny)
        assert same(first, train(tiny, indices=np.arange(30)[::-1]))  # the same samples
        for changes in ({"seed": 1}, {"name": "B"}, {"epochs": 3}, {"indices": np.arange(31)}):
            assert not same(first, train(tiny, **changes))

    def test_threads_make_no_difference(self, tiny):
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(3)
            party = train(tiny, model="lenet")
            answer = party.predict(tiny.test_images)
            assert torch.get_num_threads() == 3
            torch.set_num_threads(1)
            other = train(tiny, model="lenet")
            assert same(party, other)
            assert np.array_equal(answer, other.predict(tiny.test_images))
        finally:
            torch.set_num_threads(before)

    def test_the_users_torch_is_left_alone(self, tiny):
        torch.manual_seed(7)
        np.random.seed(7)  # noqa: NPY002 (the user's legacy state is what must not change)
        states = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
        plain = train(tiny, model="resnet")
        torch.set_default_dtype(torch.float64)
        try:
            with torch.no_grad():
                assert same(plain, train(tiny, model="resnet"))
            with torch.inference_mode():
                assert same(plain, train(tiny, model="resnet"))
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)
        assert torch.equal(states[0], torch.get_rng_state())
        assert states[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
        assert torch.is_grad_enabled()

    def test_a_last_batch_of_one_joins_the_one_before(self, tiny):
        party = train(tiny, indices=np.arange(33), model="resnet")
        assert np.isfinite(party.predict(tiny.test_images)).all()

    def test_progress_and_stopping(self, tiny, home):
        seen = []
        train(tiny, epochs=3, on_progress=seen.append)
        assert [(step.done, step.total, step.unit) for step in seen] == [(n, 3, "epochs") for n in range(4)]
        assert seen[0].task == "training party A"

        def stop(progress):
            if progress.done == 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(tiny, cache=True, on_progress=stop)
        assert not files(home)
        train(tiny, cache=True)  # the lock is free again
        assert len(files(home)) == 1

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"model": "transformer"}, UnknownName, "lenet"),
            ({"epochs": 0}, InvalidOption, "epochs"),
            ({"indices": [0]}, InvalidData, "at least 2"),
            ({"indices": [0, 90]}, InvalidData, "outside"),
            ({"indices": [-1, 0]}, InvalidData, "outside"),
            ({"indices": [1, 1]}, InvalidData, "twice"),
            ({"indices": [0.0, 1.0]}, InvalidData, "indices"),
            ({"name": ""}, InvalidParty, "named"),
            ({"device": "abacus"}, InvalidParty, "abacus"),
        ],
    )
    def test_refused(self, tiny, changes, error, message):
        with pytest.raises(error, match=message):
            train(tiny, **changes)

    def test_predictions_go_on_while_another_party_trains(self, tiny):
        party = train(tiny)
        expected = party.predict(tiny.test_images)
        done = threading.Event()

        def background():
            train(tiny, name="B", model="lenet", epochs=60, indices=np.arange(90))
            done.set()

        thread = threading.Thread(target=background)
        thread.start()
        n_answers = 0
        while not done.is_set():
            assert np.array_equal(party.predict(tiny.test_images), expected)
            n_answers += 1
        thread.join()
        assert (
            n_answers > 5
        )  # a turn between any two of the 180 steps, were the machine idle; one or two if it had to wait

    def test_default_epochs(self, tiny):
        assert default_epochs(load_dataset("digits"), "mlp") == 30
        assert default_epochs(load_dataset("digits"), "resnet") == 15
        images = np.zeros((60_000, 1, 1, 1), dtype=np.float32)
        labels = np.arange(60_000) % 2
        assert default_epochs(Dataset.from_arrays(images, labels, images, labels), "lenet") == 3


def test_one_torch_thread_is_restored_after_a_failure_and_in_every_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), one_torch_thread():
            1 / (torch.get_num_threads() - 1)
        assert torch.get_num_threads() == 2

        def work(seen):
            torch.get_num_threads()
            for _ in range(50):
                with one_torch_thread(), one_torch_thread():
                    seen.append(torch.get_num_threads())

        seen = []
        threads = [threading.Thread(target=work, args=(seen,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


class TestDemo:
    def test_a_federation_on_digits(self, home):
        seen = []
        parties = demo_parties(device="cpu", epochs=2, on_progress=seen.append)
        assert [party.name for party in parties] == list("ABCDE")
        assert sum(party.facts.data_size for party in parties) == 1297  # of 1438: each keeps a tenth from training
        facts = {"class_counts", "data_size", "temperature"}
        assert all(party.made_here and party.facts.names() == facts for party in parties)
        assert {step.task for step in seen} == {f"training party {name}" for name in "ABCDE"}
        again = demo_parties(device="cpu", epochs=2)
        assert all(same(a, b) for a, b in zip(parties, again, strict=True))

    def test_one_party_alone_is_the_same_party(self, tiny, home):
        options = {"epochs": 1, "device": "cpu", "cache": False}
        parties = demo_parties(tiny, 2, model=["mlp", "lenet"], partition="iid", **options)
        assert [party.model for party in parties] == ["mlp", "lenet"]
        from fi_workbench.parties import make_partition

        indices = make_partition("iid", tiny.train_labels, 2, 0).indices[1]
        assert same(parties[1], train_party(tiny, indices, "B", model="lenet", **options))

    def test_alpha(self, tiny):
        options = {"n_parties": 2, "epochs": 1, "device": "cpu", "cache": False}

        def sizes(**changes):
            return [party.facts.class_counts.tolist() for party in demo_parties(tiny, **options, **changes)]

        assert sizes(alpha=1000) == sizes(partition_options={"alpha": 1000})
        assert sizes(alpha=1000) != sizes(alpha=0.05)
        assert sizes(alpha=0.05, partition="by_class") == sizes(partition="by_class")

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"model": ["mlp"]}, InvalidOption, "1 models for 5 parties"),
            ({"model": "mpl"}, UnknownName, "mlp"),
            ({"partition": "none"}, UnknownName, "dirichlet"),
            ({"partition_options": {"beta": 1}}, InvalidOption, "beta"),
            ({"alpha": -1}, InvalidOption, "alpha"),
            ({"n_parties": 0}, InvalidData, "n_parties"),
            ({"n_parties": 1000}, InvalidData, "fewer parties"),
        ],
    )
    def test_refused_before_anything_is_trained(self, tiny, changes, error, message):
        with pytest.raises(error, match=message):
            demo_parties(tiny, on_progress=pytest.fail, **changes)

    def test_names(self):
        names = party_names(703)
        assert names[:2] == ("A", "B")
        assert names[25:28] == ("Z", "AA", "AB")
        assert names[-1] == "AAA"
        assert len(set(names)) == 703


class TestCache:
    def test_trained_once(self, tiny, home, monkeypatch):
        first = train(tiny, cache=True)
        assert same(first, train(tiny, cache=False))
        monkeypatch.setattr(training, "_fit", pytest.fail)
        seen = []
        kept = train(tiny, cache=True, on_progress=seen.append)
        assert same(first, kept)
        assert np.array_equal(first.predict(tiny.test_images), kept.predict(tiny.test_images))
        assert [step.share for step in seen] == [1.0]
        assert len(files(home)) == 1

    def test_the_key_changes_with_each_input(self, tiny, home, monkeypatch):
        def count(n, **changes):
            train(changes.pop("data", tiny), cache=True, **changes)
            assert len(files(home)) == n

        count(1)
        count(1)
        count(2, seed=1)
        count(3, name="B")
        count(4, epochs=3)
        count(5, indices=np.arange(31))
        count(6, model="lenet")
        changed = tiny.train_images.copy()
        changed[0, 0, 0, 0] = 0.123
        count(7, data=Dataset.from_arrays(changed, tiny.train_labels, tiny.test_images, tiny.test_labels))
        monkeypatch.setattr(training, "CODE_VERSION", training.CODE_VERSION + 1)
        count(8)
        monkeypatch.setattr(torch, "__version__", "0.0")
        count(9)

    @pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "renamed"])
    def test_a_damaged_file_is_set_aside_and_made_again(self, tiny, home, damage):
        first = train(tiny, cache=True)
        (path,) = files(home)
        content = bytearray(path.read_bytes())
        if damage == "cut":
            content = content[: len(content) // 2]
        elif damage == "flipped":
            content[-5] ^= 1
        elif damage == "empty":
            content = b""
        elif damage == "text":
            content = b"not at all"
        else:
            train(tiny, cache=True, seed=1)
            content = next(other for other in files(home) if other != path).read_bytes()
        path.write_bytes(content)
        with pytest.warns(UserWarning, match=rf"{path.name}.* kept as {path.name}\.corrupt-1; training party A"):
            again = train(tiny, cache=True)
        assert same(first, again)
        assert path.with_name(f"{path.name}.corrupt-1").read_bytes() == bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert same(first, train(tiny, cache=True))

    def test_a_cache_that_cannot_be_written(self, tiny, tmp_path, monkeypatch):
        (tmp_path / "home").write_text("a file where a folder should be")
        monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path / "home"))
        with pytest.warns(UserWarning, match="cannot be used"):
            party = train(tiny, cache=True)
        assert same(party, train(tiny))

    def test_a_full_disk(self, tiny, home, monkeypatch):
        def full(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(cache.os, "fsync", full)
        with pytest.warns(UserWarning, match="No space left"):
            train(tiny, cache=True)
        assert not files(home, "*.safetensors*[!k]")


CHILD = """
import os, sys, time
import numpy as np
sys.path.insert(0, {here!r})
from conftest import tiny_dataset
from fi_workbench.parties import cache, train_party

def pause(*arguments):
    print("paused", flush=True)
    time.sleep(60)

def log(progress):
    print(progress.task, progress.done, flush=True)
    if {wait!r} == "training" and progress.done == 1 and progress.unit == "epochs":
        pause()
    if {wait!r} == "told to go on" and progress.done == 0:
        sys.stdin.readline()

if {wait!r} == "writing":
    cache.os.fsync = pause
train_party(tiny_dataset(), np.arange(30), "A", epochs=2, device="cpu", on_progress=log)
print("done", flush=True)
"""


def child(wait=""):
    code = CHILD.format(here=str(Path(__file__).parent), wait=wait)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )


class TestSeveralKernels:
    @pytest.mark.parametrize("moment", ["training", "writing"])
    def test_a_kernel_killed_midway_leaves_no_harm(self, tiny, home, moment):
        with child(moment) as process:
            for line in process.stdout:
                if line.strip() == "paused":
                    break
            process.send_signal(signal.SIGKILL)
        assert not files(home)
        assert len(files(home, "*.part")) == (moment == "writing")
        party = train(tiny, cache=True)
        assert same(party, train(tiny))
        assert len(files(home)) == 1
        assert not files(home, "*.part")

    def test_two_at_once_train_once(self, tiny, home):
        with child("told to go on") as first:
            assert first.stdout.readline() == "training party A 0\n"
            with child() as second:
                assert second.stdout.readline() == "waiting for another kernel: training party A 0\n"
                trained, _ = first.communicate("\n", timeout=60)
                waited, _ = second.communicate(timeout=60)
        assert "training party A 1" in trained
        assert "training party A 1" not in waited
        assert waited.endswith("training party A 2\ndone\n")
        assert len(files(home)) == 1
