"""hard_vote under secure inference, as a mechanism of a federation in this process: the label alone is opened."""

import logging

import numpy as np
import pytest
import torch
from torch import nn

import fi_workbench as fi
from fi_workbench.core.errors import DoesNotFit
from tests.harness import CLASSES, SHAPE, queries, torch_party

NAMES = ("Ada", "Bo", "Cy", "Di", "Ed")
HOW = {"mechanism": "secure_inference", "rule": "hard_vote", "history": None}


def asked_of(parties, asked, **settings):
    with fi.Federation(parties, **{**HOW, **settings}) as federation:
        return federation.ask(asked)


@pytest.mark.parametrize(("n_owners", "n_helpers"), [(3, 0), (5, 0), (1, 2)])
def test_labels_are_those_in_the_clear_and_nothing_else_is_opened(n_owners, n_helpers):
    parties, asked = [torch_party(name) for name in NAMES[:n_owners]], queries(7)
    helpers = [fi.helper(parties[0], f"Helper {number}") for number in range(n_helpers)]
    record = asked_of([*parties, *helpers], asked)
    plain = asked_of(parties, asked, mechanism="plain")
    labels = plain.scores.argmax(axis=1)
    np.testing.assert_array_equal(record.scores, np.eye(len(CLASSES))[labels])
    assert record.answers is None


def voting(name, scale=1.0, n_classes=3):
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, n_classes))
    with torch.no_grad():
        module[1].weight.zero_()
        module[1].bias.copy_(torch.arange(n_classes) * scale)
    classes = CLASSES if n_classes == 3 else tuple(f"class {number}" for number in range(n_classes))
    return fi.Party.from_torch(module, name=name, classes=classes, input_shape=SHAPE, device="cpu")


def test_more_classes_than_can_meet_are_refused_when_the_federation_is_made():
    parties = [voting(name, n_classes=65) for name in NAMES[:3]]
    with pytest.raises(DoesNotFit, match="hidden votes are among 2 to 64 classes, and there are 65") as caught:
        fi.Federation(parties, **HOW)
    assert "mean_logit" in caught.value.fits
    assert "hard_vote" not in caught.value.fits


@pytest.mark.parametrize(
    ("rule", "scale", "options", "why"),
    [
        ("hard_vote", 5000.0, {}, "too large to be compared unseen for a vote"),
        ("mean_logit", 4e8, {"bound": 1000}, "too large to be added up"),
    ],
)
def test_outputs_that_are_too_large_are_refused_without_their_size(rule, scale, options, why, caplog):
    parties = [*(torch_party(name) for name in NAMES[:3]), voting("Eve", scale)]
    with caplog.at_level(logging.WARNING):
        record = asked_of(parties, queries(2), rule=rule, rule_options=options)
    assert record.present == NAMES[:3]
    [absence] = record.absent
    assert why in absence.reason
    assert not any(digit in absence.reason.split("outputs of its")[1] for digit in "0123456789")
    assert any("outputs may be as large as" in line.getMessage() for line in caplog.records)
