"""Fitting combiners: against scikit-learn, among attackers, reproducibly, and what cannot be learned from."""

import threading

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fi_workbench.aggregation.adversarial import ATTACKS, attacked
from fi_workbench.aggregation.fitting import fit_combiner
from fi_workbench.aggregation.learned import FLOOR, scores_of
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import (
    InvalidAnswer,
    InvalidData,
    InvalidOption,
    InvalidParty,
    InvalidQuery,
    UnknownName,
)
from tests.aggregation.learned_cases import QUICK, accuracy, market


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
