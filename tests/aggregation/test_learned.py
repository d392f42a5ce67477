"""Rules that were learned: what they compute, whom they refuse, what they are worth on skewed parties."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import trim_mean

from fi_workbench.aggregation.combiner import Combiner, combiners
from fi_workbench.aggregation.fitting import fit_combiner
from fi_workbench.aggregation.learned import FLOOR, deep_set, scores_of, stacked
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import (
    DoesNotFit,
)
from tests.aggregation.learned_cases import accuracy, market, random_combiner, through_identity


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
