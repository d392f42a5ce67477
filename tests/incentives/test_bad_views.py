"""Rounds that nobody answered, votes that name no class, cohorts in which parties come and go."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from fi_workbench.core.crowd import ABSENT, dawid_skene
from fi_workbench.core.errors import InvalidAnswer, InvalidData
from fi_workbench.incentives.apply import contribute, estimate
from fi_workbench.incentives.contribution import ContributionView, contribution_methods
from fi_workbench.incentives.running import Running
from fi_workbench.incentives.shares import shares

ALL = sorted(contribution_methods)
BY_VOTES = [name for name in ALL if contribution_methods[name].needs == "votes" and name != "final_agreement"]


def view_of(votes, n_classes=3):
    return ContributionView(len(votes), votes=votes, scores=np.full((votes.shape[1], n_classes), 1 / n_classes))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(0, 4, 3), (3, 0, 3)])
def test_a_round_without_parties_or_queries_is_refused(name, shape):
    method, n_queries = contribution_methods[name], shape[1]
    view = ContributionView(
        shape[0], np.zeros(shape), scores=np.ones((n_queries, 3)) / 3, labels=np.zeros(n_queries, dtype=int)
    )
    with pytest.raises(InvalidData, match="leave such a round out"):
        contribute(method, view)
    with pytest.raises(InvalidData, match="leave such a round out"):
        Running.begin(method, {}, 3).add(view)


@pytest.mark.parametrize("name", BY_VOTES)
@pytest.mark.parametrize("wrong", [3, 7, -2])
def test_votes_outside_the_classes_are_refused(rng, name, wrong):
    votes = rng.integers(0, 3, (4, 20))
    votes[1, 5] = wrong
    with pytest.raises(InvalidAnswer, match="the classes are 0 to 2"):
        contribute(contribution_methods[name], view_of(votes))


def test_votes_that_are_no_labels_are_refused():
    for votes in (np.zeros((2, 3)), np.zeros(3, dtype=int), np.zeros((2, 3, 4), dtype=int)):
        with pytest.raises(InvalidAnswer, match=r"integers \(party, query\) are needed"):
            dawid_skene(votes, 4)
    unsigned = np.array([[0, 1, 1], [0, 1, 0], [1, 1, 1]], dtype=np.uint8)
    np.testing.assert_array_equal(dawid_skene(unsigned, 2).posterior, dawid_skene(unsigned.astype(int), 2).posterior)


def test_queries_that_nobody_voted_on_follow_the_prior():
    votes = np.array([[0, 0, 1, ABSENT], [0, 0, 1, ABSENT], [0, 0, 0, ABSENT]])
    crowd = dawid_skene(votes, 2)
    np.testing.assert_allclose(crowd.posterior[3], crowd.prior, atol=1e-4)
    assert dawid_skene(votes[:, :0], 2).posterior.shape == (0, 2)
    np.testing.assert_allclose(dawid_skene(votes[:, :0], 2).skill, 0.5)


def by_loops(votes, name, n_classes):
    """Each method as its formula stands, pair by pair and label by label; pairs that never met are left out."""
    n_parties, values = len(votes), []
    for k in range(n_parties):
        found = []
        for j in (j for j in range(n_parties) if j != k):
            both = (votes[k] != ABSENT) & (votes[j] != ABSENT)
            if not both.any():
                continue
            mine, theirs = votes[k][both], votes[j][both]
            of = {(a, b): ((mine == a) & (theirs == b)).mean() for a in range(n_classes) for b in range(n_classes)}
            if name == "pairwise_information":
                found.append(mutual_info_score(mine, theirs))
            elif name == "correlated_agreement":
                found.append(sum(max(0, p - (mine == a).mean() * (theirs == b).mean()) for (a, b), p in of.items()))
            elif name == "peer_truth_serum":
                others = np.delete(votes, k, axis=0)
                others = others[others != ABSENT]
                found.append(sum(of[a, a] / (others == a).mean() for a in range(n_classes) if (others == a).any()))
            else:
                dets = []
                for half in (slice(0, None, 2), slice(1, None, 2)):
                    mine, theirs = votes[k][half], votes[j][half]
                    n = ((mine != ABSENT) & (theirs != ABSENT)).sum()
                    counts = [[((mine == a) & (theirs == b)).sum() for b in range(n_classes)] for a in range(n_classes)]
                    dets.append(np.linalg.det(n_classes * np.array(counts) / max(n, 1)) if n else None)
                if None not in dets:
                    found.append(dets[0] * dets[1])
        values.append(np.mean(found) if found else 0.0)
    return values


@pytest.mark.parametrize("name", ["pairwise_information", "correlated_agreement", "peer_truth_serum", "dmi"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_methods_of_pairs_by_plain_loops_where_parties_come_and_go(rng, name, n_classes):
    votes = rng.integers(ABSENT, n_classes, (7, 60))
    votes[1] = np.where(rng.random(60) < 0.7, votes[0], votes[1])
    votes[3, 30:], votes[4, :30] = ABSENT, ABSENT  # these two never meet
    votes[5, 1::2], votes[6, ::2] = ABSENT, ABSENT  # nor do these, and each is in one half only
    expected = by_loops(votes, name, n_classes)
    np.testing.assert_allclose(contribute(contribution_methods[name], view_of(votes, n_classes)), expected, atol=1e-12)


def test_dmi_counts_those_who_came_in_either_half(rng):
    votes = rng.integers(0, 2, (4, 40))
    votes[3, ::2] = ABSENT  # only ever in the second half
    running = Running.begin(contribution_methods["dmi"], {}, 4)
    for query in range(40):
        there = np.flatnonzero(votes[:, query] != ABSENT)
        running = running.add(view_of(votes[there, query : query + 1], 2), there)
    found = running.estimate()
    assert "1 of 4 parties never reported" in found.note
    np.testing.assert_allclose(found.values[:3], contribute(contribution_methods["dmi"], view_of(votes[:3], 2)))
    assert found.values[3] == 0
    # two and one in turn are three who answered
    three = votes[:3].copy()
    three[2, ::2] = ABSENT
    assert "Fewer than three" not in estimate(contribution_methods["dmi"], view_of(three, 2)).note
    # whoever never came is not counted among those who never reported a class
    never = np.concatenate([votes[:3], np.full((1, 40), ABSENT)])
    assert estimate(contribution_methods["dmi"], view_of(never, 2)).note == ""


@pytest.mark.parametrize("values", [[np.nan, 1], [np.inf, 1], [[1.0, 2.0]], ["a"], 3.0])
def test_shares_of_what_is_no_number_a_party(values):
    with pytest.raises(InvalidData, match="one finite number a party"):
        shares(values)


@pytest.mark.parametrize("name", ALL)
def test_constant_parties_and_classes_that_nobody_reports(name):
    labels = np.zeros(12, dtype=int)
    for vote, other in itertools.product((0, 2), repeat=2):
        p = np.full((4, 12, 4), 0.05)
        p[:3, :, vote] = p[3, :, other] = 0.85
        values = contribute(contribution_methods[name], ContributionView(4, p, scores=p.mean(0), labels=labels))
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values[:3], values[0], atol=1e-12)
        if vote == other:
            np.testing.assert_allclose(values, values[0], atol=1e-12)
