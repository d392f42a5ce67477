"""On equal logits, the reference's labels query by query, and with them every accuracy."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from fi_workbench.aggregation.consensus import spectral_weights
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.core.arrays import softmax
from fi_workbench.session.quality import accuracies, oracle_accuracy

pytestmark = pytest.mark.golden


@pytest.fixture(params=["a0.1", "a1000"])
def golden(request):
    """Arrays and figures of one golden file."""
    data = os.environ.get("FI_WORKBENCH_DATA")
    if not data:
        pytest.skip("FI_WORKBENCH_DATA is not set: no golden files")
    path = Path(data) / "golden" / f"fashionmnist_lenet_K5_{request.param}_seed42_ep5"
    with np.load(path.with_name(path.name + ".npz")) as arrays:
        return dict(arrays), json.loads(path.with_name(path.name + ".json").read_text())


def n_right(percent):
    """How many of the 10,000 images a figure in percent stands for; some passed through float32."""
    assert percent * 100 == pytest.approx(round(percent * 100), abs=1e-3)
    return round(percent * 100)


@pytest.mark.parametrize("name", ["hard", "soft", "entropy"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_and_accuracy_equal_the_reference(golden, name, dtype):
    arrays, figures = golden
    rule = {"hard": "hard_vote", "soft": "soft_vote", "entropy": "entropy_weighted"}[name]
    labels = aggregate(arrays["logits"].astype(dtype), rule).argmax(axis=1)
    np.testing.assert_array_equal(labels, arrays[f"pred_{name}"])
    assert (labels == arrays["labels"]).sum() == n_right(figures[f"acc_{name}"])


@pytest.mark.parametrize(
    ("rule", "figure"),
    [
        ("spectral", "acc_spectral"),
        ("js_consensus", "acc_consensus_js_beta5"),
        ("hybrid_consensus", "acc_hybrid_beta5"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_consensus_equals_the_reference(golden, rule, figure, dtype):
    arrays, figures = golden
    labels = aggregate(arrays["logits"].astype(dtype), rule).argmax(axis=1)
    assert (labels == arrays["labels"]).sum() == n_right(figures[figure])


def test_spectral_weights_equal_the_reference(golden):
    arrays, figures = golden
    weights = spectral_weights(softmax(arrays["logits"].astype(np.float64)))
    np.testing.assert_allclose(weights, figures["spectral_weights"], atol=2e-7)  # the reference computes in float32


def test_accuracy_of_parties_and_oracle_equal_the_reference(golden):
    arrays, figures = golden
    logits, truth = arrays["logits"], arrays["labels"]
    own = accuracies(logits, truth)
    assert [round(one * len(truth)) for one in own] == [n_right(percent) for percent in figures["client_acc"]]
    assert round(oracle_accuracy(logits, truth) * len(truth)) == n_right(figures["oracle"])
    assert own.mean() * 100 == pytest.approx(figures["client_acc_mean"])


@pytest.mark.parametrize("golden", ["a0.1"], indirect=True)
def test_competence_beats_the_vote_under_label_skew(golden):
    arrays, figures = golden
    counts = np.array(figures["client_class_counts"])
    right = {
        rule: (aggregate(arrays["logits"], rule, class_counts=counts).argmax(1) == arrays["labels"]).mean()
        for rule in (
            "soft_vote",
            "class_competence",
            "log_pool_competence",
            "prior_corrected",
            "two_way_prior_corrected",
        )
    }
    assert right["class_competence"] > right["prior_corrected"] > right["soft_vote"]
    assert right["log_pool_competence"] > right["soft_vote"] + 0.2
    assert right["two_way_prior_corrected"] > right["prior_corrected"]
