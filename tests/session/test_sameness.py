"""The digest: equal for equal questions, settings and absences on every transport, and for nothing else."""

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.session.embedded import Embedded
from fi_workbench.session.history import History
from fi_workbench.session.runtime import Runtime
from fi_workbench.transport.local import LocalGrid
from tests.harness import linear_party, queries
from tests.session.conftest import NAMES, Troubled

SETTINGS = [
    {},
    {"rule": "hard_vote"},
    {"rule": "class_competence"},
    {"rule": "mean_logit"},
    {"mechanism": "sums_only"},
    {"mechanism": ["toy_laplace"], "seed": 3},
    {"mechanism": ["toy_laplace", "toy_rounded", "plain"]},
]


def over(grid, parties=None, **settings):
    """A federation over a transport of the test's choice."""
    federation = fi.Federation(parties or [linear_party(name) for name in NAMES], history=None, **settings)
    runtime = Runtime(History(None), venue=Embedded(grid))
    federation._take(runtime, federation.settings, federation.parties, None, None)
    return federation


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_transport_gives_the_same_scores_and_digest(toys, settings):
    grids = [
        LocalGrid(), LocalGrid(through_wire=True), LocalGrid(n_workers=1), LocalGrid(n_workers=8, through_wire=True),
    ]  # fmt: skip
    records = []
    for grid in grids:
        with over(grid, **settings) as federation:
            records.append([federation.ask(queries(7, seed)) for seed in range(3)])
    for others in records[1:]:
        for one, other in zip(records[0], others, strict=True):
            assert one.digest == other.digest
            np.testing.assert_array_equal(one.scores, other.scores)
    digests = {record.digest for record in records[0]}
    assert len(digests) == 3


def digest(asked=None, names=NAMES, absent=None, labels=None, n=1, **settings):
    parties = [linear_party(name) for name in names]
    if absent is not None:
        troubled = Troubled(absent)
        troubled.mood = "raises"
        parties = [troubled.party if party.name == absent else party for party in parties]
    with fi.Federation(parties, history=None, **settings) as federation:
        for _ in range(n):
            record = federation.ask(queries() if asked is None else asked, labels)
        return record.digest


def test_each_thing_that_decides_the_answer_changes_the_digest(toys):
    other = queries().copy()
    other[3, 2] += 1e-6
    digests = [
        digest(),
        digest(rule="hard_vote"),
        digest(rule="prior_corrected"),
        digest(rule="prior_corrected", rule_options={"smoothing": 2.0}),
        digest(asked=queries(5)),
        digest(asked=other),
        digest(names=("Ada", "Bo")),
        digest(names=("Bo", "Ada", "Cy")),
        digest(names=("Ada", "Bo", "Di")),
        digest(absent="Bo"),
        digest(absent="Cy"),
        digest(contribution="equal"),
        digest(contribution="shapley", contribution_options={"budget": 500}),
        digest(deadline_seconds=3),
        digest(seed=1),
        digest(n=2),
        digest(mechanism="toy_rounded"),
        digest(mechanism="toy_laplace"),
        digest(mechanism="toy_laplace", seed=1),
        digest(mechanism="toy_laplace", mechanism_options={"scale": 0.6}),
        digest(mechanism=["toy_laplace", "toy_rounded"]),
        digest(mechanism=["toy_rounded", "toy_laplace"]),
        digest(mechanism="sums_only"),
    ]
    assert len(set(digests)) == len(digests)


def test_nothing_else_changes_it(toys):
    plain = digest()
    assert digest() == plain, "keys, round ids and times are others each time"
    assert digest(labels=[0, 1, 2, 0, 1, 2]) == plain, "what the client knows is not released"
    assert digest(asked=queries().astype(np.float64)) == plain, "the queries are the same on the wire"
    assert digest(contribution="shapley") == plain, "auto stands for what it picks"
    assert digest(deadline_seconds=10) == plain
    corrected = digest(rule="prior_corrected")
    assert digest(rule="prior_corrected", rule_options={"smoothing": 1}) == corrected, "a default said aloud"
    assert digest(policies={"Ada": fi.Policy(query_budget=100)}) == plain


def test_a_slow_party_changes_no_digest():
    import time

    def slowly(name, seconds):
        fast = linear_party(name)
        return fi.Party.from_callable(
            lambda asked: time.sleep(seconds) or fast.function(asked),
            name=name, classes=fast.classes, input_shape=fast.input_shape, outputs="logits", class_counts=[6, 3, 9],
        )  # fmt: skip

    digests = set()
    for order in ((0.0, 0.03, 0.06), (0.06, 0.03, 0.0)):
        with fi.Federation([slowly(*pair) for pair in zip(NAMES, order, strict=True)], history=None) as federation:
            digests.add(federation.ask(queries()).digest)
    assert len(digests) == 1


def test_equal_seeds_give_equal_noise_and_each_party_and_round_its_own(make, toys):
    asked = queries(200)
    federation = make(mechanism="toy_laplace", seed=3)
    clean = make().ask(asked).answers
    first, second = federation.ask(asked), federation.ask(asked)
    again = make(mechanism="toy_laplace", seed=3).ask(asked)
    np.testing.assert_array_equal(first.answers, again.answers)
    noise = [np.log(one.answers) - np.log(clean) for one in (first, second)]
    assert not np.allclose(noise[0], noise[1])
    noises = [(one - one.mean(axis=-1, keepdims=True)).ravel() for one in (*noise[0], *noise[1])]
    correlation = np.corrcoef(noises) - np.eye(6)
    assert np.abs(correlation).max() < 0.15


def test_noise_that_is_not_declared_reproducible_cannot_be_drawn_again_from_the_seed(make, toys):
    asked = queries(20)
    one, other = (make(mechanism="toy_fresh", seed=3).ask(asked) for _ in range(2))
    assert not np.allclose(one.answers, other.answers, atol=1e-3), "the seed stands in the header, for all to read"
    assert one.digest != other.digest
