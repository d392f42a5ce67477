"""Votes that nobody sees: they are those of the rounded outputs, ties to the lowest class, and so is the label."""

import numpy as np
import pytest

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.core.peers import Traffic
from fi_workbench.mpc import pairing
from fi_workbench.mpc.argmax import MAX_CLASSES, label_plan, with_votes
from fi_workbench.mpc.costs import cost
from fi_workbench.mpc.plan import Dense, Lift, Plan, Step
from fi_workbench.mpc.streams import Lot
from tests.mpc.roles.test_operations import as_integers, as_words, truncated
from tests.mpc.roles.trio import ROLES, Trio, encoded

ONE = 2**32


def votes_of(values):
    made = np.zeros_like(values)
    made[np.arange(len(values)), values.argmax(axis=1)] = ONE
    return made


def voting(n_classes):
    return with_votes(Plan((n_classes,), (Step(Lift(1), (0,), (n_classes,), "shared"),), 1.0))


@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_the_largest_output_gets_the_vote(n_classes):
    rng = np.random.default_rng(n_classes)
    y = np.concatenate(
        [
            rng.integers(-(2**45) + 2**18, 2**45 - 2**18, (40, n_classes)),
            rng.integers(-(2**18), 2**18, (40, n_classes)),  # where rounding decides
            rng.integers(-2, 2, (40, n_classes)) << 16,  # ties
            np.zeros((2, n_classes), int),
        ]
    )
    trio = Trio(voting(n_classes))
    made = as_integers(trio.words(as_words(y)))
    lot = Lot(len(y), 0)
    mask, added = trio.dealt(lot, 1, y.size), trio.rounding(lot, 1)
    rounded = truncated(y, mask.reshape(y.shape), added.reshape(y.shape))
    assert np.array_equal(made, votes_of(rounded))
    assert np.array_equal(made[:40], votes_of(y[:40]))


def test_there_is_always_one_vote():
    y = np.random.default_rng(0).integers(-4, 4, (300, 5))
    made = as_integers(Trio(voting(5)).words(as_words(y)))
    assert set(made.ravel()) == {0, ONE}
    assert (made.sum(axis=1) == ONE).all()


def test_the_label_is_that_of_most_votes():
    rng = np.random.default_rng(1)
    counts = rng.multinomial(7, [0.3, 0.3, 0.2, 0.2], 60)
    made = as_integers(Trio(label_plan(4, 7)).words(as_words(counts * ONE)))
    assert np.array_equal(made, votes_of(counts))


def test_the_votes_of_several_models_make_a_label():
    """Shares of the votes added up over models, masked anew, and asked as the query of the second plan."""
    rng = np.random.default_rng(2)
    queries = rng.normal(size=(9, 6))
    total, counts = np.zeros((9, 3), np.uint64), np.zeros((9, 3), int)
    for _ in range(3):
        weight = rng.normal(size=(3, 6))
        plan = with_votes(Plan((6,), (Step(Dense(6, 3), (0,), (3,), "shared"),), 8.0))
        trio = Trio(plan, [encoded(0, weight, np.zeros(3))])
        total += trio.words((queries * 2**16).round().astype(np.int64).view(np.uint64))
        counts[np.arange(9), (queries @ weight.T).argmax(axis=1)] += 1
    label = as_integers(Trio(label_plan(3, 3)).words(total))
    assert np.array_equal(label, votes_of(counts))


def test_its_cost_is_what_is_sent():
    plan = voting(10)
    said, trio = cost(plan, 3), Trio(plan)
    assert [step.hops for step in said.steps] == [0, 2, 0, 0, 3, 0, 3]
    lot, materials = trio.offline(3)
    offline = dict(trio.traffic())
    trio.online(np.zeros((3, 10), np.uint64), lot, materials)
    for pair in [(sender, to) for sender in ROLES for to in ROLES if sender != to]:
        before, after = offline.get(pair, Traffic()), trio.traffic().get(pair, Traffic())
        assert said.traffic("offline", *pair) == before
        assert said.traffic("online", *pair).n_bytes == after.n_bytes - before.n_bytes
        assert said.traffic("online", *pair).n_messages == after.n_messages - before.n_messages


@pytest.mark.parametrize("n_classes", [0, 1, MAX_CLASSES + 1])
def test_too_many_classes_are_refused(n_classes):
    with pytest.raises(DoesNotFit, match=f"2 to 64 classes, not {n_classes}.*mean_logit"):
        label_plan(n_classes, 3)
    with pytest.raises(DoesNotFit, match="2 to 64 classes"):
        voting(n_classes)


@pytest.mark.parametrize("n_voters", [0, 2**13])
def test_too_many_voters_are_refused(n_voters):
    with pytest.raises(DoesNotFit, match="8191"):
        label_plan(3, n_voters)


def test_all_classes_that_are_allowed_fit():
    values = np.random.default_rng(3).integers(0, 5, (2, MAX_CLASSES))
    made = as_integers(Trio(label_plan(MAX_CLASSES, 5)).words(as_words(values * ONE)))
    assert np.array_equal(made, votes_of(values))


@pytest.mark.parametrize("n_classes", range(2, 9))
def test_pairs_and_their_winners(n_classes):
    assert pairing.n_classes_of(pairing.n_pairs(n_classes)) == n_classes
    values = np.random.default_rng(n_classes).permutation(n_classes)[None]
    apart = as_integers(pairing.pairs(as_words(values)))
    wins = as_integers(pairing.wins(as_words((apart >= 0) * ONE), True))
    assert np.array_equal(wins, (values - (n_classes - 1)) * ONE)
    shares = pairing.wins(as_words((apart >= 0) * ONE - 5), True) + pairing.wins(
        as_words(np.full_like(apart, 5)), False
    )
    assert np.array_equal(as_integers(shares), wins)
