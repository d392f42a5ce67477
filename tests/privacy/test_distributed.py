"""Noise that the parties bring together: how much it is, that it is all there, and what is said of it."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import DoesNotFit, InvalidOption, Refused
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.summand import Component
from fi_workbench.privacy import make_mechanism, mechanisms
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.distributed import LEAST_STEPS, DistributedGaussian, gaussian_share
from fi_workbench.privacy.event import UNPROTECTED, Event
from fi_workbench.privacy.secure_sum.layout import Layout
from fi_workbench.privacy.secure_sum.mechanism import SecureSum
from fi_workbench.privacy.secure_sum.party import INCLUDED, PartyState
from fi_workbench.protocol.settings import check_fit
from tests.harness import Table, linear_party, queries
from tests.privacy.ring import N_CLASSES, declared, layout_of, party_context

NAMES = ("Ada", "Bo", "Cy", "Di", "Ed")


@pytest.fixture
def table():
    tables = []

    def make(names=NAMES, **options):
        tables.append(Table([linear_party(name) for name in names], **options))
        return tables[-1]

    yield make
    for made in tables:
        made.close()


@pytest.mark.parametrize("n_parties", [3, 7])
@pytest.mark.parametrize("colluders", [0, 1])
def test_as_many_shares_as_must_be_there_make_the_whole_noise(n_parties, colluders):
    made = DistributedGaussian(noise_multiplier=2.0, tolerated_colluders=colluders)
    n_queries, components = 3000, declared("soft_vote")
    layout = layout_of(made, components, n_queries, n_parties)
    n_shares = made.n_shares(n_parties)
    assert n_shares == {3: 3, 7: 5}[n_parties] - colluders
    drawn = [made.blur(layout, party_context(k, components, n_queries)) for k in range(n_parties)]
    assert all(noise.dtype == np.int64 and noise.shape == (layout.size,) for noise in drawn)
    (entry,) = (entry for entry in layout.entries if entry.name == "probabilities")
    whole = 2.0 * math.sqrt(2.0)
    for n_there in (n_shares, n_parties):
        noise = sum(drawn[:n_there])[entry.where] / entry.scale
        law = stats.norm(scale=whole * math.sqrt(n_there / n_shares))
        assert stats.kstest(noise, law.cdf).pvalue > 1e-3
    short = sum(drawn[: n_shares - 1])[entry.where] / entry.scale
    assert short.std() < 0.95 * whole, "with a share less it would be less: the test can tell"
    (count,) = (entry for entry in layout.entries if entry.name == "count")
    assert not any(noise[count.where].any() for noise in drawn), "what no answer moves needs no noise"


def test_shares_are_fresh_and_differ_between_components():
    made = DistributedGaussian()
    components = declared("entropy_weighted")
    layout = layout_of(made, components, 9, 5)
    context = replace_noise(party_context("Ada", components, 9), lambda purpose: Keystream.fresh())
    one, other = made.blur(layout, context), made.blur(layout, context)
    assert (one != other).mean() > 0.9
    purposes = []
    context = replace_noise(context, lambda purpose: purposes.append(purpose) or Keystream.fresh())
    made.blur(layout, context)
    assert len(set(purposes)) == len(purposes) == 2


def replace_noise(context, noise):
    return SimpleNamespace(**{**vars(context), "noise": noise})


@pytest.mark.parametrize("rule", ["soft_vote", "entropy_weighted", "hard_vote", "class_competence"])
def test_little_noise_leaves_the_answer_as_it_is(rule, table):
    made, asked = table(), queries(20)
    plain = made.settings("plain", rule)
    noisy = made.settings([{"name": "distributed_gaussian", "noise_multiplier": 0.05, "reproducible": True}], rule)
    totals = {"class_totals": np.array([40.0, 15.0, 45.0])}
    (_, _, clean), (_, release, blurred) = (made.run(asked, each, totals=totals) for each in (plain, noisy))
    assert release.present == NAMES
    assert release.answers is None
    assert 0 < np.median(np.abs(blurred - clean)) < 0.25


def test_the_noise_of_a_round_is_fresh(table):
    made, asked = table(), queries(20)
    settings = made.settings([{"name": "distributed_gaussian"}])
    (_, one, _), (_, other, _) = (made.run(asked, settings) for _ in range(2))
    assert (one.sums["probabilities"] != other.sums["probabilities"]).all()


def test_the_ring_has_room_for_all_the_noise():
    made = DistributedGaussian(noise_multiplier=2.0, tolerated_colluders=1)
    stddev = made.noise_stddev(declared("soft_vote"), 7)  # two may fall out, one may tell: four are the whole
    assert stddev == {"probabilities": pytest.approx(2 * math.sqrt(2) * math.sqrt(7 / 4))}
    for entry in layout_of(made, declared("soft_vote"), 2, 7).entries:
        reach = 7 * (entry.component.upper - entry.component.lower) + 40 * stddev.get(entry.name, 0.0)
        assert reach * entry.scale < 2**63


def test_rounding_to_the_ring_is_paid_for(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "fi_workbench.privacy.distributed.discrete_gaussian",
        lambda stream, n, steps: drawn.append(steps) or np.zeros(n, np.int64),
    )
    made = DistributedGaussian(noise_multiplier=2.0)
    (entry, _) = Layout.of(declared("soft_vote"), 3, N_CLASSES, 5).entries
    coarse = replace(entry, scale=1000.0)
    made.share(coarse, made.stddevs({"probabilities": entry.component})["probabilities"], 1, Keystream.seeded(0))
    # each of four entries may move by a step more than the answer does
    assert drawn == [pytest.approx(2.0 * (1000 * math.sqrt(2) + math.sqrt(4)))]


def test_what_the_coordinator_sums_has_the_noise_in_it(table):
    made, asked = table(), queries(400)
    clean = sum(softmax(side.party.predict(asked)) for side in made.sides.values())
    settings = made.settings([{"name": "distributed_gaussian", "noise_multiplier": 3.0}])
    _, release, _ = made.run(asked, settings)
    noise = (release.sums["probabilities"] - clean).ravel()
    whole = 3.0 * math.sqrt(2.0) * math.sqrt(5 / 4)  # one of five may fall out, and did not
    assert abs(noise.std() / whole - 1) < 0.25  # 1,200 values: twelve standard errors
    assert release.sums["count"] == pytest.approx(5)


def gone_in(phase):
    def wrap(handle):
        def handler(asked_phase, body):
            if asked_phase == phase:
                raise RuntimeError("gone")
            return handle(asked_phase, body)

        return handler

    return wrap


@pytest.mark.parametrize("phase", ["keys", "shares", "masked"])
def test_more_dropouts_than_were_reckoned_with_open_nothing(phase, table):
    # under secure sum three of five would do with these shares of secrets
    options = {"name": "distributed_gaussian", "tolerated_dropouts": 0.2}
    one = table(wrap={"Bo": gone_in(phase)})
    _, release, _ = one.run(queries(), one.settings([options]))
    assert release.present == ("Ada", "Cy", "Di", "Ed")
    two = table(wrap={"Bo": gone_in(phase), "Di": gone_in(phase)})
    outcome, release, _ = two.run(queries(), two.settings([options]))
    assert release.present == ()
    assert release.sums is None
    assert {absence.party for absence in outcome.log.absent} == set(NAMES)


def test_a_party_opens_nothing_where_shares_of_noise_are_missing():
    """The party refuses by itself, whatever the coordinator makes of it; sparse graphs would open such sums."""
    names = tuple(f"party {k}" for k in range(20))
    asked = {"components": declared("soft_vote"), "n_queries": 2, "n_classes": N_CLASSES, "round_digest": "ab" * 32}
    context = SimpleNamespace(name=names[0], kind="answer", peers=dict.fromkeys(names), sign=bytes, **asked)
    state = PartyState({}, None, announced=dict.fromkeys(names))

    def opened(made, n_included):
        planned = made.plan(context, names)
        near = (names[0], *planned.neighbours(names[0]))  # all that hold its shares are there
        those = sorted(names, key=lambda name: name not in near)[:n_included]
        told, _ = made.party_step("agree", state, {INCLUDED: planned.packed(those)}, context)
        return int(planned.unpacked(told.included).sum())

    noisy = DistributedGaussian(tolerated_dropouts=1 / 3)
    with pytest.raises(Refused, match="fewer than 14"):
        opened(noisy, 13)
    assert (opened(noisy, 14), opened(SecureSum(), 13)) == (14, 13)
    enrol = SimpleNamespace(**{**vars(context), "kind": "enrol"})
    assert noisy.plan(enrol, names).min_parties == 3, "counts have noise of each party's own"


def test_what_is_booked():
    asked = Occasion("answer", "soft_vote", declared("soft_vote"), 5, 7, N_CLASSES)
    enrol = replace(asked, kind="enrol", n_queries=0)
    assert make_mechanism("distributed_gaussian", noise_multiplier=2.5).events(asked) == {Event("gaussian", 2.5): 7}
    sampled = make_mechanism("distributed_gaussian", noise_multiplier=2.5, participation=0.2)
    assert sampled.events(asked) == {Event("gaussian", 2.5, sampling=0.2, relation="participate"): 7}
    assert sampled.events(enrol) == {UNPROTECTED: 1}, "counts have no noise unless asked for"
    fixed = make_mechanism("distributed_gaussian", reproducible=True)
    assert fixed.events(asked) == {UNPROTECTED: 7}
    assert not make_mechanism("distributed_gaussian").reproducible


def test_a_reproducible_round_repeats(table):
    made, asked = table(), queries()
    settings = made.settings([{"name": "distributed_gaussian", "reproducible": True}])
    (_, one, _), (_, other, _) = (made.run(asked, settings) for _ in range(2))
    np.testing.assert_array_equal(one.sums["probabilities"], other.sums["probabilities"])


def test_so_many_colluders_that_no_noise_is_left_are_refused(table):
    made = table(NAMES[:3])
    settings = made.settings([{"name": "distributed_gaussian", "tolerated_colluders": 3}])
    assert settings.mechanism.carrier.min_parties == 5  # of which four must be there
    assert mechanisms["distributed_gaussian"].min_parties == 3
    with pytest.raises(DoesNotFit, match=r"5 parties.*no noise is left once 3 tell theirs"):
        check_fit(settings.rule, settings.mechanism, [side.card for side in made.sides.values()])
    outcome, release, _ = made.run(queries(), settings)
    assert release.present == ()
    assert {absence.kind for absence in outcome.log.absent} == {"refused"}


def test_shares_too_small_for_the_ring_are_refused():
    (entry,) = Layout.of({"x": Component("query", 0.0, 1.0, l1=1.0, l2=1.0)}, 4, 2, 3).entries
    least = LEAST_STEPS / entry.scale
    assert len(gaussian_share(entry, 2.01 * least, 4, Keystream.seeded(0))) == 4
    with pytest.raises(InvalidOption, match="too little"):
        gaussian_share(entry, 1.99 * least, 4, Keystream.seeded(0))


def test_it_says_what_it_promises():
    stated = make_mechanism("distributed_gaussian", tolerated_colluders=2, participation=0.3).disclosure
    text = " ".join(stated.assumptions)
    assert "30%" in text
    assert "at most 2 tell" in text
    assert "The sum is exact" in " ".join(make_mechanism("secure_sum").disclosure.assumptions)
    assert "The sum is exact" not in text
    assert not stated.allows("coordinator", "answers")
    assert not stated.allows("coordinator", "votes")
    fixed = make_mechanism("distributed_gaussian", reproducible=True).disclosure.assumptions
    assert "protects nobody" in fixed[0]
    assert "replaced by any other" not in " ".join(fixed)
    assert "replaced by any other" in " ".join(make_mechanism("distributed_gaussian").disclosure.assumptions)
