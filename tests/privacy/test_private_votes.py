"""Private votes: the law of the noise, what a query costs, and what is said where too few agree."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import fi_workbench as fi
from fi_workbench.aggregation.apply import components_of
from fi_workbench.aggregation.rule import rules
from fi_workbench.core.errors import DoesNotFit
from fi_workbench.core.keystream import Keystream
from fi_workbench.privacy import make_mechanism, mechanisms
from fi_workbench.privacy.accountant import epsilon_of
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.event import UNPROTECTED, Event
from fi_workbench.privacy.private_votes import AGAIN, VOTES
from fi_workbench.privacy.secure_sum.layout import Layout
from fi_workbench.protocol.settings import check_fit
from tests.harness import Table, linear_party, queries, shows

NAMES = ("Ada", "Bo", "Cy", "Di", "Ed")
FAMILY = ["gnmax", "lnmax", "confident_gnmax"]
DECLARED = components_of(rules["hard_vote"], 3, "keep", {})


def asked(n_queries, n_parties=10):
    return Occasion("answer", "hard_vote", DECLARED, n_parties, n_queries, 3)


@pytest.fixture
def table():
    tables = []

    def make(names=NAMES, **options):
        tables.append(Table([linear_party(name) for name in names], **options))
        return tables[-1]

    yield make
    for made in tables:
        made.close()


def votes_on(made, batch):
    """Clean counts of votes, (query, class)."""
    return sum(np.eye(3)[side.party.predict(batch).argmax(axis=1)] for side in made.sides.values())


def summed_noise(name, n_there, n_parties, n_queries=4000, **options):
    """The noise of so many of the parties' shares, by component, in votes."""
    made = make_mechanism(name, **options).carrier
    carried = made.carried(DECLARED)
    layout = Layout.of(carried, n_queries, 3, n_parties, made.noise_stddev(carried, n_parties))
    drawn = 0
    for k in range(n_there):
        context = SimpleNamespace(kind="answer", noise=lambda purpose, k=k: Keystream.seeded(23, name, k, purpose))
        drawn = drawn + made.blur(layout, context)
    return {entry.name: drawn[entry.where] / entry.scale for entry in layout.entries}


def test_gaussian_shares_make_the_noise_that_is_booked():
    # of 6 parties 2 may fall out: 4 shares are the whole
    assert stats.kstest(summed_noise("gnmax", 4, 6, sigma=3.0)[VOTES], stats.norm(scale=3.0).cdf).pvalue > 1e-3
    assert summed_noise("gnmax", 3, 6, sigma=3.0)[VOTES].std() < 2.8


def test_laplace_shares_make_the_noise_that_is_booked():
    assert stats.kstest(summed_noise("lnmax", 4, 6, gamma=0.25)[VOTES], stats.laplace(scale=4.0).cdf).pvalue > 1e-3
    short = summed_noise("lnmax", 3, 6, gamma=0.25)[VOTES]
    assert stats.kstest(short, stats.laplace(scale=4.0).cdf).pvalue < 1e-6


def test_the_test_of_confidence_has_noise_of_its_own():
    noise = summed_noise("confident_gnmax", 4, 6, sigma=3.0, sigma_threshold=7.0)
    assert stats.kstest(noise[VOTES], stats.norm(scale=3.0).cdf).pvalue > 1e-3
    assert stats.kstest(noise[AGAIN], stats.norm(scale=7.0).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(noise[VOTES], noise[AGAIN])[0, 1]) < 0.06  # 12,000 pairs: six standard errors
    assert not noise["count"].any()


def test_what_a_hundred_queries_cost():
    """K = 10, sigma 4, delta 1e-5: Renyi alpha / sigma^2 a query; about 22, a lesson and not a setting."""
    epsilon = epsilon_of(make_mechanism("gnmax", sigma=4.0).events(asked(100)), delta=1e-5)
    assert epsilon == pytest.approx(22, abs=1.0)
    # by hand: min over alpha of 100 alpha / 16 + log(1 / delta) / (alpha - 1), an upper bound that is a little looser
    alpha = np.linspace(1.01, 20, 4000)
    by_hand = (100 * alpha / 16 + math.log(1e5) / (alpha - 1)).min()
    assert by_hand - 2.5 < epsilon < by_hand


def test_what_a_query_costs():
    assert make_mechanism("gnmax", sigma=4.0).events(asked(7)) == {Event("gaussian", 4.0 / math.sqrt(2.0)): 7}
    pure = make_mechanism("lnmax", gamma=0.1).events(asked(7))
    assert pure == {Event("laplace", 5.0): 7}
    assert epsilon_of(pure, delta=1e-300) == pytest.approx(7 * 2 * 0.1, rel=1e-6)
    with_test = make_mechanism("confident_gnmax", sigma=4.0, sigma_threshold=3.0).events(asked(7))
    ((event, n_times),) = with_test.items()
    assert n_times == 7
    # two Gaussians of the same votes: Renyi orders add, alpha (1 / 4^2 + 1 / 3^2) = alpha / (2 multiplier^2)
    assert 0.5 / event.multiplier**2 == pytest.approx(1 / 16 + 1 / 9)
    apart = {Event("gaussian", 4 / math.sqrt(2)): 7, Event("gaussian", 3 / math.sqrt(2)): 7}
    assert epsilon_of(with_test, 1e-5) == pytest.approx(epsilon_of(apart, 1e-5), rel=1e-6)


@pytest.mark.parametrize("name", FAMILY)
def test_each_states_its_promise(name):
    kind, stack = mechanisms[name], make_mechanism(name)
    assert kind.only_rules == {"hard_vote"}
    assert kind.offers == "sum"
    assert not stack.reproducible
    assert make_mechanism(name, reproducible=True).events(asked(3)) == {UNPROTECTED: 3}
    text = " ".join(stack.disclosure.assumptions)
    assert "its vote on one query replaced by any other" in text
    for role in ("client", "coordinator", "other_parties", "wire"):
        assert not stack.disclosure.allows(role, "votes")
    assert stack.events(Occasion("enrol", "hard_vote", {}, 5, 0, 3)) == {UNPROTECTED: 1}


@pytest.mark.parametrize("name", FAMILY)
def test_it_carries_votes_only(name, table):
    made = table()
    cards = [side.card for side in made.sides.values()]
    check_fit(rules["hard_vote"], make_mechanism(name), cards)
    with pytest.raises(DoesNotFit, match="hard_vote"):
        check_fit(rules["soft_vote"], make_mechanism(name), cards)
    outcome, release, _ = made.run(queries(), made.settings(name, "soft_vote"))
    assert release.present == ()
    assert {absence.kind for absence in outcome.log.absent} == {"refused"}, "nor does a party take part"


@pytest.mark.parametrize("through_wire", [False, True])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gnmax", {"sigma": 0.1}),
        ("lnmax", {"gamma": 10.0}),
        ("confident_gnmax", {"sigma": 0.1, "sigma_threshold": 0.1, "threshold": 0.0}),
    ],
)
def test_little_noise_leaves_clear_votes_as_they_are(name, options, through_wire, table):
    made, batch = table(through_wire=through_wire), queries(60)
    counts = votes_on(made, batch)
    ranked = np.sort(counts, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] >= 3
    assert clear.sum() > 5
    outcome, release, scores = made.run(batch, made.settings([{"name": name, **options}], "hard_vote"))
    assert outcome.log.absent == ()
    assert release.present == NAMES
    assert set(release.sums) == {"votes", "count"}
    assert release.answers is None
    np.testing.assert_array_equal(scores.argmax(axis=1)[clear], counts.argmax(axis=1)[clear])
    assert (release.sums["votes"] != counts).all(), "no count is clean"
    np.testing.assert_allclose(release.sums["votes"], counts, atol=3)


def test_where_too_few_agree_it_does_not_know(table):
    made, batch = table(), queries(60)
    options = {"sigma": 0.1, "sigma_threshold": 0.1, "threshold": 0.7, "reproducible": True}
    _, release, scores = made.run(batch, made.settings([{"name": "confident_gnmax", **options}], "hard_vote"))
    most = votes_on(made, batch).max(axis=1)
    assert set(most) >= {3, 5}
    # fixed noise of deviation 0.1 against half a vote or more
    np.testing.assert_array_equal(release.answered, most > 0.7 * len(NAMES))
    assert (release.sums["votes"][~release.answered] == 0).all(), "what is not answered is not released"
    np.testing.assert_allclose(scores[~release.answered], 1 / 3)
    assert scores[release.answered].max(axis=1).min() > 0.6
    assert (release.sums["votes"][release.answered] != 0).all()


def test_one_may_fall_out_and_the_rest_is_counted(table):
    def gone(handle):
        def handler(phase, body):
            if phase == "masked":
                raise RuntimeError("gone")
            return handle(phase, body)

        return handler

    made, batch = table(wrap={"Bo": gone}), queries(12)
    options = {"sigma": 0.1, "sigma_threshold": 0.1, "threshold": 1.0}
    _, release, _ = made.run(batch, made.settings([{"name": "confident_gnmax", **options}], "hard_vote"))
    assert release.present == ("Ada", "Cy", "Di", "Ed")
    assert release.sums["count"] == pytest.approx(4)
    assert release.answered.shape == (12,)


def test_nobody_is_sent_a_clean_vote(table):
    made, batch = table(), queries(40)
    made.run(batch, made.settings("gnmax", "hard_vote"))
    counts = votes_on(made, batch)
    votes = [np.eye(3)[side.party.predict(batch).argmax(axis=1)] for side in made.sides.values()]
    bodies = [body for *_, body in (*made.to_parties, *made.from_parties)]
    assert not any(shows(bodies, vote) for vote in (*votes, counts))
    made.run(batch, made.settings("plain", "hard_vote"))
    bodies = [body for *_, body in (*made.to_parties, *made.from_parties)]
    assert shows(bodies, votes[0]), "the plain round shows them: the test can tell"


def test_the_record_says_where_it_does_not_know():
    options = {"sigma": 0.1, "sigma_threshold": 0.1, "threshold": 0.7, "reproducible": True}
    parties = [linear_party(name) for name in NAMES]
    with fi.Federation(parties, rule="hard_vote", mechanism="confident_gnmax", mechanism_options=options) as federation:
        record = federation.ask(queries(60))
        most = sum(np.eye(3)[party.predict(queries(60)).argmax(axis=1)] for party in parties).max(axis=1)
        np.testing.assert_array_equal(record.answered, most > 0.7 * len(NAMES))
        assert record.coverage == record.answered.mean()
        assert record.answers is None
        surer = federation.with_(abstain_below=0.9).ask(queries(60))
        assert (surer.answered <= record.answered).all(), "both have a say"
        assert 0 < surer.answered.sum() < record.answered.sum()
