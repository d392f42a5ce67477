"""CONTRIBUTING's recipe for a new rule, followed to the letter."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import fi_workbench as fi
from tests.harness import linear_party, queries

RECIPE = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(), re.DOTALL)


@pytest.fixture
def rule(tmp_path):
    assert len(RECIPE) == 1
    (tmp_path / "recipe.py").write_text(RECIPE[0])
    runpy.run_path(str(tmp_path / "recipe.py"))  # registers it
    yield "clipped_mean"
    fi.rules.remove("clipped_mean")


def test_the_recipe_makes_a_rule_that_answers(rule):
    parties = [linear_party(name) for name in ("Ada", "Bo", "Cy", "Di", "Ed")]
    with fi.Federation(parties, rule=rule, rule_options={"drop": 0.2}, history=None) as federation:
        record = federation.ask(queries())
    logits = np.stack([party.predict(queries()) for party in parties])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    middle = np.sort(probabilities, axis=0)[1:4].mean(axis=0)  # a fifth of five parties, at either end
    np.testing.assert_allclose(record.scores, middle / middle.sum(axis=1, keepdims=True), atol=1e-6)


def test_its_option_is_drawn_from_the_signature(rule):
    (option,) = fi.rules[rule].options
    assert (option.name, option.default, option.limits) == ("drop", 0.2, fi.Between(0, 0.45))
    assert fi.rules[rule].explanation.startswith("Mean per class")
