"""Who claims more than its votes show: known answers, an independent computation, and error rates that are measured."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from fi_workbench.core.crowd import dawid_skene
from fi_workbench.core.errors import InvalidData
from fi_workbench.incentives.audit import THRESHOLD, audit_claims


def federation(seed, n_parties=5, n_queries=500, n_classes=8, alpha=0.2):
    """(votes, counts): each party knows a class the better the more samples it has of it; else it guesses."""
    rng = np.random.default_rng(seed)
    counts = np.round(rng.dirichlet(np.full(n_parties, alpha), size=n_classes).T * 1000).astype(int)
    known = counts / (counts + 60.0)  # recall
    truth = rng.integers(n_classes, size=n_queries)
    favourite = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    votes = np.empty((n_parties, n_queries), dtype=int)
    for party in range(n_parties):
        guesses = rng.choice(n_classes, p=favourite[party] / favourite[party].sum(), size=n_queries)
        votes[party] = np.where(rng.random(n_queries) < known[party, truth], truth, guesses)
    return votes, counts


def over_claimed(counts, party, n=6000):
    claimed = counts.copy()
    claimed[party] = n
    return claimed


# ---- known answers


def test_honest_claims_raise_no_flag_and_lies_do():
    votes, counts = federation(0)
    assert audit_claims(votes, counts, 8).flagged == ()
    for party in range(5):
        found = audit_claims(votes, over_claimed(counts, party), 8)
        assert found.flagged == (party,)
        assert found.z[party] == max(found.z)


def test_findings_name_the_classes_that_it_does_not_know():
    votes, counts = federation(1)
    found = audit_claims(votes, over_claimed(counts, 2), 8)
    assert found.flags
    assert {one.party for one in found.flags} == {2}
    assert [one.z for one in found.flags] == sorted((one.z for one in found.flags), reverse=True)
    for one in found.flags:
        assert counts[2, one.class_index] < 300
        assert one.claim == 6000
        assert one.expected == found.expected[2, one.class_index]
        assert one.estimated == found.estimated[2, one.class_index]
        assert one.expected > one.estimated


def test_an_even_partition_hides_a_lie():
    """The documented limit: who knows every class as well as the others may claim what it likes."""
    rng = np.random.default_rng(3)
    truth = rng.integers(4, size=400)
    votes = np.where(rng.random((5, 400)) < 0.85, truth, rng.integers(4, size=(5, 400)))
    assert audit_claims(votes, over_claimed(np.full((5, 4), 500), 1), 4).flagged == ()


def test_the_threshold_is_on_z():
    votes, counts = federation(4)
    claimed = over_claimed(counts, 0)
    z = audit_claims(votes, claimed, 8).z[0]
    assert audit_claims(votes, claimed, 8, threshold=z - 0.01).flagged[0] == 0
    assert 0 not in audit_claims(votes, claimed, 8, threshold=z).flagged


# ---- an independent computation


def test_it_is_the_statistic_that_it_states():
    votes, counts = federation(5)
    claimed = over_claimed(counts, 3)
    found = audit_claims(votes, claimed, 8)
    crowd = dawid_skene(votes, 8)
    n = crowd.counts.sum(axis=2)
    recall = np.diagonal(crowd.counts, axis1=1, axis2=2) / n
    np.testing.assert_allclose(found.estimated, recall)
    for party in range(5):
        others = [k for k in range(5) if k != party]
        x, y, w = (np.concatenate([array[k] for k in others]) for array in (np.log1p(claimed), recall, n))
        fit = IsotonicRegression(out_of_bounds="clip").fit(x, y, sample_weight=w)
        expected = fit.predict(np.log1p(claimed[party]))
        np.testing.assert_allclose(found.expected[party], expected, atol=1e-9)
        inside = (expected * n[party] + 0.5) / (n[party] + 1)
        variance = np.mean((y - fit.predict(x)) ** 2) + inside * (1 - inside) / n[party]
        z = (expected - recall[party]).sum() / np.sqrt(variance.sum())
        assert found.z[party] == pytest.approx(z, abs=1e-8)


def test_the_order_of_parties_does_not_matter():
    votes, counts = federation(6)
    claimed, order = over_claimed(counts, 1), np.array([3, 1, 4, 0, 2])
    straight, turned = audit_claims(votes, claimed, 8), audit_claims(votes[order], claimed[order], 8)
    np.testing.assert_allclose(turned.z, straight.z[order], atol=1e-6)
    assert [order[k] for k in turned.flagged] == list(straight.flagged) == [1]


# ---- error rates


def test_false_alarms_are_rare_and_lies_are_found():
    n_false = n_honest = n_found = n_lies = 0
    for seed in range(40):
        votes, counts = federation(seed + 100)
        honest = audit_claims(votes, counts, 8)
        n_false, n_honest = n_false + len(honest.flagged), n_honest + 5
        party = seed % 5
        lied = audit_claims(votes, over_claimed(counts, party), 8).flagged
        n_found, n_lies = n_found + (party in lied), n_lies + 1
        n_false, n_honest = n_false + len(set(lied) - {party}), n_honest + 4
    assert n_honest == 360
    assert n_false <= 0.02 * n_honest
    assert n_found >= 0.9 * n_lies


def test_on_trained_parties():
    from fi_workbench.parties import demo_parties, load_dataset

    data = load_dataset("digits")
    for seed in range(2):
        parties = demo_parties(data, n_parties=5, alpha=0.1, seed=seed)
        votes = np.stack([party.predict(data.test_images).argmax(axis=1) for party in parties])
        counts = np.stack([party.facts.class_counts for party in parties])
        assert audit_claims(votes, counts, 10).flagged == ()
        for party in range(5):
            assert audit_claims(votes, over_claimed(counts, party), 10).flagged == (party,)


@pytest.mark.golden
@pytest.mark.parametrize(("skew", "found"), [("a0.1", True), ("a1000", False)])
def test_on_the_golden_federations(skew, found):
    data = os.environ.get("FI_WORKBENCH_DATA")
    if not data:
        pytest.skip("FI_WORKBENCH_DATA is not set: no golden files")
    path = Path(data) / "golden" / f"fashionmnist_lenet_K5_{skew}_seed42_ep5"
    with np.load(path.with_name(path.name + ".npz")) as arrays:
        votes = arrays["logits"].argmax(axis=2)
    counts = np.array(json.loads(path.with_name(path.name + ".json").read_text())["client_class_counts"])
    assert audit_claims(votes, counts, 10).flagged == ()
    for party in range(5):
        assert audit_claims(votes, over_claimed(counts, party), 10).flagged == ((party,) if found else ())


# ---- what comes from outside


def test_absent_votes_are_no_evidence():
    votes, counts = federation(7)
    some = votes.copy()
    some[:, ::3] = -1
    some[4, :] = -1
    found = audit_claims(some, over_claimed(counts, 4), 8)
    assert found.z[4] == 0
    assert np.isnan(found.estimated[4]).all()
    assert found.flagged == ()
    assert audit_claims(some, over_claimed(counts, 0), 8).flagged == (0,)


def test_nobody_answers_at_all():
    found = audit_claims(np.full((3, 10), -1), np.ones((3, 4)), 4)
    np.testing.assert_array_equal(found.z, 0)
    assert found.flagged == ()


@pytest.mark.parametrize(
    ("votes", "counts"),
    [
        (np.zeros((3, 50), int), np.full((3, 4), 10)),  # constant parties, classes that nobody reports
        (np.tile(np.arange(4), 30)[None].repeat(3, 0), np.full((3, 4), 10)),  # perfect, equal claims
        (np.tile(np.arange(4), 30)[None].repeat(3, 0), np.zeros((3, 4))),  # nobody claims anything
        (np.array([[0], [1], [2]]), np.eye(3, 4)),  # one query, all disagree
    ],
)
def test_degenerate_votes_flag_nobody(votes, counts):
    found = audit_claims(votes, counts, 4)
    assert np.isfinite(found.z).all()
    assert found.flagged == ()


def test_an_estimate_over_a_stream_can_be_given():
    votes, counts = federation(8)
    claimed, crowd = over_claimed(counts, 2), dawid_skene(votes, 8)
    np.testing.assert_array_equal(audit_claims(votes, claimed, 8, crowd=crowd).z, audit_claims(votes, claimed, 8).z)
    with pytest.raises(InvalidData, match="crowd"):
        audit_claims(votes, claimed, 8, crowd=dawid_skene(votes[:4], 8))


@pytest.mark.parametrize(
    ("votes", "claims", "match"),
    [
        (np.zeros((2, 5), int), np.ones((2, 3)), "3 are needed, there are 2"),
        (np.zeros((1, 5), int), np.ones((1, 3)), "there are 1"),
        (np.zeros((3, 0), int), np.ones((3, 3)), r"shape \(3, 0\)"),
        (np.zeros((3, 5)), np.ones((3, 3)), "float64"),
        (np.full((3, 5), 3), np.ones((3, 3)), "0 to 2"),
        (np.full((3, 5), -2), np.ones((3, 3)), "0 to 2"),
        (np.zeros((3, 5), int), np.ones((3, 4)), r"\(3, 3\) = \(party, class\)"),
        (np.zeros((3, 5), int), np.full((3, 3), np.nan), "NaN"),
        (np.zeros((3, 5), int), np.full((3, 3), -1), "negative"),
    ],
)
def test_what_cannot_be_audited_is_refused(votes, claims, match):
    with pytest.raises(InvalidData, match=match):
        audit_claims(votes, claims, 3)


@pytest.mark.parametrize("threshold", [np.nan, np.inf, -np.inf])
def test_a_threshold_that_nothing_can_pass_is_refused(threshold):
    votes, counts = federation(9)
    with pytest.raises(InvalidData, match="threshold"):
        audit_claims(votes, counts, 8, threshold=threshold)


def test_liars_in_company_hide_one_another():
    """The other documented limit: leaving one liar out, the second still teaches that large claims mean little."""
    alone = together = 0
    for seed in range(40):
        votes, counts = federation(seed)
        alone += 1 in audit_claims(votes, over_claimed(counts, 1), 8).flagged
        both = audit_claims(votes, over_claimed(over_claimed(counts, 1), 2), 8).flagged
        together += len({1, 2} & set(both))
        assert {0, 3, 4}.isdisjoint(both), "no honest party pays for it"
    assert alone >= 36
    assert together <= 40, "of 80"


def test_the_default_threshold_is_the_documented_one():
    votes, counts = federation(9)
    assert audit_claims(votes, counts, 8).threshold == THRESHOLD == 4.0
