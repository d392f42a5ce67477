"""Coarser answers: what is kept, what is not, and that nothing is promised."""

import numpy as np
import pytest

from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.keystream import Keystream
from fi_workbench.privacy import make_mechanism
from fi_workbench.privacy.coarsening import Rounded, TopK
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.event import UNPROTECTED

ROWS = np.array([[0.55, 0.25, 0.15, 0.05], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]])
NOISE = Keystream.seeded(0)


def test_top_classes_are_kept_and_the_others_share_the_rest():
    np.testing.assert_allclose(
        TopK(k=2).perturb(ROWS, "probabilities", NOISE),
        [[0.55, 0.25, 0.1, 0.1], [0.15, 0.15, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]],
    )
    np.testing.assert_allclose(TopK(k=1).perturb(ROWS, "probabilities", NOISE)[1], [0.2, 0.2, 0.2, 0.4])
    assert TopK(k=4).perturb(ROWS, "probabilities", NOISE) is ROWS


def test_rounding_keeps_its_decimals():
    np.testing.assert_allclose(
        Rounded(digits=1).perturb(ROWS, "probabilities", NOISE)[:2],
        np.array([[0.6, 0.2, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4]]) / [[1.0], [1.0]],
        atol=1e-12,
    )
    np.testing.assert_allclose(Rounded(digits=0).perturb(ROWS, "probabilities", NOISE)[0], [1, 0, 0, 0])
    # 0.25 rounds to 0 everywhere: nothing is left, so nothing is known
    np.testing.assert_allclose(Rounded(digits=0).perturb(ROWS, "probabilities", NOISE)[2], [0.25] * 4)
    np.testing.assert_allclose(Rounded(digits=6).perturb(ROWS, "probabilities", NOISE), ROWS, atol=1e-6)


@pytest.mark.parametrize("made", [TopK(k=2), Rounded(digits=2)])
def test_logits_stay_logits_of_the_coarser_answer(made):
    logits = np.log(ROWS) + 5
    as_logits = made.perturb(logits, "logits", NOISE)
    as_rows = made.perturb(ROWS, "probabilities", NOISE)
    np.testing.assert_allclose(softmax(as_logits), as_rows, atol=1e-4)
    np.testing.assert_array_equal(as_logits, made.perturb(logits, "logits", NOISE))


@pytest.mark.parametrize(("name", "option", "wrong"), [("top_k", "k", 0), ("rounded", "digits", 7)])
def test_no_guarantee_is_booked_as_none(name, option, wrong):
    stack = make_mechanism(name)
    assert stack.events(Occasion("answer", "soft_vote", {}, 5, 7, 10)) == {UNPROTECTED: 7}
    assert any("no guarantee" in text for text in stack.disclosure.assumptions)
    with pytest.raises(InvalidOption, match=option):
        make_mechanism(name, **{option: wrong})


def test_coarsening_after_noise_costs_nothing_more():
    occasion = Occasion("answer", "soft_vote", {}, 5, 7, 10)
    both = make_mechanism([{"name": "laplace", "epsilon": 2.0}, "top_k"])
    reverse = make_mechanism(["top_k", {"name": "laplace", "epsilon": 2.0}])
    alone = make_mechanism("laplace", epsilon=2.0)
    assert both.events(occasion) == reverse.events(occasion) == alone.events(occasion)
