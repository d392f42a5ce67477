import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from torch import nn

from fi_workbench.core.errors import InvalidAnswer, InvalidParty, InvalidQuery
from fi_workbench.parties import Party, PrivateFacts

CLASSES = ("cat", "dog", "owl")
QUERIES = np.random.default_rng(0).uniform(size=(5, 2, 3)).astype(np.float32)


def uniform(queries):
    return np.full((len(queries), 3), 1 / 3)


def party_of(function=uniform, **changes):
    given = {"name": "A", "classes": CLASSES, "input_shape": (2, 3)} | changes
    return Party.from_callable(function, **given)


def network(n_out=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, n_out))


def torch_party(module=None, **changes):
    given = {"name": "A", "classes": CLASSES, "input_shape": (2, 3), "device": "cpu"} | changes
    return Party.from_torch(module or network(), **given)


class TestPrivateFacts:
    def test_size_follows_from_counts(self):
        facts = PrivateFacts(class_counts=[3, 0, 4])
        assert facts.data_size == 7
        assert facts.names() == {"class_counts", "data_size"}
        assert PrivateFacts(data_size=7).names() == {"data_size"}
        assert PrivateFacts().names() == frozenset()

    def test_values_never_show(self):
        facts = PrivateFacts(class_counts=[31415, 92653])
        shown = f"{facts!r} {facts} {party_of(classes=CLASSES[:2], probe=False, class_counts=[31415, 92653])!r}"
        assert not re.search("31415|92653|124068", shown)
        assert "class_counts" in shown

    def test_counts_are_a_frozen_copy(self):
        counts = np.array([1, 2])
        facts = PrivateFacts(counts)
        counts[0] = 9
        assert facts.class_counts.tolist() == [1, 2]
        with pytest.raises(ValueError, match="read-only"):
            facts.class_counts[0] = 9

    @pytest.mark.parametrize(
        ("counts", "size"),
        [
            ([1, -1], None),
            ([1.5, 2], None),
            ([np.nan, 2], None),
            ([[1, 2]], None),
            (["a", "b"], None),
            ([1, 2], 4),
            (None, -1),
            (None, 2.5),
            (None, "many"),
        ],
    )
    def test_refused(self, counts, size):
        with pytest.raises(InvalidParty, match=r"class_counts|data_size"):
            PrivateFacts(counts, size)


class TestDeclaration:
    @pytest.mark.parametrize("name", ["", " A", "A\n", "x" * 41, "a\tb", None, 3])
    def test_name(self, name):
        with pytest.raises(InvalidParty, match="named by 1 to 40"):
            party_of(name=name)

    @pytest.mark.parametrize("classes", ["cat", ("cat",), ("cat", "cat"), (1, 2), ("cat", ""), None])
    def test_classes(self, classes):
        with pytest.raises(InvalidParty, match="'A' needs"):
            party_of(classes=classes)

    @pytest.mark.parametrize("shape", [(), (0, 3), (-1,), (2.5,), "23", 6, None])
    def test_input_shape(self, shape):
        with pytest.raises(InvalidParty, match="input_shape"):
            party_of(input_shape=shape)

    def test_outputs(self):
        with pytest.raises(InvalidParty, match='"logits" or "probabilities"'):
            party_of(outputs="scores")

    def test_function_must_be_callable(self):
        with pytest.raises(InvalidParty, match="callable"):
            party_of(np.ones(3))

    def test_counts_must_match_the_classes(self):
        with pytest.raises(InvalidParty, match="one count per class"):
            party_of(class_counts=[1, 2])

    def test_frozen_compared_by_identity_and_replaceable(self):
        party = party_of()
        with pytest.raises(FrozenInstanceError):
            party.name = "B"
        assert party != party_of()
        assert replace(party, name="B").name == "B"
        with pytest.raises(InvalidParty):
            replace(party, name="")


class TestPredict:
    def test_answers(self):
        assert np.allclose(party_of().predict(QUERIES), 1 / 3)
        assert party_of().predict(QUERIES).shape == (5, 3)

    @pytest.mark.parametrize(
        ("queries", "message"),
        [
            (QUERIES[0], "batch axis"),
            (QUERIES[:, :1], "shape"),
            (QUERIES[:0], "empty"),
            (np.where(QUERIES > 0.5, np.nan, QUERIES), "NaN"),
            (QUERIES.astype(str), "dtype"),
        ],
    )
    def test_queries_refused(self, queries, message):
        with pytest.raises(InvalidQuery, match=message):
            party_of().predict(queries)

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (np.full((5, 2), 0.5), "shape"),
            (np.full((4, 3), 1 / 3), "shape"),
            (np.full((5, 3), 0.5), "do not sum to one"),
            (np.full((5, 3), [1.5, -0.5, 0]), "negative"),
            (np.full((5, 3), np.nan), "NaN"),
            (np.full((5, 3), "x"), "dtype"),
            (np.full((5, 3), 1j), "dtype"),
        ],
    )
    def test_answers_refused(self, answer, message):
        with pytest.raises(InvalidAnswer, match=message):
            party_of(lambda queries: answer, probe=False).predict(QUERIES)

    def test_a_model_reaches_neither_the_queries_nor_earlier_answers(self):
        buffer = np.full((5, 3), 1 / 3)

        def careless(queries):
            queries[:] = 0
            return buffer

        party = party_of(careless, probe=False)
        queries = np.arange(30).reshape(5, 2, 3)
        answer = party.predict(queries)
        buffer[:] = 0
        assert queries.tolist() == np.arange(30).reshape(5, 2, 3).tolist()
        assert np.allclose(answer, 1 / 3)

    def test_probe_refuses_what_cannot_answer(self):
        with pytest.raises(InvalidParty, match="'A' does not answer as declared"):
            party_of(lambda queries: np.ones((len(queries), 2)))
        with pytest.raises(InvalidParty, match=r"could not answer .*ZeroDivisionError.*probe=False"):
            party_of(lambda queries: 1 / 0)
        assert party_of(lambda queries: 1 / 0, probe=False).n_classes == 3


class TestTorch:
    def test_answers_as_the_module_does(self):
        module = network().eval()
        with torch.no_grad():
            expected = module(torch.from_numpy(QUERIES)).numpy()
        party = torch_party(module, batch_size=2)
        assert party.outputs == "logits"
        assert party.model == "Sequential"
        assert np.allclose(party.predict(QUERIES), expected, atol=1e-6)

    def test_modes_are_left_as_found(self):
        module = network()
        module[2].eval()
        modes = [part.training for part in module.modules()]
        running = module[2].running_mean.clone()
        party = torch_party(module)
        first, second = party.predict(QUERIES), party.predict(QUERIES)
        assert np.array_equal(first, second)  # dropout is off
        assert torch.equal(module[2].running_mean, running)
        assert [part.training for part in module.modules()] == modes

    def test_modes_are_restored_after_a_failure(self):
        module = network()
        with pytest.raises(InvalidParty):
            torch_party(module, input_shape=(5,))
        assert module.training

    def test_other_precisions(self):
        assert torch_party(network().double()).predict(QUERIES).dtype == np.float64
        assert torch_party(network().to(torch.bfloat16)).predict(QUERIES).dtype == np.float32

    def test_no_gradients_and_not_copied(self):
        module = network()
        party = torch_party(module)
        before = party.predict(QUERIES)
        with torch.no_grad():
            module[4].bias += 1
        assert np.allclose(party.predict(QUERIES), before + 1, atol=1e-6)
        assert all(parameter.grad is None for parameter in module.parameters())

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"classes": (*CLASSES, "elk")}, r"\(1, 3\); \(1, 4\)"),
            ({"input_shape": (2, 4)}, "could not answer"),
            ({"outputs": "probabilities"}, "does not answer as declared"),
            ({"device": "abacus"}, "Device 'abacus'"),
            ({"batch_size": 0}, "batch_size"),
        ],
    )
    def test_refused(self, changes, message):
        torch.manual_seed(0)
        with pytest.raises(InvalidParty, match=message):
            torch_party(**changes)

    def test_not_a_module(self):
        with pytest.raises(InvalidParty, match="from_callable"):
            torch_party(uniform)

    def test_more_than_a_tensor(self):
        class Pair(nn.Module):
            def forward(self, x):
                return x, x

        with pytest.raises(InvalidParty, match="one tensor"):
            torch_party(Pair())

    def test_many_threads_one_module(self):
        module = network()
        parties = [torch_party(module), torch_party(module, name="B")]
        expected = parties[0].predict(QUERIES)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: parties[n % 2].predict(QUERIES), range(200)))
        assert all(np.array_equal(answer, expected) for answer in answers)
        assert module.training


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    return rng.normal(size=(60, 6)) + labels[:, None], labels


class TestSklearn:
    def bayes(self, features, labels):
        from sklearn.naive_bayes import GaussianNB

        return GaussianNB().fit(features, labels)

    def party(self, estimator, **changes):
        given = {"name": "S", "classes": CLASSES, "input_shape": (2, 3)} | changes
        return Party.from_sklearn(estimator, **given)

    def test_positions(self, data):
        estimator = self.bayes(*data)
        party = self.party(estimator)
        assert party.model == "GaussianNB"
        assert np.allclose(party.predict(QUERIES), estimator.predict_proba(QUERIES.reshape(5, 6)), atol=1e-6)

    def test_a_class_never_seen_gets_zero(self, data):
        features, labels = data
        estimator = self.bayes(features[labels != 1], labels[labels != 1])
        answer = self.party(estimator).predict(QUERIES)
        assert (answer[:, 1] == 0).all()
        assert np.allclose(answer[:, [0, 2]], estimator.predict_proba(QUERIES.reshape(5, 6)), atol=1e-6)
        logits = self.party(estimator, outputs="logits").predict(QUERIES)
        assert np.isfinite(logits).all()
        assert (logits.argmax(1) == answer.argmax(1)).all()

    def test_names_in_another_order(self, data):
        features, labels = data
        estimator = self.bayes(features, np.array(CLASSES)[labels])
        shuffled = ("owl", "cat", "elk", "dog")
        answer = self.party(estimator, classes=shuffled).predict(QUERIES)
        given = estimator.predict_proba(QUERIES.reshape(5, 6))  # cat, dog, owl
        assert np.allclose(answer[:, [1, 3, 0]], given, atol=1e-6)
        assert (answer[:, 2] == 0).all()

    def test_refused(self, data):
        from sklearn.naive_bayes import GaussianNB
        from sklearn.svm import LinearSVC

        features, labels = data
        with pytest.raises(InvalidParty, match="CalibratedClassifierCV"):
            self.party(LinearSVC().fit(features, labels))
        with pytest.raises(InvalidParty, match="not fitted"):
            self.party(GaussianNB())
        with pytest.raises(InvalidParty, match=r"\[3, 4, 5\] that are not among"):
            self.party(self.bayes(features, labels + 3))
        with pytest.raises(InvalidParty, match="not among"):
            self.party(self.bayes(features, np.array(["x", "y", "cat"])[labels]))
        with pytest.raises(InvalidParty, match="6 features, but input_shape has 8"):
            self.party(self.bayes(features, labels), input_shape=(2, 4))


def test_importing_parties_does_not_import_torch():
    code = "import sys, fi_workbench.parties as p; p.Party, p.load_dataset; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
