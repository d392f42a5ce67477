"""Learned combiners: what they compute, how they are fitted, kept and refused."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from scipy.stats import trim_mean
from sklearn.linear_model import LogisticRegression

from fi_workbench.aggregation import combiner as combiner_module
from fi_workbench.aggregation.adversarial import ATTACKS, attacked
from fi_workbench.aggregation.combiner import Combiner, CombinerStore, Training, combiners
from fi_workbench.aggregation.fitting import fit_combiner
from fi_workbench.aggregation.learned import FLOOR, deep_set, scores_of, stacked
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import (
    CorruptFile,
    DoesNotFit,
    InvalidAnswer,
    InvalidData,
    InvalidOption,
    InvalidParty,
    InvalidQuery,
    UnknownName,
)

QUICK = {"stacked": {"l2": 0.01}, "deep_set": {"epochs": 3, "width": 8}}


def market(n_queries=400, n_classes=4, n_parties=5, seed=0):
    """Logits and labels: a party knows one class, which it sees in another too, and of the rest it is less sure."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n_queries)
    logits = rng.normal(0, 1, (n_parties, n_queries, n_classes))
    for k in range(n_parties):
        own = k % n_classes
        logits[k, (labels == own) | (labels == (own + 1) % n_classes), own] += 4
        elsewhere = labels != own
        logits[k, elsewhere, labels[elsewhere]] += 1
    return logits, labels


def accuracy(scores, labels):
    return (scores.argmax(axis=1) == labels).mean()


def random_combiner(kind="deep_set", n_parties=3, n_classes=4, width=6, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "stacked":
        weights = {"weight": rng.normal(size=(n_parties, n_classes, n_classes)), "bias": rng.normal(size=n_classes)}
    else:
        sizes = [n_classes, width, width, width, n_classes]
        weights = {f"weight_{i}": rng.normal(size=(sizes[i - 1], sizes[i])) for i in range(1, 5)}
        weights |= {f"bias_{i}": rng.normal(size=sizes[i]) for i in range(1, 5)}
    plain = {name: array.astype(np.float32) for name, array in weights.items()}
    parties = tuple("ABCDEFGH"[:n_parties])
    return Combiner(kind, parties, n_classes, plain, {"seed": seed}, Training(40, 0.75, 1.25))


def through_identity(n_classes):
    """A deep set whose encoder and decoder change nothing that is not negative."""
    same, none = np.eye(n_classes, dtype=np.float32), np.zeros(n_classes, dtype=np.float32)
    weights = {f"weight_{i}": same for i in range(1, 5)} | {f"bias_{i}": none for i in range(1, 5)}
    return Combiner("deep_set", ("A",), n_classes, weights)


# what they compute


def test_stacked_with_unit_weights_is_the_product_of_the_answers():
    p = softmax(np.random.default_rng(0).normal(size=(3, 7, 4)))
    unit = Combiner("stacked", ("A", "B", "C"), 4, {
        "weight": np.stack([np.eye(4, dtype=np.float32)] * 3), "bias": np.zeros(4, dtype=np.float32)})  # fmt: skip
    product = p.prod(axis=0)
    name = combiners.add(unit)
    np.testing.assert_allclose(stacked(p, ("A", "B", "C"), combiner=name), product / product.sum(1)[:, None])
    without_b = p[[2, 0]].prod(axis=0)
    np.testing.assert_allclose(stacked(p[[2, 0]], ("C", "A"), combiner=name), without_b / without_b.sum(1)[:, None])


def test_stacked_knows_parties_by_name_and_an_absent_one_as_a_uniform_answer():
    fitted = random_combiner("stacked")
    p = softmax(np.random.default_rng(1).normal(size=(3, 5, 4)))
    whole = scores_of(fitted, p)
    np.testing.assert_allclose(scores_of(fitted, p[[2, 0, 1]], ("C", "A", "B")), whole)
    assert np.abs(scores_of(fitted, p[[2, 0, 1]], ("A", "B", "C")) - whole).max() > 0.01
    uniform = np.stack([p[0], np.full((5, 4), 0.25), p[2]])
    np.testing.assert_allclose(scores_of(fitted, p[[0, 2]], ("A", "C")), scores_of(fitted, uniform))


def test_stacked_survives_certain_answers():
    certain = np.stack([np.eye(4)] * 3)
    scores = scores_of(random_combiner("stacked"), certain)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores, scores_of(random_combiner("stacked"), np.maximum(certain, FLOOR)))


@pytest.mark.parametrize("trim", [0.0, 0.2, 0.25, 0.4, 0.5])
@pytest.mark.parametrize("n_parties", [1, 2, 5, 9])
def test_deep_set_trims_as_scipy_does(trim, n_parties):
    p = softmax(np.random.default_rng(0).normal(size=(n_parties, 6, 3)))
    name = combiners.add(through_identity(3))
    n_drop = min(int(trim * n_parties), (n_parties - 1) // 2)
    expected = softmax(trim_mean(p, n_drop / n_parties + 1e-9, axis=0))
    np.testing.assert_allclose(deep_set(p, combiner=name, trim=trim), expected, rtol=1e-5)


def test_deep_set_equals_the_network_in_torch():
    fitted = random_combiner()
    layers = []
    for i in range(1, 5):
        layer = torch.nn.Linear(*fitted.weights[f"weight_{i}"].shape)
        layer.weight.data = torch.tensor(fitted.weights[f"weight_{i}"].T.copy())
        layer.bias.data = torch.tensor(fitted.weights[f"bias_{i}"])
        layers.append(layer)
    encoder = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])
    decoder = torch.nn.Sequential(layers[2], torch.nn.ReLU(), layers[3])
    p = softmax(np.random.default_rng(2).normal(size=(5, 7, 4)))
    with torch.no_grad():
        encoded = encoder(torch.tensor(p, dtype=torch.float32)).sort(dim=0).values[1:4].mean(dim=0)
        expected = decoder(encoded).softmax(dim=-1).numpy()
    np.testing.assert_allclose(scores_of(fitted, p, trim=0.2), expected, rtol=1e-4)


def test_deep_set_does_not_mind_order_names_or_number_of_parties():
    fitted = random_combiner()
    p = softmax(np.random.default_rng(3).normal(size=(6, 5, 4)))
    whole = scores_of(fitted, p, tuple("UVWXYZ"))
    np.testing.assert_allclose(scores_of(fitted, p[::-1], tuple("UVWXYZ")), whole, rtol=1e-5)
    assert scores_of(fitted, p[:1], ("stranger",)).shape == (5, 4)


@pytest.mark.parametrize("kind", ["stacked", "deep_set"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_are_distributions_through_the_rules(kind, dtype):
    logits = np.random.default_rng(0).choice([-1e4, 0, 1e4, 2.5], (3, 9, 4)).astype(dtype)
    name = combiners.add(random_combiner(kind))
    scores = aggregate(logits, kind, parties=("A", "B", "C"), combiner=name)
    assert scores.shape == (9, 4)
    assert (scores >= 0).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


# what is refused


@pytest.mark.parametrize("kind", ["stacked", "deep_set"])
def test_a_rule_without_its_combiner_says_how_to_fit_one(kind):
    logits, _ = market(5)
    other = combiners.add(random_combiner("deep_set" if kind == "stacked" else "stacked", 5))
    three_classes = combiners.add(random_combiner(kind, 5, n_classes=3))
    for name in ("", "0123456789abcdef", "../../etc/passwd", other, three_classes):
        with pytest.raises(DoesNotFit, match=f'fi.fit_combiner\\("{kind}"'):
            aggregate(logits, kind, combiner=name)


def test_a_party_that_was_not_fitted_is_refused_by_name():
    logits, _ = market(5, n_parties=3)
    name = combiners.add(random_combiner("stacked"))
    with pytest.raises(DoesNotFit, match="fitted with A, B, C, not with Mallory"):
        aggregate(logits, "stacked", parties=("A", "Mallory", "C"), combiner=name)
    with pytest.raises(DoesNotFit, match="3 answer as"):
        scores_of(random_combiner("stacked"), softmax(logits), ("A", "B", "B"))


@pytest.mark.parametrize(("change", "error", "words"), [
    ({"kind": "deepset"}, UnknownName, "deep_set"),
    ({"labels": np.full(40, 4)}, InvalidQuery, "classes are 0 to 3"),
    ({"labels": np.zeros(40, int)}, InvalidData, "at least two classes"),
    ({"labels": np.zeros(39, int)}, InvalidQuery, "one per query"),
    ({"labels": np.linspace(0, 3, 40)}, InvalidQuery, "integer"),
    ({"logits": market(19)[0], "labels": market(19)[1]}, InvalidData, "at least 20"),
    ({"logits": market(40)[0][0]}, InvalidAnswer, "party, query, class"),
    ({"logits": np.full((5, 40, 4), np.nan)}, InvalidAnswer, "NaN"),
    ({"outputs": "probabilities"}, InvalidAnswer, "probabilities"),
    ({"parties": ("A", "B", "C", "D", "D")}, InvalidParty, "5 different names"),
    ({"held_out": 0.6}, InvalidOption, "held_out"),
    ({"epochs": 3}, InvalidOption, "no option 'epochs'"),
    ({"l2": -1.0}, InvalidOption, "l2"),
    ({"kind": "deep_set", "n_byzantine": 3}, InvalidOption, "less than half"),
    ({"kind": "deep_set", "attacks": "flip, bribe"}, UnknownName, "collude"),
])  # fmt: skip
def test_what_cannot_be_learned_from_is_refused(change, error, words):
    logits, labels = market(40)
    given = {"kind": "stacked", "logits": logits, "labels": labels} | change
    with pytest.raises(error, match=words):
        fit_combiner(given.pop("kind"), given.pop("logits"), given.pop("labels"), **given)


# fitting


def test_stacked_is_scikit_learns_logistic_regression():
    logits, labels = market(120, seed=3)
    fitted = fit_combiner("stacked", logits, labels, l2=0.02, held_out=0)
    p = np.concatenate([softmax(logits), np.stack([np.eye(4)] * 5)], axis=1)  # one made-up query of each class
    logs = np.log(np.maximum(p, FLOOR))
    features = np.concatenate(logs - logs.mean(axis=-1, keepdims=True), axis=1)
    model = LogisticRegression(C=1 / (0.02 * 124), tol=1e-8, max_iter=2000)
    model.fit(features, np.concatenate([labels, np.arange(4)]))
    np.testing.assert_allclose(scores_of(fitted, p), model.predict_proba(features), atol=2e-3)
    assert fitted.training.accuracy is None
    np.testing.assert_allclose(fitted.weights["weight"].reshape(20, 4), model.coef_.T, atol=2e-3)


def test_the_penalty_is_chosen_and_the_made_up_queries_teach_a_class_without_samples():
    logits, labels = market(300)
    seen = labels != 2
    fitted = fit_combiner("stacked", logits[:, seen], labels[seen])
    assert 0 < fitted.options["l2"] <= 1
    unanimous = np.full((5, 1, 4), 0.001)
    unanimous[:, :, 2] = 0.997
    assert scores_of(fitted, unanimous).argmax() == 2


@pytest.mark.parametrize("kind", ["stacked", "deep_set"])
def test_both_learn_whom_to_trust_and_report_it_on_queries_held_out(kind):
    logits, labels = market(600)
    fresh, truth = market(400, seed=9)
    fitted = fit_combiner(kind, logits, labels)
    learned = accuracy(scores_of(fitted, softmax(fresh)), truth)
    assert learned > accuracy(aggregate(fresh, "soft_vote"), truth) + 0.1
    assert fitted.training.accuracy == pytest.approx(learned, abs=0.1)
    assert fitted.training.n_queries == 600
    assert fitted.training.seconds > 0


def alike(n_queries, seed):
    """Logits and labels: five parties that are equally good at everything."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n_queries)
    logits = rng.normal(0, 1, (5, n_queries, 4))
    logits[:, np.arange(n_queries), labels] += 1.5
    return logits, labels


def test_training_among_attackers_helps_against_one_that_lies_for_the_likeliest_wrong_class():
    logits, labels = alike(600, seed=0)
    asked, truth = alike(1000, seed=9)
    wrong = asked.sum(axis=0)
    wrong[np.arange(1000), truth] = -np.inf
    asked[2] = 20 * np.eye(4)[wrong.argmax(axis=1)]
    p = softmax(asked)
    naive = fit_combiner("deep_set", logits, labels, epochs=30, n_byzantine=0)
    hardened = fit_combiner("deep_set", logits, labels, epochs=30)
    assert (naive.options["n_byzantine"], hardened.options["n_byzantine"]) == (0, 1)
    right = {
        (one, trim): accuracy(scores_of(one, p, trim=trim), truth) for one in (naive, hardened) for trim in (0, 0.2)
    }
    assert right[hardened, 0] > right[naive, 0] + 0.05  # what training brings
    assert right[naive, 0.2] > right[naive, 0] + 0.05  # what trimming brings
    assert right[hardened, 0.2] > max(right[hardened, 0], right[naive, 0.2])  # and both together


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_distributions_of_the_corrupt_alone_and_do_what_they_say(attack):
    logits, labels = alike(200, seed=1)
    honest = torch.tensor(softmax(logits).transpose(1, 0, 2), dtype=torch.float32)
    truth = torch.tensor(labels)
    corrupt, present = torch.zeros(200, 5, dtype=torch.bool), torch.ones(200, 5, dtype=torch.bool)
    corrupt[:, [0, 3]], present[:, 4] = True, False
    fitted = fit_combiner("deep_set", logits, labels, epochs=5)
    weights = {name: torch.tensor(array) for name, array in fitted.weights.items()}
    rng = torch.Generator().manual_seed(0)
    sent = attacked(attack, honest, truth, (corrupt, present), weights, rng)
    assert torch.equal(sent[:, [1, 2, 4]], honest[:, [1, 2, 4]])
    assert (sent >= 0).all()
    torch.testing.assert_close(sent.sum(dim=-1), torch.ones(200, 5))
    lies, own = sent[:, [0, 3]], honest[:, [0, 3]]
    if attack == "confident":
        assert (lies.max(dim=-1).values == 1).all()
        assert set(lies.argmax(dim=-1).unique().tolist()) == {0, 1, 2, 3}
    elif attack == "flip":
        assert torch.equal(lies.argmax(dim=-1), own.argmin(dim=-1))
    elif attack == "collude":
        others = honest[:, [1, 2]].sum(dim=1).numpy()
        others[np.arange(200), labels] = 0
        assert torch.equal(lies.argmax(dim=-1), torch.tensor(others.argmax(axis=1))[:, None].expand(200, 2))
    else:
        p = sent.numpy().transpose(1, 0, 2)[:4], softmax(logits)[:4]  # the fifth is absent
        after, before = (scores_of(fitted, one, trim=0)[np.arange(200), labels] for one in p)
        assert (after < before).mean() > 0.95


@pytest.mark.parametrize("attack", [*ATTACKS, ""])
def test_each_attack_may_be_trained_against_alone(attack):
    logits, labels = alike(60, seed=1)
    fitted = fit_combiner("deep_set", logits, labels, epochs=2, width=8, attacks=attack)
    assert fitted.options["attacks"] == attack
    others = fit_combiner("deep_set", logits, labels, epochs=2, width=8, attacks="flip" if not attack else "")
    assert any((fitted.weights[name] != others.weights[name]).any() for name in fitted.weights)


@pytest.mark.parametrize("kind", ["stacked", "deep_set"])
@pytest.mark.parametrize("n_parties", [1, 2])
def test_few_parties_few_queries_and_probabilities_will_do(kind, n_parties):
    logits, labels = market(20, n_classes=2, n_parties=n_parties)
    fitted = fit_combiner(kind, torch.tensor(softmax(logits)), labels, outputs="probabilities", **QUICK[kind])
    assert fitted.parties == ("party 0", "party 1")[:n_parties]
    assert scores_of(fitted, softmax(logits)).shape == (20, 2)


@pytest.mark.parametrize("kind", ["stacked", "deep_set"])
def test_equal_seeds_give_equal_bits_and_the_users_torch_is_left_alone(kind):
    logits, labels = market(80)
    first = fit_combiner(kind, logits, labels, **QUICK[kind])
    torch.manual_seed(5)
    before, n_threads, dtype = torch.get_rng_state(), torch.get_num_threads(), torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.inference_mode():
            again = fit_combiner(kind, logits, labels, **QUICK[kind])
            assert not torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(dtype)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == n_threads
    assert first.digest == again.digest
    for name, array in first.weights.items():
        assert array.tobytes() == again.weights[name].tobytes()
    assert fit_combiner(kind, logits, labels, seed=1, **QUICK[kind]).digest != first.digest


@pytest.mark.parametrize("kind", ["stacked", "deep_set"])
def test_progress_is_told_and_can_stop_the_work(kind):
    logits, labels = market(60)
    heard = []
    fit_combiner(kind, logits, labels, on_progress=heard.append, **QUICK[kind])
    assert [one.done for one in heard] == list(range(heard[-1].total + 1))

    def stop(progress):
        if progress.done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_combiner(kind, logits, labels, on_progress=stop, **QUICK[kind])
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(InterruptedError, match="cancelled"):
        fit_combiner(kind, logits, labels, cancelled=cancelled, **QUICK[kind])


# kept


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


# measured


@pytest.mark.golden
def test_on_skewed_parties_both_beat_the_vote_and_only_the_deep_set_survives_a_traitor():
    data = os.environ.get("FI_WORKBENCH_DATA")
    if not data:
        pytest.skip("FI_WORKBENCH_DATA is not set: no golden files")
    with np.load(Path(data) / "golden" / "fashionmnist_lenet_K5_a0.1_seed42_ep5.npz") as arrays:
        logits, labels = arrays["logits"], arrays["labels"]
    proxy, test = np.split(np.random.default_rng(0).permutation(10_000), [2_000])
    fitted = {
        "stacked": fit_combiner("stacked", logits[:, proxy], labels[proxy], l2=0.03),
        "deep_set": fit_combiner("deep_set", logits[:, proxy], labels[proxy], epochs=30),
    }
    asked, truth = logits[:, test], labels[test]
    vote = accuracy(aggregate(asked, "soft_vote"), truth)
    assert accuracy(scores_of(fitted["stacked"], softmax(asked)), truth) > vote + 0.25
    assert accuracy(scores_of(fitted["deep_set"], softmax(asked)), truth) > vote + 0.20
    worst = dict.fromkeys(fitted, 1.0)
    for traitor in range(5):
        turned = asked.copy()
        turned[traitor] *= -1
        for kind, one in fitted.items():
            worst[kind] = min(worst[kind], accuracy(scores_of(one, softmax(turned)), truth))
    assert worst["deep_set"] > vote > worst["stacked"]
