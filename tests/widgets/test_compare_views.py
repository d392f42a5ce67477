"""The pictures of a comparison: what they take, what they refuse, what travels."""

import numpy as np
import pytest
import traitlets

from fi_workbench.widgets.views import AccuracyDots, RiskCurves
from fi_workbench.widgets.views.risk_curves import MOST_STEPS, stacked
from fi_workbench.widgets.views.rule_palette import ON_DARK, ON_LIGHT
from tests.widgets.test_views import _contrast


@pytest.mark.parametrize(
    ("view", "values", "message"),
    [
        (AccuracyDots, {"names": ["a"], "accuracies": [1.2]}, "from 0 to 1; entry 0 is 1.2"),
        (AccuracyDots, {"names": ["a"], "lows": [0.1, 0.2]}, "lows has 2 entries for 1 rules"),
        (AccuracyDots, {"names": ["a"], "kinds": ["guess"]}, "knows rule, bound, oracle"),
        (
            RiskCurves,
            {"names": ["a"], "n_steps": 2, "steps": np.zeros((1, 3, 1))},
            "3 values for 1 rules x 3 x 2 steps",
        ),
        (RiskCurves, {"names": ["a"], "mark_risks": [2.0]}, "from 0 to 1; entry 0 is 2.0"),
        (RiskCurves, {"names": ["a"], "aurcs": [0.1, 0.1]}, "aurcs has 2 entries for 1 rules"),
    ],
)
def test_bad_values_are_refused_clearly(view, values, message):
    one = view()
    with pytest.raises(traitlets.TraitError, match=message):
        one.update(**values)
    assert one.round == 0
    assert one.names == ()


def test_curves_of_different_lengths_travel_together():
    view = RiskCurves(names=["a", "b"])
    view.update(**stacked([([0.9, 0.5], [0.5, 1], [0, 0.25]), ([0.7], [1], [0.4])]))
    assert view.n_steps == 2
    np.testing.assert_allclose(view.array[0], [[0.9, 0.5], [0.5, 1], [0, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(view.array[1, :, 0], [0.7, 1, 0.4], rtol=1e-6)
    assert np.isnan(view.array[1, :, 1]).all()
    assert stacked([])["n_steps"] == 0


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    n_steps = 5 * MOST_STEPS
    coverage = np.arange(1, n_steps + 1) / n_steps
    steps = stacked([(1 - coverage / 2, coverage, coverage**2)])["steps"]
    assert steps.shape == (1, 3, MOST_STEPS)
    np.testing.assert_allclose(steps[0, :, 0], [1 - coverage[0] / 2, coverage[0], coverage[0] ** 2], rtol=1e-5)
    np.testing.assert_allclose(steps[0, :, -1], [0.5, 1, 1], rtol=1e-6)
    assert (np.diff(steps[0, 1]) > 0).all()
    np.testing.assert_allclose(steps[0, 2], steps[0, 1] ** 2, rtol=1e-5)  # steps of the curve itself


def test_a_pick_is_a_request_with_its_confidence():
    view, heard = RiskCurves(names=["a"]), []
    view.on_request(lambda kind: heard.append((kind, view.picked)))
    view._handle_custom_msg({"request": "pick", "confidence": 0.75}, [])
    view._handle_custom_msg({"request": "pick", "confidence": 0.5}, [])
    view._handle_custom_msg({"confidence": "much"}, [])
    assert heard == [("pick", 0.75), ("pick", 0.5)]


@pytest.mark.parametrize(("colours", "grounds"), [(ON_LIGHT, ["#FFFFFF"]), (ON_DARK, ["#111111", "#212121"])])
def test_every_rule_can_be_told_from_the_ground(colours, grounds):
    assert all(_contrast(colour, ground) >= 3 for colour in colours for ground in grounds)
