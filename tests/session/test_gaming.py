"""The gaming matrix: each cell is what it says, commit-reveal takes the gain from copying, and stopping stops."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from fi_workbench.aggregation import aggregate, rules
from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer, InvalidOption, InvalidParty, InvalidQuery, UnknownName
from fi_workbench.incentives import contribution_methods, contributions, payouts, shares
from fi_workbench.parties.behaviours import behaviours, make_behaviour
from fi_workbench.session.gaming import gaming_matrix, gaming_matrix_of
from tests.harness import CLASSES, queries
from tests.session.conftest import NAMES

REWARDS = ("equal", "final_agreement", "entropy", "shapley")
RULES = ("soft_vote", "hard_vote")
RNG = np.random.default_rng(11)
TRUTH = RNG.integers(4, size=300)
SKILL = (0.9, 0.75, 0.6, 0.35)
LOGITS = np.stack(
    [
        3.0 * np.eye(4)[np.where(RNG.random(300) < skill, TRUTH, RNG.integers(4, size=300))] + RNG.normal(size=(300, 4))
        for skill in SKILL
    ]
).astype(np.float32)
COUNTS = np.array([[900, 500, 0, 0], [0, 500, 800, 0], [0, 0, 300, 700], [60, 10, 20, 5]])


def matrix(behave=("copy_peer",), rewards=REWARDS, rules=RULES, **options):
    return gaming_matrix(LOGITS, TRUTH, behaviours=behave, rewards=rewards, rules=rules, **options)


# ---- cells


def test_the_weakest_cheats_unless_another_is_named():
    assert matrix().cheater == "party 3"
    assert matrix(cheater=0).cheater == "party 0"
    assert matrix(cheater="Bo", parties=("Ada", "Bo", "Cy", "Di")).cheater == "Bo"


def test_a_cell_is_what_one_computes_by_hand():
    found = matrix(("copy_peer", "constant_label"), class_counts=COUNTS, labelled=False)
    assert found.protections == ("plain", "commit_reveal")
    copied = LOGITS.copy()
    copied[3] = np.log(softmax(LOGITS[0]))  # the best peer knows most
    for column, reward in enumerate(REWARDS):
        honest, cheats = (shares(contributions(answers, reward))[3] for answers in (LOGITS, copied))
        assert found.honest_share[column] == pytest.approx(honest)
        assert found.share[0, 0, column] == pytest.approx(cheats)
        assert found.gain[0, 0, column] == pytest.approx(cheats / honest)
    for column, rule in enumerate(RULES):
        honest, cheated = ((aggregate(a, rule).argmax(1) == TRUTH).mean() for a in (LOGITS, copied))
        assert found.honest_accuracy[column] == honest
        assert found.accuracy[0, 0, column] == cheated
        assert found.cost[0, 0, column] == pytest.approx(100 * (honest - cheated))


def test_the_best_peer_is_the_one_that_is_right_not_the_one_that_agrees():
    right, wrong = 5.0 * np.eye(4)[TRUTH], 5.0 * np.eye(4)[np.where(np.arange(300) < 150, TRUTH, (TRUTH + 1) % 4)]
    weakest = 5.0 * np.eye(4)[(TRUTH + 2) % 4]
    found = gaming_matrix(
        np.stack([wrong, wrong, right, weakest]), TRUTH, behaviours=("copy_peer",), rewards=("equal",),
        rules=("hard_vote",),
    )  # fmt: skip
    copied = np.stack([wrong, wrong, right, right])
    assert found.accuracy[0, 0, 0] == (aggregate(copied, "hard_vote").argmax(1) == TRUTH).mean()
    assert (
        found.accuracy[0, 0, 0]
        != (aggregate(np.stack([wrong, wrong, right, wrong]), "hard_vote").argmax(1) == TRUTH).mean()
    )


def test_copying_pays_and_commit_reveal_ends_it():
    found = matrix()
    gain = dict(zip(REWARDS, found.gain[0, 0], strict=True))
    assert gain["equal"] == 1
    assert gain["final_agreement"] > 1.2
    np.testing.assert_array_equal(found.gain[1, 0], 1)
    np.testing.assert_array_equal(found.cost[1, 0], 0)
    assert not found.absent.any()


def test_only_listeners_differ_under_commit_reveal():
    names = [name for name in behaviours if "peers" not in behaviours[name].sees]
    found = matrix(names, rewards=("final_agreement",), rules=("soft_vote",))
    np.testing.assert_array_equal(found.gain[0], found.gain[1])
    np.testing.assert_array_equal(found.cost[0], found.cost[1])


def test_each_protection_can_be_had_alone():
    both, plain, bound = (matrix(commit_reveal=one) for one in ("both", False, True))
    assert (plain.protections, bound.protections) == (("plain",), ("commit_reveal",))
    np.testing.assert_array_equal(both.gain[0], plain.gain[0])
    np.testing.assert_array_equal(both.gain[1], bound.gain[0])


@pytest.mark.parametrize("name", ["abstain", "slow", "garbage"])
def test_who_gives_no_answer_is_paid_nothing_and_left_out(name):
    found = matrix((name,), rules=("soft_vote", "class_competence"), class_counts=COUNTS)
    assert found.absent.all()
    np.testing.assert_array_equal(found.share, 0)
    assert np.isnan(found.flagged).all()
    for column, rule in enumerate(found.rules):
        left = (aggregate(LOGITS[:3], rule, class_counts=COUNTS[:3]).argmax(1) == TRUTH).mean()
        np.testing.assert_array_equal(found.accuracy[..., column], left)


def test_over_claims_change_rules_by_competence_and_nothing_else():
    found = matrix(("over_claimed_counts",), rules=("soft_vote", "class_competence"), class_counts=COUNTS)
    np.testing.assert_array_equal(found.gain, 1)
    np.testing.assert_array_equal(found.cost[..., 0], 0)
    claimed = COUNTS.copy()
    claimed[3] = 6000
    lied = (aggregate(LOGITS, "class_competence", class_counts=claimed).argmax(1) == TRUTH).mean()
    np.testing.assert_array_equal(found.accuracy[..., 1], lied)
    assert (found.cost[..., 1] > 10).all()


def test_sharpening_changes_what_looks_at_certainty_and_not_what_looks_at_votes():
    found = matrix(("sharpened",), rewards=("entropy", "correlated_agreement"), rules=("hard_vote",))
    assert found.gain[0, 0, 0] > 1.05
    np.testing.assert_array_equal(found.gain[:, 0, 1], 1)
    np.testing.assert_array_equal(found.cost, 0)


def test_attackers_cost_more_the_more_they_know():
    found = matrix(("strongest_inverted", "informed_inversion"), rules=("soft_vote",))
    blind, leak, truth = found.cost[1, 0, 0], found.cost[0, 0, 0], found.cost[0, 1, 0]
    assert truth > leak > 0
    assert truth > blind


def test_labels_go_only_to_rewards_that_are_to_have_them():
    with_labels, without = (matrix(rewards=("shapley",), labelled=one).honest_share for one in (True, False))
    assert with_labels != without
    np.testing.assert_allclose(with_labels, shares(contributions(LOGITS, "shapley", TRUTH))[3])


def test_payouts_turn_contributions_into_shares():
    assert (matrix(payout="equal").gain == 1).all()
    assert "proportional" in payouts


def test_it_is_random_only_by_its_seed():
    first, again, other = (matrix(("random_confident",), seed=seed).share for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_what_was_earned_from_nothing_is_told_as_such():
    blind = LOGITS.copy()
    blind[3] = np.eye(4)[(TRUTH + 1) % 4] * 50  # never agrees with the others, who are mostly right
    good = np.eye(4)[TRUTH][None] * np.array([5.0, 6.0, 7.0])[:, None, None]
    found = gaming_matrix(
        np.concatenate([good, blind[3:]]), TRUTH, behaviours=("copy_peer", "abstain"), rewards=("final_agreement",),
        rules=("soft_vote",),
    )  # fmt: skip
    assert found.honest_share[0] == 0
    assert np.isinf(found.gain[0, 0, 0])
    assert np.isnan(found.gain[0, 1, 0])
    assert found.to_dict()["gain"][0] == [[None], [None]]


# ---- what is taken where nothing is named


def test_everything_that_fits_is_in_it():
    found = gaming_matrix(LOGITS[:, :60], TRUTH[:60], class_counts=COUNTS)
    assert found.behaviours == tuple(behaviours)
    assert set(found.rewards) | {n for n in found.left_out if n in contribution_methods} == set(contribution_methods)
    assert set(found.rules) | {n for n in found.left_out if n in rules} == set(rules)
    assert {"class_competence", "soft_vote", "median"} <= set(found.rules)
    on_answers = {name for name, method in contribution_methods.items() if method.asks is None}
    assert on_answers == set(found.rewards)  # who asks parts of the parties cannot do so of answers kept
    assert found.complete
    assert np.isfinite(found.cost).all()
    table = found.table()
    assert table.shape == (2 * len(behaviours), len(found.rewards) + len(found.rules) + 2)
    assert table.loc[("plain", "abstain"), ("cheater", "absent")] == 1
    assert (
        table.loc[("plain", "copy_peer"), ("gain", "entropy")]
        == found.gain[0, found.behaviours.index("copy_peer"), found.rewards.index("entropy")]
    )
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["cheater"] == found.cheater


def test_without_counts_what_needs_them_is_left_out_by_name():
    found = gaming_matrix(LOGITS, TRUTH, behaviours=("copy_peer",), rewards=("equal",))
    assert "class_competence" not in found.rules
    assert "class_counts" in found.left_out["class_competence"]
    assert np.isnan(found.flagged).all()
    with pytest.raises(DoesNotFit, match="class_competence"):
        matrix(rules=("class_competence",))


@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_probabilities_do_as_well(outputs):
    answers = LOGITS if outputs == "logits" else softmax(LOGITS)
    found = gaming_matrix(
        answers, TRUTH, outputs=outputs, behaviours=("copy_peer", "sharpened"), rewards=REWARDS, rules=RULES
    )
    np.testing.assert_allclose(found.gain, matrix(("copy_peer", "sharpened")).gain, rtol=1e-4)


def test_two_parties_and_one_query():
    found = gaming_matrix(
        LOGITS[:2, :1], TRUTH[:1], class_counts=COUNTS[:2], behaviours=("copy_peer", "abstain", "class_prior_attack"),
        rewards=("equal", "entropy"), rules=RULES,
    )  # fmt: skip
    assert found.complete
    assert np.isnan(found.flagged).all(), "two parties cannot be audited"


# ---- progress and stopping


def test_progress_tells_of_each_cell():
    told = []
    found = matrix(("copy_peer", "sharpened", "abstain"), on_progress=told.append)
    assert {one.total for one in told} == {found.share.size + found.accuracy.size}
    assert [one.done for one in told] == sorted({one.done for one in told})
    assert told[0].task == "copy_peer, plain: equal"
    assert found.complete


@pytest.mark.parametrize("after", [1, 7])
def test_stopping_stops_and_keeps_what_is_done(after):
    stop, told = threading.Event(), []

    def watch(progress):
        told.append(progress)
        if len(told) == after:
            stop.set()

    found = matrix(("copy_peer", "sharpened"), on_progress=watch, cancelled=stop)
    assert len(told) == after
    assert not found.complete
    assert np.isfinite(found.share).sum() + np.isfinite(found.accuracy).sum() == after
    full = matrix(("copy_peer", "sharpened"))
    done = np.isfinite(found.share)
    np.testing.assert_array_equal(found.share[done], full.share[done])


def test_stopped_before_it_began():
    stop = threading.Event()
    stop.set()
    found = matrix(cancelled=stop)
    assert not found.complete
    assert found.share.size == 0


# ---- what comes from outside


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"cheater": "Eve"}, UnknownName, "Eve"),
        ({"cheater": 4}, InvalidParty, "from -4 to 3"),
        ({"behave": ("copy_pear",)}, UnknownName, "copy_peer"),
        ({"rewards": ("gold",)}, UnknownName, "gold"),
        ({"rules": ("golden",)}, UnknownName, "golden"),
        ({"payout": "cash"}, UnknownName, "cash"),
        ({"parties": ("Ada", "Ada", "Bo", "Cy")}, InvalidParty, "different names"),
        ({"class_counts": COUNTS[:2]}, InvalidParty, r"\(4, 4\) numbers are needed"),
        ({"class_counts": COUNTS - 1}, InvalidParty, "0 or more"),
    ],
)
def test_settings_that_are_wrong_are_refused(change, error, match):
    with pytest.raises(error, match=match):
        matrix(**change)


@pytest.mark.parametrize(
    ("logits", "labels", "error"),
    [
        (LOGITS[:1], TRUTH, InvalidAnswer),
        (LOGITS[0], TRUTH, InvalidAnswer),
        (LOGITS * np.nan, TRUTH, InvalidAnswer),
        (LOGITS, TRUTH[:5], InvalidQuery),
        (LOGITS, TRUTH + 9, InvalidQuery),
    ],
)
def test_arrays_that_are_wrong_are_refused(logits, labels, error):
    with pytest.raises(error):
        gaming_matrix(logits, labels)


def test_behaviours_may_come_with_options():
    found = matrix((make_behaviour("copy_peer", peer="party 1"),))
    copied = LOGITS.copy()
    copied[3] = LOGITS[1]
    np.testing.assert_allclose(found.share[0, 0, 1], shares(contributions(copied, "final_agreement"))[3], rtol=1e-5)
    with pytest.raises(InvalidOption):
        make_behaviour("copy_peer", pear="party 1")


# ---- of a federation


def test_a_federation_is_asked_once(make):
    federation, asked = make(), queries(20)
    labels = np.arange(20) % len(CLASSES)
    options = {"behaviours": ("copy_peer", "abstain"), "rewards": REWARDS, "rules": RULES, "cheater": "Bo"}
    found = gaming_matrix_of(federation, asked, labels, **options)
    assert len(federation.history) == 1
    answers = np.stack([party.predict(asked) for party in federation.parties])
    by_hand = gaming_matrix(answers, labels, parties=NAMES, **options)
    np.testing.assert_allclose(found.gain, by_hand.gain, rtol=1e-3)
    np.testing.assert_array_equal(found.cost, by_hand.cost)
    assert "class_competence" in gaming_matrix_of(federation, asked, labels, behaviours=("copy_peer",)).left_out


def test_those_who_do_not_answer_are_not_in_it(make, troubled):
    from tests.harness import linear_party

    troubled.mood = "raises"
    federation = make(parties=[linear_party("Ada"), troubled.party, linear_party("Cy")])
    found = gaming_matrix_of(
        federation, queries(20), np.arange(20) % 3, behaviours=("abstain",), rewards=("equal",), rules=RULES
    )
    assert found.cheater in ("Ada", "Cy")
    assert found.honest_share[0] == 0.5


# ---- the golden federation


@pytest.mark.golden
def test_the_golden_federation_is_gamed():
    data = os.environ.get("FI_WORKBENCH_DATA")
    if not data:
        pytest.skip("FI_WORKBENCH_DATA is not set: no golden files")
    path = Path(data) / "golden" / "fashionmnist_lenet_K5_a0.1_seed42_ep5"
    with np.load(path.with_name(path.name + ".npz")) as arrays:
        logits, truth = arrays["logits"], arrays["labels"]
    counts = np.array(json.loads(path.with_name(path.name + ".json").read_text())["client_class_counts"])
    rewards = ("entropy", "final_agreement", "correlated_agreement", "dawid_skene_skill")
    found = gaming_matrix(
        logits, truth, class_counts=counts, rewards=rewards, rules=("soft_vote", "class_competence"),
        behaviours=("sharpened", "random_confident", "constant_label", "copy_peer", "over_claimed_counts"),
    )  # fmt: skip
    gain, cost = found.table()["gain"], found.table()["cost"]
    assert found.cheater == "party 0"
    assert (gain.loc["plain"].loc[["sharpened", "random_confident", "constant_label"], "entropy"] > 1.2).all()
    assert gain.loc[("plain", "constant_label"), "correlated_agreement"] < 0.05
    assert gain.loc[("plain", "random_confident"), "dawid_skene_skill"] < 0.6
    assert (gain.loc[("plain", "copy_peer"), list(rewards[1:])] > 1.15).all(), "none of them resists copying"
    np.testing.assert_array_equal(gain.loc[("commit_reveal", "copy_peer")], 1)
    assert cost.loc[("plain", "over_claimed_counts"), "class_competence"] > 25
    flagged = found.table()[("cheater", "flagged")]
    assert flagged.loc[("plain", "over_claimed_counts")] == 1
    assert flagged.loc[("plain", "sharpened")] == 0
