"""Temperature scaling: known answers, a second opinion, bad input."""

import math

import numpy as np
import pytest
from scipy.special import log_softmax

from fi_workbench.core.arrays import at_temperature, softmax
from fi_workbench.core.errors import InvalidAnswer, InvalidParty, InvalidQuery
from fi_workbench.parties import PrivateFacts, demo_parties, load_dataset
from fi_workbench.parties.calibration import fit_temperature


def sure_and_wrong(share_right, logit, n=1000):
    """Two classes; every answer gives class 0 a lead of ``logit``."""
    labels = (np.arange(n) >= share_right * n).astype(int)
    return np.tile([logit, 0.0], (n, 1)), labels


@pytest.mark.parametrize("share_right", [0.6, 0.75, 0.9])
def test_closed_form_of_two_classes(share_right):
    logits, labels = sure_and_wrong(share_right, 4.0)
    # the most likely temperature makes sigmoid(4 / T) the share that is right
    assert fit_temperature(logits, labels) == pytest.approx(4.0 / math.log(share_right / (1 - share_right)), rel=1e-3)


def test_no_other_temperature_is_better():
    rng = np.random.default_rng(0)
    logits = 5 * rng.normal(size=(400, 6))
    labels = np.array([rng.choice(6, p=p) for p in softmax(logits / 3.0)])
    best = fit_temperature(logits, labels)
    assert 2.5 < best < 3.6

    def loss(temperature):
        return -log_softmax(logits / temperature, axis=1)[np.arange(400), labels].mean()

    assert all(loss(best) <= loss(other) + 1e-9 for other in np.linspace(0.2, 9, 300))


def test_probabilities_are_taken_as_their_logarithms():
    logits, labels = sure_and_wrong(0.75, 2.0)
    assert fit_temperature(softmax(logits), labels, "probabilities") == pytest.approx(fit_temperature(logits, labels))


def test_bounds():
    assert fit_temperature(*sure_and_wrong(1.0, 1.0)) == pytest.approx(0.1, rel=0.01)
    assert fit_temperature(*sure_and_wrong(0.5, 1.0)) == pytest.approx(10.0, rel=0.01)


@pytest.mark.parametrize("values", [[], [[]], [1.0, 2.0], np.zeros((0, 3)), [[np.nan, 1.0]]])
def test_answers_that_cannot_be(values):
    with pytest.raises(InvalidAnswer):
        fit_temperature(values, [0])


@pytest.mark.parametrize("labels", [[0, 1], [2], [-1], [0.5]])
def test_labels_that_cannot_be(labels):
    with pytest.raises(InvalidQuery):
        fit_temperature([[1.0, 2.0]], labels)


def test_the_kind_of_answer_stays():
    logits = np.array([[2.0, 0.0, -2.0]], dtype=np.float32)
    cooled = at_temperature(logits, "logits", 2.0)
    assert cooled.dtype == np.float32
    assert cooled == pytest.approx(logits / 2)
    assert at_temperature(softmax(logits), "probabilities", 2.0) == pytest.approx(softmax(logits / 2), abs=1e-6)


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf, True, "1"])
def test_a_temperature_is_a_positive_number(temperature):
    with pytest.raises(InvalidParty, match="temperature"):
        PrivateFacts(temperature=temperature)


def test_demo_parties_fit_theirs_on_what_they_held_out(home):
    data = load_dataset("digits")
    party = demo_parties(data, 2, alpha=100.0, epochs=8, device="cpu")[0]
    values = party.predict(data.test_images)

    def loss(temperature):
        log_p = log_softmax(values.astype(float) / temperature, axis=1)
        return -log_p[np.arange(len(values)), data.test_labels].mean()

    assert loss(party.facts.temperature) < loss(1.0)  # on data of the same distribution that it never saw
