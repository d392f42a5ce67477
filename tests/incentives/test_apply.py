"""Choice of a method, shares, agreement and certainty by hand, and what is refused."""

import numpy as np
import pytest

from fi_workbench.core.errors import DoesNotFit, InvalidAnswer, InvalidData, InvalidQuery, UnknownName
from fi_workbench.incentives.apply import contribute
from fi_workbench.incentives.contribution import ContributionView, contribution_method, contribution_methods
from fi_workbench.incentives.offline import contributions
from fi_workbench.incentives.select import auto
from fi_workbench.incentives.shares import shares

P = np.array([[[0.7, 0.3], [0.2, 0.8]], [[0.4, 0.6], [0.1, 0.9]], [[0.6, 0.4], [0.5, 0.5]]])


@pytest.fixture
def register():
    """Register methods for one test."""
    before = set(contribution_methods)
    yield
    for name in set(contribution_methods) - before:
        contribution_methods.remove(name)


@pytest.mark.parametrize(
    ("offered", "n_parties", "chosen"),
    [
        ("each", 5, "shapley"), ("each", 50, "shapley"), ("each", 5000, "final_agreement"), ("each", 1, "equal"),
        ("each", 2, "shapley"), ("each", 500, "final_agreement"), ("votes", 5, "correlated_agreement"),
        ("votes", 3, "correlated_agreement"), ("votes", 2, "equal"), ("votes", 1, "equal"),
        ("votes", 51, "final_agreement"), ("sum", 5, "equal"), ("nothing", 5, "equal"),
    ],
)  # fmt: skip
def test_auto_picks_the_richest_that_fits(offered, n_parties, chosen):
    assert auto(offered, n_parties) == chosen
    if offered == "each" and n_parties == 5:
        np.testing.assert_array_equal(contributions(P, "auto"), contributions(P, chosen))


def test_equal_and_agreement_and_entropy_by_hand():
    np.testing.assert_allclose(contributions(P, "equal", outputs="probabilities"), 1 / 3)
    # soft vote 0, 1; votes (0, 1), (1, 1), (0, 0): one point by halves twice
    np.testing.assert_allclose(contributions(P, "final_agreement", outputs="probabilities"), [1, 0.5, 0.5])
    certainty = np.exp((P * np.log(P)).sum(-1))
    np.testing.assert_allclose(
        contributions(P, "entropy", outputs="probabilities"), (certainty / certainty.sum(0)).sum(1), rtol=1e-9
    )


def test_agreement_is_with_the_federations_label():
    scores = np.array([[0.1, 0.9], [0.9, 0.1]])
    np.testing.assert_allclose(contributions(P, "final_agreement", outputs="probabilities", scores=scores), [0, 1, 1])


def test_a_label_that_nobody_voted_for_pays_nobody():
    scores = np.array([[0.0, 0.0, 1.0]])
    assert contributions(np.zeros((2, 1, 3)), "final_agreement", scores=scores).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("values", "paid"),
    [
        ([1, 3], [0.25, 0.75]), ([-5, 1, 0], [0, 1, 0]), ([0, 0], [0.5, 0.5]), ([-1, -2], [0.5, 0.5]), ([7], [1]),
        ([5e-324, 0], [1, 0]), ([1e308, 1e308], [0.5, 0.5]), ([], []),
    ],
)  # fmt: skip
def test_shares(values, paid):
    np.testing.assert_allclose(shares(values), paid)


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 3)), np.zeros((0, 1, 2)), np.full((1, 1, 2), np.inf), [[[0.0], [1.0, 2.0]]]]
)
def test_answers_that_are_refused(bad):
    with pytest.raises(InvalidAnswer):
        contributions(bad)


def test_other_input_that_is_refused():
    with pytest.raises(InvalidQuery, match="labels"):
        contributions(P, "shapley", [0])
    with pytest.raises(InvalidQuery, match="classes"):
        contributions(P, "shapley", [0, 2])
    with pytest.raises(InvalidAnswer, match="The federation"):
        contributions(P, "final_agreement", scores=[[0.0, 1.0]])
    with pytest.raises(UnknownName, match="shapley"):
        contributions(P, "shaply")


def test_torch_and_lists_are_taken():
    torch = pytest.importorskip("torch")
    expected = contributions(P, "shapley", [0, 1])
    np.testing.assert_array_equal(contributions(torch.tensor(P), "shapley", torch.tensor([0, 1])), expected)
    np.testing.assert_array_equal(contributions(P.tolist(), "shapley", [0, 1]), expected)


@pytest.mark.usefixtures("register")
def test_a_method_that_breaks_its_contract_is_named():
    @contribution_method(needs="nothing")
    def wrong_shape(view):
        """One number too many, for this test."""
        return np.ones(view.n_parties + 1)

    @contribution_method(needs="nothing")
    def not_finite(view):
        """No numbers at all, for this test."""
        return np.full(view.n_parties, np.nan)

    for name in ("wrong_shape", "not_finite"):
        with pytest.raises(InvalidData, match=name):
            contributions(P, name)
    with pytest.raises(ValueError, match="needs a docstring"):
        contribution_method(needs="nothing")(lambda view: view)


@pytest.mark.usefixtures("register")
def test_labels_where_they_are_required():
    @contribution_method(needs="votes", labels="required")
    def own_accuracy(view):
        """Share of right votes, for this test."""
        return (view.each_vote == view.labels).mean(axis=1)

    assert contributions(P, "own_accuracy", [0, 1], outputs="probabilities").tolist() == [1, 0.5, 0.5]
    with pytest.raises(DoesNotFit, match="true labels") as caught:
        contribute(contribution_methods["own_accuracy"], ContributionView(3, P))
    assert "shapley" in caught.value.fits
